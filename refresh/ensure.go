package refresh

import (
	"context"
	"errors"
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

// Mint obtains a new login now, whatever is stored, or shares a mint under way. It
// comes before what is merely due, but within the issuer's rate limit.
//
// It needs Run, and waits for it. Errors: as Ensure; Throttled, with RetryAfter,
// while the issuer asks to be left alone.
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
	look := !fresh
	for {
		a, login, err := r.ask(guid, fresh, look)
		switch {
		case a != nil:
			login, err = r.await(ctx, a)
		case errors.Is(err, errStored):
			if login, err = r.storedNow(ctx, guid); regcred.CodeOf(err) == regcred.NotFound {
				look = false // dropped since, or not to be read
				continue
			}
		}
		if err != nil || login.Version >= version {
			return login, err
		}
	}
}

// errStored is ask's answer where a good login is stored: another's attempt ended
// between the caller's look and its question.
var errStored = errors.New("a login is stored")

// storedNow returns the login that is stored now. Errors: NotFound where there is
// none that is of the newest version and valid.
func (r *Refresher) storedNow(ctx context.Context, guid string) (regcred.Login, error) {
	version, login, err := r.look(ctx, guid)
	if err == nil && (login == nil || login.Version != version || login.Expired(time.Now())) {
		err = regcred.Errorf(regcred.NotFound, "credential %s has no login", guid)
	}
	if err != nil {
		return regcred.Login{}, err
	}
	return *login, nil
}

// ask returns the attempt to wait for. It is nil where the issuer asked for a
// pause, and, unless the login is to be fresh, where a login waits to be stored,
// the credential is failing, or has waited in vain for an issuer that is down:
// those are then returned. With look it is errStored where a good login is stored.
func (r *Refresher) ask(guid string, fresh, look bool) (*attempt, regcred.Login, error) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.entries[guid]
	switch {
	case !ok:
		return nil, regcred.Login{}, unknown(guid)
	case !fresh && e.unsaved != nil && e.unsaved.Version >= e.version && !e.unsaved.Expired(now):
		return nil, *e.unsaved, nil
	case look && e.attempt == nil && e.current() && e.valid(now):
		return nil, regcred.Login{}, errStored
	case e.minting, e.parked:
	case e.lane.limit.paused(now):
		return nil, regcred.Login{}, later(e.lane.err, e.lane.limit.pausedUntil.Sub(now))
	case fresh, e.attempt != nil:
	case e.failures > 0 && now.Before(e.retryAt):
		return nil, regcred.Login{}, later(e.err, e.retryAt.Sub(now))
	case e.lane.limit.down() && !e.due.IsZero() && now.Sub(e.due) > probeInterval:
		return nil, regcred.Login{}, later(e.lane.err, e.lane.limit.next(now).Sub(now))
	}
	return r.request(e, fresh, now), regcred.Login{}, nil
}

func unknown(guid string) error {
	return regcred.Errorf(regcred.NotFound, "there is no credential %s", guid)
}

// later returns an error with the time after which there is another try.
func later(err error, wait time.Duration) error {
	wait = max(wait, 0).Round(time.Millisecond)
	const format = "%w; the next try is in %s"
	if code := regcred.CodeOf(err); code != regcred.Throttled {
		return regcred.Errorf(code, format, err, wait)
	}
	return regcred.ThrottledFor(wait, format, err, wait)
}

// retryAfter returns how long whoever throttles asked to be left alone, 0 for any
// other error.
func retryAfter(err error) time.Duration {
	if e, ok := errors.AsType[*regcred.Error](err); ok && e.Code == regcred.Throttled {
		return e.RetryAfter
	}
	return 0
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
