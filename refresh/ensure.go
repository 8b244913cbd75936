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
	login, err := r.obtain(ctx, guid, version, false)
	if err != nil && stored != nil && !stored.Expired(time.Now()) {
		return *stored, nil
	}
	return login, err
}

// Mint obtains a new login now, whatever is stored, or shares a mint under way.
//
// It needs Run, and waits for it. Errors: as Ensure.
func (r *Refresher) Mint(ctx context.Context, guid string) (regcred.Login, error) {
	version, _, err := r.look(ctx, guid)
	if err != nil {
		return regcred.Login{}, err
	}
	return r.obtain(ctx, guid, version, true)
}

// obtain returns a login of a version or a newer one: an attempt under way may
// just be ending with an older one.
func (r *Refresher) obtain(ctx context.Context, guid string, version uint64, fresh bool) (regcred.Login, error) {
	for {
		a, login, err := r.ask(guid, fresh)
		if a != nil {
			login, err = r.await(ctx, a)
		}
		if err != nil || login.Version >= version {
			return login, err
		}
	}
}

// ask returns the attempt to wait for. Unless the login is to be fresh, it is nil
// where a login waits to be stored, or the credential is failing: those are then
// returned.
func (r *Refresher) ask(guid string, fresh bool) (*attempt, regcred.Login, error) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.entries[guid]
	switch {
	case !ok:
		return nil, regcred.Login{}, regcred.Errorf(regcred.NotFound, "there is no credential %s", guid)
	case fresh:
	case e.unsaved != nil && !e.unsaved.Expired(now):
		return nil, *e.unsaved, nil
	case e.failures > 0 && e.attempt == nil && now.Before(e.retryAt):
		return nil, regcred.Login{}, regcred.Errorf(regcred.CodeOf(e.err), "%w; the next try is in %s", e.err, e.retryAt.Sub(now).Round(time.Millisecond))
	}
	return r.request(e, fresh), regcred.Login{}, nil
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
