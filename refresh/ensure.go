package refresh

import (
	"context"
	"time"

	"regcred.dev"
)

// Ensure returns the stored login of a credential where it is valid and of the
// newest version; else it mints one, sharing a mint under way. While the
// credential is failing it waits for no further mint than the schedule has. Where
// there is no new login it returns the last good one until that expires.
//
// It needs Run, and waits for it, for a mint. Errors: NotFound; Unavailable where
// Run has ended; those of the provider and of the store; ctx's.
func (r *Refresher) Ensure(ctx context.Context, guid string) (regcred.Login, error) {
	version, stored, err := r.look(ctx, guid)
	if err != nil {
		return regcred.Login{}, err
	}
	if stored != nil && stored.Version == version && !stored.Expired(time.Now()) {
		return *stored, nil
	}
	login, err := r.obtain(ctx, guid)
	if err != nil && stored != nil && !stored.Expired(time.Now()) {
		return *stored, nil
	}
	return login, err
}

// Mint obtains a new login now, whatever is stored, or shares a mint under way.
//
// It needs Run, and waits for it. Errors: as Ensure.
func (r *Refresher) Mint(ctx context.Context, guid string) (regcred.Login, error) {
	if _, _, err := r.look(ctx, guid); err != nil {
		return regcred.Login{}, err
	}
	r.mu.Lock()
	e, ok := r.entries[guid]
	if !ok {
		r.mu.Unlock()
		return regcred.Login{}, notFound(guid)
	}
	a := r.request(e, true)
	r.mu.Unlock()
	return r.await(ctx, a)
}

// obtain returns a login that could not be stored yet, the error of a credential
// that is failing, or what a mint brings.
func (r *Refresher) obtain(ctx context.Context, guid string) (regcred.Login, error) {
	now := time.Now()
	r.mu.Lock()
	e, ok := r.entries[guid]
	if !ok {
		r.mu.Unlock()
		return regcred.Login{}, notFound(guid)
	}
	if e.unsaved != nil && !e.unsaved.Expired(now) {
		defer r.mu.Unlock()
		return *e.unsaved, nil
	}
	if e.failures > 0 && e.attempt == nil && now.Before(e.retryAt) {
		defer r.mu.Unlock()
		return regcred.Login{}, regcred.Errorf(regcred.CodeOf(e.err), "%w; the next try is in %s", e.err, e.retryAt.Sub(now).Round(time.Millisecond))
	}
	a := r.request(e, false)
	r.mu.Unlock()
	return r.await(ctx, a)
}

// look reads a credential's version and login from the store, and learns of them:
// the store's watch may be a moment behind. A login that does not pass its
// integrity check is as good as none: a new one takes its place.
func (r *Refresher) look(ctx context.Context, guid string) (version uint64, login *regcred.Login, err error) {
	c, err := r.store.Get(ctx, guid)
	if err != nil {
		return 0, nil, err
	}
	switch l, err := r.store.Login(ctx, guid); {
	case err == nil:
		login = &l
	case regcred.CodeOf(err) != regcred.NotFound && regcred.CodeOf(err) != regcred.Corrupt:
		return 0, nil, err
	}
	r.learn(regcred.Change{Revision: c.Revision, Credential: c, Login: login})
	return c.Version, login, nil
}

func (r *Refresher) await(ctx context.Context, a *attempt) (regcred.Login, error) {
	select {
	case <-a.done:
		return a.login, a.err
	case <-ctx.Done():
		return regcred.Login{}, ctx.Err()
	case <-r.done:
		return regcred.Login{}, regcred.Errorf(regcred.Unavailable, "no login can be minted: the server is stopping")
	}
}

func notFound(guid string) error {
	return regcred.Errorf(regcred.NotFound, "there is no credential %s", guid)
}
