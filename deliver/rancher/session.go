package rancher

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"regcred.dev"
	"regcred.dev/deliver"
	"regcred.dev/keyring"
)

// session is one sync of an environment.
type session struct {
	*Target

	env       *environment
	book      *keyring.Book
	now       time.Time
	confirmed []deliver.Hold

	registries map[string][]resource // by host
	all        []*credential
	report     deliver.Report
	failed     []error
}

// credential is a registry's credential, as it was found.
type credential struct {
	resource

	host     string // its registry's; where that makes no sense, the registry's id
	text     string // its description without the record
	record   record
	recorded bool
	// edited says that this process delivered into it, and the record is gone: it is
	// no longer what was delivered.
	edited bool
	// gone says that it was taken away by this session.
	gone bool
}

// key names the credential for the rule of deliver.Decide, and for people.
func (c *credential) key() string { return c.host + " (" + c.ID + ")" }

// sync makes the environment match. Errors: errTaken where it has to start over.
func (s *session) sync(ctx context.Context, rendering keyring.Rendering) error {
	s.report.Omitted = rendering.Omitted
	if err := s.read(ctx); err != nil {
		return err
	}
	slots := s.plan(rendering.Auths)
	wanted := make([]keyring.Auth, 0, len(slots))
	byKey := make(map[string]slot, len(slots))
	for _, place := range slots {
		a := place.auth
		a.Key = place.key()
		wanted = append(wanted, a)
		byKey[a.Key] = place
	}
	delivered := s.delivered()
	if s.o.LeaveUnknown {
		delivered = slices.DeleteFunc(delivered, func(d deliver.Delivered) bool {
			_, isWanted := byKey[d.Key]
			return !isWanted && !s.knows(d)
		})
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

// read lists the environment's registries and credentials.
func (s *session) read(ctx context.Context) error {
	registries, err := s.env.list(ctx, s.env.registries.Links["collection"])
	if err != nil {
		return err
	}
	credentials, err := s.env.list(ctx, s.env.credentials.Links["collection"])
	if err != nil {
		return err
	}
	hosts := map[string]string{} // by the registry's id
	s.registries = map[string][]resource{}
	for _, r := range registries {
		host, ok := hostOf(r.ServerAddress)
		if !ok {
			s.o.Log.Debug("a registry of Rancher's is passed over: its address names no host", "registry", r.ID)
			continue
		}
		hosts[r.ID] = host
		s.registries[host] = append(s.registries[host], r)
	}
	for _, r := range credentials {
		c := &credential{resource: r, host: hosts[r.RegistryID]}
		if c.host == "" {
			c.host = "registry " + r.RegistryID
		}
		c.text, c.record, c.recorded = parseRecord(r.Description)
		_, known := s.recall(r.ID)
		c.edited = known && !c.recorded
		s.all = append(s.all, c)
	}
	return nil
}

// delivered says what was delivered: by the records, and where somebody wrote over
// one by what this process remembers.
func (s *session) delivered() []deliver.Delivered {
	var list []deliver.Delivered
	for _, c := range s.all {
		r := c.record
		if m, ok := s.recall(c.ID); ok && c.edited {
			r = m.record
		}
		if c.recorded || c.edited && r.Store == s.book.StoreID() {
			list = append(list, deliver.Delivered{
				Where: s.env.where, Key: c.key(), GUID: r.GUID, StoreID: r.Store, Revision: r.Revision, ExpiresAt: r.Expires,
			})
		}
	}
	return list
}

// knows reports whether the book's store has, or had, the credential of an entry.
func (s *session) knows(d deliver.Delivered) bool {
	_, has := s.book.Get(d.GUID)
	_, had := s.book.Deleted(d.GUID)
	return has || had
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
		s.forget(c.ID)
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
		if _, known := s.book.Get(c.record.GUID); s.o.LeaveUnknown && !known {
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
	return join(s.failed)
}

func (s *session) warn(format string, args ...any) {
	s.report.Warnings = append(s.report.Warnings, s.env.where+": "+strings.TrimSpace(fmt.Sprintf(format, args...)))
}
