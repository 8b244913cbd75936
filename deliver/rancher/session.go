package rancher

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"regcred.dev"
	"regcred.dev/deliver"
	"regcred.dev/keyring"
)

// system is where a session delivers to: an environment of Rancher 1.x, or a project
// of Rancher 2.x.
type system interface {
	// name names it, for people.
	name() string
	// read returns the credentials that there are.
	read(ctx context.Context) ([]*credential, error)
	// unused says what keeps Rancher from using the chosen ones of a host's credentials,
	// or that there are none.
	unused(host string, there, chosen []*credential) []string
	// create creates a credential for a host, and its registry where there is none.
	// Errors: errTaken where somebody else has just done so.
	create(ctx context.Context, host string, v values) (*credential, error)
	// update writes into a credential.
	update(ctx context.Context, c *credential, v values) error
	// activate has an inactive credential used again.
	activate(ctx context.Context, c *credential) error
	// withdraw removes a credential that regcred created; one that was there before is
	// deactivated, and is its users' again.
	withdraw(ctx context.Context, c *credential) error
}

// values are what is written to a credential.
type values struct {
	username    string
	password    regcred.Secret
	description string
}

// session is one sync of a system.
type session struct {
	*Target

	system    system
	book      *keyring.Book
	now       time.Time
	confirmed []deliver.Hold

	all    []*credential
	report deliver.Report
	failed []error
}

// credential is a registry's credential, as it was found.
type credential struct {
	id       string
	host     string // its registry's; where that makes no sense, what identifies it
	username string
	active   bool

	text     string // its description without the record
	record   record
	recorded bool
	// edited says that this process delivered into it, and the record is gone: it is
	// no longer what was delivered.
	edited bool
	// shared says that it has logins for other hosts too: it is never regcred's.
	shared bool
	// gone says that it was taken away by this session.
	gone bool
}

// key names the credential for the rule of deliver.Decide, and for people.
func (c *credential) key() string { return c.host + " (" + c.id + ")" }

// sync makes the environment match. Errors: errTaken where it has to start over.
func (s *session) sync(ctx context.Context, rendering keyring.Rendering) error {
	s.report.Omitted = rendering.Omitted
	if err := s.read(ctx); err != nil {
		return err
	}
	wanted, byKey := s.wanted(rendering.Auths)
	delivered := s.delivered()
	if s.o.Peers {
		wanted, delivered = s.besidePeers(wanted, delivered)
	}
	decision := deliver.Decide(s.now, s.book, wanted, delivered, s.confirmed)
	for _, d := range decision.Remove {
		c := s.find(d.Key)
		s.try(ctx, c.host, s.takeAway(ctx, c))
	}
	for _, a := range decision.Deliver {
		place := byKey[a.Key]
		err := s.bring(ctx, place)
		if errors.Is(err, errTaken) {
			return err
		}
		s.try(ctx, place.host, err)
	}
	for _, h := range decision.Held {
		s.hold(h)
	}
	for _, k := range decision.Keep {
		s.warn("%s: %s", k.Key, k.Reason)
	}
	s.sum()
	return s.err(ctx)
}

// wanted returns the logins with the keys of their places, and the places by key.
func (s *session) wanted(auths []keyring.Auth) ([]keyring.Auth, map[string]slot) {
	var list []keyring.Auth
	byKey := map[string]slot{}
	for _, place := range s.plan(auths) {
		a := place.auth
		a.Key = place.key()
		list = append(list, a)
		byKey[a.Key] = place
	}
	return list, byKey
}

// read finds the credentials that there are.
func (s *session) read(ctx context.Context) (err error) {
	s.all, err = s.system.read(ctx)
	for _, c := range s.all {
		_, known := s.recall(c.id)
		c.edited = known && !c.recorded && !c.shared
	}
	return err
}

// delivered says what was delivered: by the records, and where somebody wrote over
// one by what this process remembers.
func (s *session) delivered() []deliver.Delivered {
	var list []deliver.Delivered
	for _, c := range s.all {
		r := c.record
		if m, ok := s.recall(c.id); ok && c.edited {
			r = m.record
		}
		if c.recorded || c.edited && r.Store == s.book.StoreID() {
			list = append(list, deliver.Delivered{
				Where: s.system.name(), Key: c.key(), GUID: r.GUID, StoreID: r.Store, Revision: r.Revision, ExpiresAt: r.Expires,
			})
		}
	}
	return list
}

func (s *session) find(key string) *credential {
	for _, c := range s.all {
		if c.key() == key {
			return c
		}
	}
	panic("rancher: the decision speaks of " + key + ", which is not there")
}

// hold reports a credential that stays as it is. Where somebody changed it, it is no
// longer regcred's.
func (s *session) hold(h deliver.Hold) {
	if c := s.find(h.Key); c.edited {
		s.forget(c.id)
		return
	}
	s.report.Held = append(s.report.Held, h)
}

// sum counts what this store has in the environment now.
func (s *session) sum() {
	for _, c := range s.all {
		if !c.recorded || c.gone || c.record.Store != s.book.StoreID() {
			continue
		}
		if _, known := s.book.Get(c.record.GUID); s.o.Peers && !known {
			continue
		}
		s.report.Delivered++
		expires := c.record.Expires
		if expires.IsZero() {
			continue
		}
		if first := s.report.EarliestExpiry; first.IsZero() || expires.Before(first) {
			s.report.EarliestExpiry = expires
		}
		if !s.now.Before(expires) {
			s.warn("the login of %s expired at %s, and stays until a better one comes", c.key(), expires.Format(time.RFC3339))
		}
	}
}

// try notes the error of one registry.
func (s *session) try(ctx context.Context, host string, err error) {
	if err == nil || ctx.Err() != nil {
		return
	}
	if coded, ok := errors.AsType[*regcred.Error](err); ok {
		err = regcred.Errorf(coded.Code, "%s: %w", host, err)
	}
	s.failed = append(s.failed, err)
}

func (s *session) err(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return deliver.Join("registries", s.failed)
}

func (s *session) warn(format string, args ...any) {
	s.report.Warnings = append(s.report.Warnings, s.system.name()+": "+strings.TrimSpace(fmt.Sprintf(format, args...)))
}
