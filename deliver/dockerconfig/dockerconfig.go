// Package dockerconfig keeps docker config files right: their "auths" have the
// logins of a scope's keyring, in the dialect of those who read the file.
//
// It changes nothing but its own entries; everything else in a file stays byte for
// byte, and the file's mode and symbolic links stay too. What it delivered is
// recorded beside the file.
//
// A file is replaced as a whole, as docker does it. So hard links to it are not kept,
// a program that writes in place may write to the one that was replaced, and a file
// that is a mount of its own cannot be replaced: mount its directory.
package dockerconfig

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"syscall"
	"time"

	"regcred.dev"
	"regcred.dev/deliver"
	"regcred.dev/keyring"
)

// Options configure a Target.
type Options struct {
	// Name is the target's name. Default: the first path.
	Name string
	// Paths are the files, such as /root/.docker/config.json. One that does not
	// exist is made, of mode 0600, and so is its directory, of mode 0700. No other
	// target of the same store may have the same file.
	Paths []string
	// Scope is whose keyring the files get.
	Scope regcred.Scope
	// Dialect is how they are read. Default keyring.Docker.
	Dialect keyring.Dialect
	// Broaden lets a lone path credential stand for its host.
	Broaden bool
	// Adopt takes over entries under regcred's keys that others wrote. Without it
	// they are left alone, and reported.
	Adopt bool
	// Log gets what happens to a file, at debug level. Nil discards it.
	Log *slog.Logger
}

// Target delivers a keyring to docker config files.
type Target struct {
	o     Options
	files []*file
}

var _ deliver.Target = (*Target)(nil)

// New returns a Target. It does no I/O.
func New(o Options) *Target {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Dialect == "" {
		o.Dialect = keyring.Docker
	}
	if o.Name == "" && len(o.Paths) > 0 {
		o.Name = o.Paths[0]
	}
	t := &Target{o: o}
	for _, path := range o.Paths {
		t.files = append(t.files, &file{path: path, log: o.Log})
	}
	return t
}

// Describe implements deliver.Target.
func (t *Target) Describe() deliver.Info {
	return deliver.Info{Name: t.o.Name, Kind: "dockerconfig", Scope: t.o.Scope.String()}
}

// Sync implements deliver.Target. A malformed file is Invalid or TooLarge, with the
// position; the other files are synced all the same. A keyring that the dialect
// cannot say is Invalid: nothing is delivered then, and what was delivered stays,
// unless its credential was deleted or its login dropped.
func (t *Target) Sync(ctx context.Context, book *keyring.Book, o deliver.SyncOptions) (deliver.Report, error) {
	if !book.Current() {
		return deliver.Report{}, regcred.Errorf(regcred.Unavailable, "the store's credentials are not all read yet: nothing is changed")
	}
	w := t.want(book)
	report := deliver.Report{Omitted: w.rendering.Omitted, Warnings: w.warnings}
	var failed []error
	for _, f := range t.files {
		if ctx.Err() != nil {
			return report, ctx.Err()
		}
		s := session{wanted: w, path: f.path, adopt: t.o.Adopt, now: time.Now(), confirmed: o.Confirmed}
		if err := f.sync(ctx, &s); err != nil {
			failed = append(failed, explain(f.path, err))
		}
		merge(&report, s.report)
	}
	return report, errors.Join(w.err, deliver.Join("files", failed))
}

// want renders the keyring.
func (t *Target) want(book *keyring.Book) wanted {
	rendering, err := book.Keyring(t.o.Scope).Render(t.o.Dialect, keyring.RenderOptions{Broaden: t.o.Broaden})
	if regcred.CodeOf(err) == regcred.NotFound {
		return wanted{book: book, warnings: []string{err.Error()}}
	}
	if err != nil {
		return wanted{book: book, err: err}
	}
	text, err := rendering.DockerConfig()
	if err != nil {
		return wanted{book: book, err: err}
	}
	var file struct {
		Auths map[string]json.RawMessage `json:"auths"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return wanted{book: book, err: err}
	}
	return wanted{book: book, rendering: rendering, values: file.Auths}
}

// wanted is what a book has for a file.
type wanted struct {
	book      *keyring.Book
	rendering keyring.Rendering
	values    map[string]json.RawMessage // by key: the entry's text
	warnings  []string
	err       error // why the dialect cannot say it: nothing is known to be wanted
}

// Uninstall implements deliver.Target.
func (t *Target) Uninstall(ctx context.Context, storeID string) error {
	var failed []error
	for _, f := range t.files {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := f.uninstall(ctx, storeID); err != nil {
			failed = append(failed, explain(f.path, err))
		}
	}
	return deliver.Join("files", failed)
}

// merge adds a file's report to the target's.
func merge(to *deliver.Report, r deliver.Report) {
	to.Delivered += r.Delivered
	to.Changed += r.Changed
	if e := r.EarliestExpiry; !e.IsZero() && (to.EarliestExpiry.IsZero() || e.Before(to.EarliestExpiry)) {
		to.EarliestExpiry = e
	}
	to.Warnings = append(to.Warnings, r.Warnings...)
	to.Held = append(to.Held, r.Held...)
}

// explain names the file in an error, and gives errors of the system a code.
func explain(path string, err error) error {
	if coded, ok := errors.AsType[*regcred.Error](err); ok {
		return regcred.Errorf(coded.Code, "%s: %w", path, err)
	}
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, fs.ErrPermission):
		return regcred.Errorf(regcred.Denied, "%s: %w: let regcred's user write there", path, err)
	case errors.Is(err, syscall.EBUSY):
		return regcred.Errorf(regcred.Denied, "%s: %w: a file that is a mount of its own cannot be replaced, mount its directory", path, err)
	}
	return regcred.Errorf(regcred.Unavailable, "%s: %w", path, err)
}
