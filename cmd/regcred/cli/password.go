package cli

import (
	"context"
	"io"
	"os"
	"strings"

	"regcred.dev"
	"regcred.dev/internal/prompt"
)

// maxPassword bounds what is read from standard input, in bytes.
const maxPassword = 1 << 20

// password returns a password from where it may come from: standard input where
// that was asked for, REGCRED_PASSWORD, else a prompt that does not show it.
func (p *Program) password(ctx context.Context, fromStdin bool) (regcred.Secret, error) {
	if fromStdin {
		return p.stdinPassword(ctx)
	}
	if s := p.Getenv("REGCRED_PASSWORD"); s != "" {
		return regcred.NewSecret(s), nil
	}
	f, ok := p.Stdin.(*os.File)
	if !ok || !p.Terminal {
		return regcred.Secret{}, usagef("a password is needed: set REGCRED_PASSWORD, or use --password-stdin")
	}
	s, err := prompt.Password(ctx, f, p.Stderr, "Password: ")
	if err == nil && s == "" {
		err = usagef("the password is empty")
	}
	return regcred.NewSecret(s), err
}

func (p *Program) stdinPassword(ctx context.Context) (regcred.Secret, error) {
	data, err := io.ReadAll(io.LimitReader(interruptible(ctx, p.Stdin), maxPassword+1))
	if err != nil {
		return regcred.Secret{}, err
	}
	s := withoutLineBreak(string(data))
	switch {
	case len(data) > maxPassword:
		return regcred.Secret{}, usagef("the password on standard input is longer than %d bytes", maxPassword)
	case s == "":
		return regcred.Secret{}, usagef("--password-stdin is set, but standard input is empty")
	}
	return regcred.NewSecret(s), nil
}

// interruptible returns a reader of r that fails as soon as ctx ends, where r
// itself would wait for ever.
func interruptible(ctx context.Context, r io.Reader) io.Reader {
	out, in := io.Pipe()
	context.AfterFunc(ctx, func() { _ = in.CloseWithError(ctx.Err()) })
	go func() {
		_, err := io.Copy(in, r)
		_ = in.CloseWithError(err)
	}()
	return out
}

// withoutLineBreak returns a text without the line break at its end that editors and
// echo add.
func withoutLineBreak(text string) string {
	return strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
}
