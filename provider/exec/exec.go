// Package exec is the provider of logins that a program on the server obtains: a
// docker credential helper, as docker's own CLI runs it
// (github.com/docker/docker-credential-helpers).
//
// The program runs as the server's own user. It is run as docker-credential-NAME get,
// by its absolute path and without a shell, in a clean environment, reads the
// registry's URL from standard input, and writes {"ServerURL", "Username", "Secret"}
// to standard output. It and the processes that it left in its group are killed when
// it has ended, when its time is over, and when it writes too much.
//
// What it writes on a failure is never shown, as it may hold a secret: known phrases
// in it are put into words of regcred's own.
package exec

import (
	"context"
	"time"

	"regcred.dev"
)

// Name is the provider's name.
const Name = "exec"

// Options configure a Provider.
type Options struct {
	// Dirs are the directories in which a helper that is named without a path is
	// looked for, in this order. Each is absolute. Default DefaultDirs. PATH is not
	// searched.
	Dirs []string
}

// DefaultDirs returns the directories in which helpers are looked for where Options
// names none.
func DefaultDirs() []string { return []string{"/usr/local/bin", "/usr/bin"} }

// Provider implements regcred.Provider.
type Provider struct {
	dirs []string
}

// New returns a Provider.
func New(o Options) *Provider {
	if len(o.Dirs) == 0 {
		o.Dirs = DefaultDirs()
	}
	return &Provider{dirs: o.Dirs}
}

// Check returns an Invalid error, naming the setting, where the settings cannot work.
// Whether the program is there is seen at the mint.
func (p *Provider) Check(c regcred.Credential) error {
	_, err := p.settings(c)
	return err
}

// Uses says that a program on the server is run, and which of the server's
// environment variables it reads.
func (p *Provider) Uses(c regcred.Credential) []string {
	uses := p.Describe().AdminFields(c)
	if helper := c.Settings[settingHelper]; helper != "" {
		uses = append(uses, "the program "+programName(helper)+" on the server")
	}
	return uses
}

// Issuer returns the program and what it is asked: programs that several registries
// have in common may hang for one of them alone.
func (p *Provider) Issuer(c regcred.Credential) string {
	return programName(c.Settings[settingHelper]) + " " + serverURL(c)
}

// Mint runs the helper once.
//
// Errors: Invalid where the program is not there, may be changed by anybody or gives
// an identity token; Denied where it says that it has no login, or that its cloud
// refuses it; Throttled where that wants to be asked less often; Unavailable where it
// fails otherwise, takes too long or writes what is no answer.
func (p *Provider) Mint(ctx context.Context, c regcred.Credential) (regcred.Login, error) {
	s, err := p.settings(c)
	if err != nil {
		return regcred.Login{}, err
	}
	path, err := find(s.helper, p.dirs)
	if err != nil {
		return regcred.Login{}, err
	}
	ctx, cancel := inTime(ctx, s.timeout)
	defer cancel()
	asked := time.Now()
	out, err := run(ctx, job{path: path, stdin: s.serverURL, env: environ(s.env)})
	if err != nil {
		return regcred.Login{}, err
	}
	a, err := parseAnswer(programName(path), s.serverURL, out)
	if err != nil {
		return regcred.Login{}, err
	}
	return regcred.Login{
		Username:  a.username,
		Password:  a.password,
		Hosts:     []string{s.host},
		ExpiresAt: expiry(asked, s.lifetime, a.password),
	}, nil
}

// inTime returns a context that ends after timeout, and so long before ctx's own
// deadline that a program can be killed and be waited for by then.
func inTime(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	end := time.Now().Add(timeout)
	if deadline, ok := ctx.Deadline(); ok && deadline.Add(-grace).Before(end) {
		end = deadline.Add(-grace)
	}
	return context.WithDeadline(ctx, end)
}
