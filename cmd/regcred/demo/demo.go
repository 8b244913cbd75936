// Package demo shows regcred's main job on real input: this very program,
// published as an image and pulled back with a login that is renewed meanwhile.
//
// It runs the program's own commands as a user would, and real clients against
// them. A step that does not hold ends it with an error.
package demo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	repository = "acme/regcred"
	tag        = "demo"
	// lifetime is that of the logins; they are renewed at about half of it.
	lifetime = 30 * time.Second
	renewals = 3
	// patience bounds the whole demo.
	patience = 3 * time.Minute
	// soon bounds each single wait.
	soon = 20 * time.Second
)

// demo is one run.
type demo struct {
	out  io.Writer
	self string // this program
	dir  string
	host string // of the registry, HOST:PORT
	step int
	// What the summary says.
	pulls    int
	renewed  int
	clients  []string
	archived int64
}

// Run runs the demo and narrates it to out. Everything it makes is in a temporary
// directory, which it removes.
func Run(ctx context.Context, out io.Writer) (err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	d := &demo{out: out}
	if d.self, err = os.Executable(); err != nil {
		return err
	}
	if d.dir, err = os.MkdirTemp("", "regcred-demo-"); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(d.dir) }()
	start := time.Now()
	stop, err := d.serve(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	for _, step := range []func(context.Context) error{
		d.publish, d.store, d.resolve, d.deliver, d.pull, d.refuse, d.keepPulling, d.runPulled,
	} {
		if err := step(ctx); err != nil {
			return fmt.Errorf("demo step %d did not hold: %w", d.step, err)
		}
	}
	d.summary(time.Since(start))
	return nil
}

// say begins a step.
func (d *demo) say(format string, args ...any) {
	d.step++
	fmt.Fprintf(d.out, "\n%d. %s\n", d.step, fmt.Sprintf(format, args...))
}

// note adds to a step.
func (d *demo) note(format string, args ...any) {
	fmt.Fprintf(d.out, "   %s\n", fmt.Sprintf(format, args...))
}

func (d *demo) publish(ctx context.Context) error {
	d.say("Pack this very program into an image archive, as `docker save` writes it, and publish it.")
	archive := filepath.Join(d.dir, "regcred.tar")
	if err := PackImage(d.self, archive); err != nil {
		return err
	}
	info, err := os.Stat(archive)
	if err != nil {
		return err
	}
	d.archived = info.Size()
	d.note("regcred.tar has %.1f MB", float64(d.archived)/1e6)
	return d.show(ctx, "publish", archive, repository+":"+tag)
}

// everybody is the user name of the credential that acme's takes the place of.
const everybody = "everybody"

func (d *demo) store(ctx context.Context) error {
	d.say("Store two credentials for this registry: one for everybody, one for the organization acme.")
	d.note("Everybody's is a plain user name and password; acme's mints logins of %s for acme/* only.", lifetime)
	err := d.show(ctx, "credential", "create", d.host, "--username", everybody)
	if err != nil {
		return err
	}
	return d.show(ctx, "credential", "create", d.host, "--org", "acme",
		"--provider", "regcred", "--set", "repositories=acme/*", "--set", "lifetime="+lifetime.String())
}

func (d *demo) resolve(ctx context.Context) error {
	d.say("Ask which credential an image is pulled with, and why: the nearest scope wins.")
	image := d.host + "/" + repository + ":" + tag
	for _, org := range []struct{ id, want string }{{"acme", "organization acme"}, {"other", "foundation"}} {
		if err := d.show(ctx, "resolve", image, "--org", org.id); err != nil {
			return err
		}
		scope, err := d.resolved(ctx, image, org.id)
		if err != nil {
			return err
		}
		if scope != org.want {
			return fmt.Errorf("organization %s got the credential of scope %q, not of %q", org.id, scope, org.want)
		}
	}
	return nil
}

func (d *demo) deliver(ctx context.Context) error {
	d.say("The server keeps a docker config file right for acme: the login is there already.")
	var e entry
	err := poll(ctx, func() (err error) {
		e, err = d.delivered()
		if err == nil && e.username == everybody {
			// The one that was stored first was delivered first.
			err = fmt.Errorf("%s still has everybody's login", configFile)
		}
		return err
	})
	if err != nil {
		return err
	}
	d.note("%s: %s logs in as %q, password of %d bytes", configFile, d.host, e.username, len(e.password))
	return d.show(ctx, "credential", "list")
}

func (d *demo) pull(ctx context.Context) error {
	d.say("Pull the image with that file alone, by the clients that are here.")
	if err := d.pullAll(ctx); err != nil {
		return err
	}
	d.note("pulled by %s", strings.Join(d.clients, ", "))
	return nil
}

func (d *demo) refuse(ctx context.Context) error {
	d.say("Without that file the pull must be refused.")
	err := d.pullAnonymously(ctx)
	if err == nil {
		return errors.New("the registry handed the image out to a stranger")
	}
	if !strings.Contains(err.Error(), "401") && !strings.Contains(strings.ToLower(err.Error()), "unauthorized") {
		return fmt.Errorf("it failed, but not for want of a login: %w", err)
	}
	d.note("refused: %s", firstLine(err.Error()))
	return nil
}

// keepPulling pulls again and again until the login was renewed often enough.
func (d *demo) keepPulling(ctx context.Context) error {
	d.say("Keep pulling while the %s logins are renewed %d times: no pull may fail.", lifetime, renewals)
	last, err := d.delivered()
	if err != nil {
		return err
	}
	for d.renewed < renewals {
		if err := d.pullOnce(ctx); err != nil {
			return fmt.Errorf("pull %d failed: %w", d.pulls+1, err)
		}
		now, err := d.delivered()
		if err != nil {
			return err
		}
		if now.password != last.password {
			d.renewed++
			d.note("renewal %d was delivered; %d pulls so far, none failed", d.renewed, d.pulls)
			last = now
		}
		if err := pause(ctx, 250*time.Millisecond); err != nil {
			return err
		}
	}
	return d.pullOnce(ctx)
}

func (d *demo) runPulled(ctx context.Context) error {
	d.say("Run the program that came out of the image.")
	pulled := filepath.Join(d.dir, "pulled-regcred")
	if err := d.extract(ctx, pulled); err != nil {
		return err
	}
	before, err := fileDigest(d.self)
	if err != nil {
		return err
	}
	after, err := fileDigest(pulled)
	if err != nil {
		return err
	}
	if before != after {
		return fmt.Errorf("it has digest %s, but %s was published", after, before)
	}
	out, err := run(ctx, nil, pulled, "version")
	if err != nil {
		return err
	}
	d.note("the same bytes, sha256:%s..., and it says: %s", after[:12], firstLine(out))
	return nil
}

func (d *demo) summary(took time.Duration) {
	fmt.Fprintf(d.out, `
Done in %s. A stored credential became a login that was minted %d times and
delivered each time before the last one expired; %d pulls of a published image
by %s, none failed, and a stranger got nothing.
Next: README.md has the tour. 'regcred serve' starts a server of your own.
`, took.Round(time.Second), d.renewed+1, d.pulls, strings.Join(d.clients, ", "))
}

func fileDigest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}

// poll calls f until it returns nil, for a while.
func poll(ctx context.Context, f func() error) error {
	ctx, cancel := context.WithTimeout(ctx, soon)
	defer cancel()
	for {
		err := f()
		if err == nil {
			return nil
		}
		if pause(ctx, 50*time.Millisecond) != nil {
			return err
		}
	}
}

// pause waits, unless ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
