package refresh

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"regcred.dev"
	"regcred.dev/imageref"
)

// outcome is how an attempt ended.
type outcome struct {
	login    *regcred.Login // nil where there is none; with err where it is not stored
	asked    int            // how often the issuer was
	mints    uint64         // logins that it gave
	revision uint64         // the store's, where it took the login
	lender   string         // whose login it is where that was borrowed
	gone     bool           // the credential was deleted
	wait     bool           // not ended: another credential's mint will do
	err      error
}

// renew obtains a login for a credential and stores it. A credential that is
// changed meanwhile is minted from again.
func (r *Refresher) renew(ctx context.Context, e *entry, l *lane, a *attempt) (o outcome) {
	unsaved := a.unsaved
	for {
		o.lender = ""
		var c regcred.Credential
		if c, o.err = r.store.Get(ctx, e.guid); o.err != nil {
			o.gone = regcred.CodeOf(o.err) == regcred.NotFound
			return o
		}
		login := unsaved
		if login == nil || login.Version != c.Version || login.Expired(time.Now()) {
			if login = r.obtainFor(ctx, e, l, c, a, &o); login == nil {
				return o
			}
		}
		o.revision, o.err = r.save(ctx, c, *login)
		switch regcred.CodeOf(o.err) {
		case regcred.Stale:
		case regcred.NotFound:
			o.gone = true
			return o
		default:
			if o.err == nil && r.dropped(ctx, o.lender, login) {
				unsaved = nil
				continue
			}
			o.login = login
			return o
		}
		if o.err = r.whyStale(ctx, c); o.err != nil {
			return o
		}
		unsaved = nil
	}
}

// obtainFor returns a login for a credential: another's where it may be shared,
// else a new one. Where there is none the outcome says why.
func (r *Refresher) obtainFor(ctx context.Context, e *entry, l *lane, c regcred.Credential, a *attempt, o *outcome) *regcred.Login {
	if l.shared {
		var login *regcred.Login
		if login, o.lender, o.wait, o.err = r.borrow(ctx, e, c, a); o.wait || o.err != nil || login != nil {
			return login
		}
		if o.err = r.inTurn(e, c, a); o.err != nil {
			return nil
		}
	}
	o.asked++
	began := time.Now()
	login, err := r.mint(ctx, c, a.expires)
	if ctx.Err() == nil { // else it says nothing of the issuer
		r.mu.Lock()
		l.answered(began, time.Now(), err)
		r.mu.Unlock()
	}
	if o.err = err; err == nil {
		o.mints++
	}
	return login
}

// whyStale returns nil where the store refused a login because its credential was
// changed. Else another process holds the fence: Run is stopped.
func (r *Refresher) whyStale(ctx context.Context, c regcred.Credential) error {
	newer, err := r.store.Get(ctx, c.GUID)
	if err != nil || newer.Version != c.Version {
		return err
	}
	err = regcred.Errorf(regcred.Stale, "another regcred process took over the minting of logins for this store: this one stops; run only one on a store")
	r.stop(&lostFenceError{err})
	return err
}

// mint asks the provider for a login. expires is when the stored one does.
func (r *Refresher) mint(ctx context.Context, c regcred.Credential, expires time.Time) (*regcred.Login, error) {
	p, ok := r.providers[c.Provider]
	if !ok {
		known := slices.Sorted(maps.Keys(r.providers))
		return nil, regcred.Errorf(regcred.Invalid, "this server has no provider %q: it has %s", c.Provider, strings.Join(known, ", "))
	}
	limit := r.timeout
	if !expires.IsZero() {
		limit = timeout(limit, time.Until(expires))
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	login, err := r.call(ctx, p, c)
	if err != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) && regcred.CodeOf(err) == regcred.Internal {
			err = regcred.Errorf(regcred.Unavailable, "provider %s gave no login within %s: %w", c.Provider, limit, err)
		}
		return nil, err
	}
	login.MintedAt = time.Now().UTC().Round(0) // without the monotonic clock, as the store returns it
	login.Version = c.Version
	if err := usable(c, login); err != nil {
		return nil, err
	}
	return &login, nil
}

