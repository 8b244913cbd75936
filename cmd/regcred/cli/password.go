package cli

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"regcred.dev"
)

// maxPassword bounds what is read from standard input, in bytes.
const maxPassword = 1 << 20

// password returns a password from where it may come from: standard input where
// that was asked for, REGCRED_PASSWORD, else a prompt that does not show it.
func (p *Program) password(fromStdin bool) (regcred.Secret, error) {
	if fromStdin {
		return p.stdinPassword()
	}
	if s := p.Getenv("REGCRED_PASSWORD"); s != "" {
		return regcred.NewSecret(s), nil
	}
	f, ok := p.Stdin.(*os.File)
	if !ok || !p.Terminal {
		return regcred.Secret{}, usagef("a password is needed: set REGCRED_PASSWORD, or use --password-stdin")
	}
	fmt.Fprint(p.Stderr, "Password: ")
	data, err := term.ReadPassword(int(f.Fd()))
	fmt.Fprintln(p.Stderr)
	if err != nil {
		return regcred.Secret{}, err
	}
	if len(data) == 0 {
		return regcred.Secret{}, usagef("the password is empty")
	}
	return regcred.NewSecret(string(data)), nil
}

func (p *Program) stdinPassword() (regcred.Secret, error) {
	data, err := io.ReadAll(io.LimitReader(bufio.NewReader(p.Stdin), maxPassword+1))
	if err != nil {
		return regcred.Secret{}, err
	}
	s := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	switch {
	case len(data) > maxPassword:
		return regcred.Secret{}, usagef("the password on standard input is longer than %d bytes", maxPassword)
	case s == "":
		return regcred.Secret{}, usagef("--password-stdin is set, but standard input is empty")
	}
	return regcred.NewSecret(s), nil
}
