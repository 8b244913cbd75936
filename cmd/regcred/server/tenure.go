package server

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"

	"regcred.dev"
	"regcred.dev/config"
	"regcred.dev/deliver"
	"regcred.dev/keyring"
	"regcred.dev/provider/ecr"
	"regcred.dev/provider/google"
	"regcred.dev/refresh"
	"regcred.dev/store/memory"
)

// tenure is the time in which a Deis serves what one content of the files gives: a
// credential, alone in a store, and its login, which is kept fresh from the beginning
// and delivered once that is asked for.
type tenure struct {
	core
	files      config.DeisFiles
	credential regcred.Credential
	store      *memory.Store
	hasLogin   <-chan struct{} // closed once there is a valid login

	ctx    context.Context //nolint:containedctx // of the goroutines, which deliver adds to
	cancel context.CancelFunc
	parts  sync.WaitGroup
}

// storeID returns the id of the store. It follows from what the secrets are called, so
// that what was delivered before a restart is known as its own, also where the release
// has moved to another namespace meanwhile.
func (d *Deis) storeID() string {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://regcred.dev/deis/"+d.o.Config.SecretName())).String()
}

// firstRevision returns the revision that a store of now goes on from. It is the time:
// so it is above all revisions of earlier processes, also of one whose last delivery
// is not known here. Where the clock was put back, what is known is enough.
func firstRevision(now time.Time, before previous) uint64 {
	return max(uint64(max(now.UnixMilli(), 0)), before.revision)
}

// credential returns the credential that the files hold. It has the same guid
// whatever they hold, so that what was delivered of one is replaced by the next.
// Errors: Invalid.
func (d *Deis) credential(files config.DeisFiles) (regcred.Credential, error) {
	declared, err := d.o.Config.Credential(files)
	if err != nil {
		return regcred.Credential{}, err
	}
	c := regcred.Credential{
		GUID:     uuid.NewSHA1(uuid.MustParse(d.storeID()), []byte("credential")).String(),
		Location: declared.Location, Spelling: declared.Spelling,
		Provider: declared.Provider, Settings: declared.Settings, Secrets: declared.References,
		Origin: regcred.OriginConfig,
	}
	if err := d.provider.Check(c); err != nil {
		return regcred.Credential{}, regcred.Errorf(regcred.CodeOf(err), "%s: %w", declared.Where, err)
	}
	return c, nil
}

// deisProvider returns the provider of a registry location.
func deisProvider(location string, transport http.RoundTripper) regcred.Provider {
	if location == config.DeisGCR {
		return google.New(google.Options{Transport: transport})
	}
	return ecr.New(ecr.Options{Transport: transport})
}

// begin begins a tenure, until its end is called. before is what was delivered by the
// one before it, or the process before this one. Errors: Invalid.
func (d *Deis) begin(ctx context.Context, files config.DeisFiles, before previous) (*tenure, error) {
	c, err := d.credential(files)
	if err != nil {
		return nil, err
	}
	t := &tenure{files: files, credential: c, store: memory.Resume(d.storeID(), firstRevision(time.Now(), before))}
	if _, err := t.store.Create(ctx, c); err != nil {
		return nil, err
	}
	if err := t.restore(ctx, before); err != nil {
		return nil, err
	}
	t.books = keyring.New(t.store.ID())
	t.books.Log = d.log
	t.fresh = refresh.New(refresh.Options{
		Store: t.store, Log: d.log, Providers: map[string]regcred.Provider{c.Provider: d.provider},
		MaxAge: d.o.Config.TokenRefresh,
	})
	t.targets = []deliver.Target{d.target}
	t.runner = deliver.NewRunner(deliver.Options{Books: t.books, Targets: t.targets, Log: d.log})
	t.ctx, t.cancel = context.WithCancel(ctx)
	t.run()
	return t, nil
}

// run keeps the login fresh.
func (t *tenure) run() {
	hasLogin := make(chan struct{})
	t.hasLogin = hasLogin
	t.parts.Go(func() { _ = t.books.Follow(t.ctx, t.store) }) // ends with its context alone
	t.parts.Go(func() { _ = t.fresh.Run(t.ctx) })             // nobody else takes a fence of this store
	t.parts.Go(func() {
		for book, err := t.books.WaitCurrent(t.ctx); err == nil; book, err = t.books.Wait(t.ctx, book.Revision()) {
			if l := t.login(); l != nil && !l.Expired(time.Now()) {
				close(hasLogin)
				return
			}
		}
	})
}

// ready is closed once there is a login. That of nil never is.
func (t *tenure) ready() <-chan struct{} {
	if t == nil {
		return nil
	}
	return t.hasLogin
}

// deliver delivers from now on.
func (t *tenure) deliver() {
	t.parts.Go(func() { _ = t.runner.Run(t.ctx) }) // ends with its context alone
}

// end ends the tenure and waits until nothing of it is under way. That of nil has
// ended.
func (t *tenure) end() {
	if t == nil {
		return
	}
	t.cancel()
	t.parts.Wait()
	_ = t.store.Close() // it never fails
}

// login returns the newest login, nil where there is none.
func (t *tenure) login() *regcred.Login {
	e, ok := t.books.Now().Get(t.credential.GUID)
	if !ok {
		return nil
	}
	return e.Login
}

// registry returns the registry's host, "" where it is not found yet.
func (t *tenure) registry() string {
	e, ok := t.books.Now().Get(t.credential.GUID)
	if !ok {
		return ""
	}
	return e.Location.String()
}

// problem says why there is no valid login, nil where there is one.
func (t *tenure) problem(now time.Time) error {
	if l := t.login(); l != nil && !l.Expired(now) {
		return nil
	}
	if st, ok := t.fresh.Status(t.credential.GUID); ok && st.Problem != "" {
		return regcred.Errorf(regcred.Unavailable, "there is no valid login: %s", st.Problem)
	}
	return regcred.Errorf(regcred.Unavailable, "there is no valid login yet")
}