// call mints, and survives a provider that panics.
func (r *Refresher) call(ctx context.Context, p regcred.Provider, c regcred.Credential) (login regcred.Login, err error) {
	defer func() {
		if what := r.caught(recover(), c); what != "" {
			err = fmt.Errorf("provider %s panicked with %s", c.Provider, what)
		}
	}()
	return p.Mint(ctx, c)
}

// issuerOf returns whom logins of a credential are asked from, and survives a
// provider that panics. The credential is without its secrets.
func (r *Refresher) issuerOf(c regcred.Credential) (who issuer) {
	who.provider = c.Provider
	defer func() { r.caught(recover(), c) }()
	if from, err := r.behind(c); err == nil {
		c, who.provider = from, from.Provider
	}
	p, ok := r.providers[c.Provider]
	if !ok {
		return who
	}
	who.name = p.Issuer(c.Public())
	return who
}

// caught keeps a provider that panics from taking the server with it, and returns
// what it panicked with, "" for nothing. That is logged only where it is the
// runtime's own text: anything else may hold a secret.
func (r *Refresher) caught(v any, c regcred.Credential) string {
	if v == nil {
		return ""
	}
	what := fmt.Sprintf("a value of type %T", v)
	if fault, ok := v.(runtime.Error); ok {
		what = fault.Error()
	}
	r.log.Error("a provider panicked", "credential", c, "panic", what, "stack", string(debug.Stack()))
	return what
}

// usable returns in words why a login cannot serve its credential, nil where it
// can.
func usable(c regcred.Credential, l regcred.Login) error {
	switch {
	case l.Username == "" || l.Password.IsZero():
		return regcred.Errorf(regcred.Unavailable, "provider %s gave a login without a username or password", c.Provider)
	case l.Expired(l.MintedAt):
		return regcred.Errorf(regcred.Unavailable, "provider %s gave a login that had expired already, at %s: compare this machine's clock with the issuer's", c.Provider, l.ExpiresAt.Format(time.RFC3339))
	case c.Location.IsZero() && len(l.Hosts) == 0:
		return regcred.Errorf(regcred.Invalid, "provider %s does not say which registry its logins are for: give the credential a location", c.Provider)
	}
	for _, host := range l.Hosts {
		if loc, err := imageref.ParseLocation(host); err != nil || loc.String() != host || loc.Path() != "" {
			return regcred.Errorf(regcred.Unavailable, "provider %s gave a login for %q, which is not a registry host in canonical form", c.Provider, host)
		}
	}
	if !c.Location.IsZero() && !l.Serves(c.Location.Host()) {
		return regcred.Errorf(regcred.Invalid, "the login is for %s, the credential for %s: correct one of them", strings.Join(l.Hosts, ", "), c.Location)
	}
	return nil
}

// saveTimeout bounds the writing of a login that Run's end does not cut short.
const saveTimeout = 10 * time.Second

// save stores a login, even where Run is just being stopped: it was obtained, and
// an issuer may not give another. A credential without a location gets the
// login's first host.
func (r *Refresher) save(ctx context.Context, c regcred.Credential, l regcred.Login) (revision uint64, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
	defer cancel()
	if c.Location.IsZero() {
		if err := r.locate(ctx, c, l.Hosts[0]); err != nil {
			return 0, err
		}
	}
	return r.store.PutLogin(ctx, c.GUID, l, r.fence)
}

func (r *Refresher) locate(ctx context.Context, c regcred.Credential, host string) error {
	location, err := imageref.ParseLocation(host)
	if err != nil {
		return err
	}
	_, err = r.store.Update(ctx, c.GUID, func(c *regcred.Credential) error {
		if c.Location.IsZero() {
			c.Location, c.Spelling = location, host
		}
		return nil
	})
	if err != nil && regcred.CodeOf(err) != regcred.Internal {
		return regcred.Errorf(regcred.CodeOf(err), "the login is for %s, which this credential cannot have as its location: %w", host, err)
	}
	return err
}
