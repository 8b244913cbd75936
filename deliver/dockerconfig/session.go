package dockerconfig

import (
	"bytes"
	"fmt"
	"time"

	"regcred.dev/deliver"
	"regcred.dev/keyring"
)

// session is one sync of one file.
type session struct {
	wanted
	path      string
	adopt     bool
	now       time.Time
	confirmed []deliver.Hold
	report    deliver.Report
}

// edit changes an opened file and its record to what they are to be, and reports.
func (s *session) edit(o *opened) {
	s.report = deliver.Report{} // the file may be read more than once
	if o.lost {
		s.warn("the record beside it cannot be read, and is begun anew")
	}
	s.recognise(o)
	decision := deliver.Decide(s.now, s.book, s.rendering.Auths, s.delivered(o), s.confirmed)
	for _, d := range decision.Remove {
		if s.err == nil || s.ordered(d) {
			s.remove(o, d)
		}
	}
	for _, a := range decision.Deliver {
		s.deliver(o, a)
	}
	for _, h := range decision.Held {
		s.hold(o, h)
	}
	for _, k := range decision.Keep {
		s.warn("%s: %s", k.Key, k.Reason)
	}
	s.sum(o)
	s.warnClients(o)
}

// recognise records entries that are just what would be delivered: a record was
// lost, or somebody wrote the same.
func (s *session) recognise(o *opened) {
	for _, a := range s.rendering.Auths {
		value, ok := o.doc.entry(a.Key)
		if _, recorded := o.final.Entries[a.Key]; ok && !recorded && s.isWanted(a.Key, value) {
			o.final.Entries[a.Key] = s.entry(o, a)
		}
	}
}

// delivered returns what of the record is in the file, and forgets what is not.
// An entry that somebody changed since is this store's still, but no other's.
func (s *session) delivered(o *opened) []deliver.Delivered {
	var all []deliver.Delivered
	for _, key := range o.final.keys() {
		e := o.final.Entries[key]
		own := e.Store == s.book.StoreID()
		value, ok := o.doc.entry(key)
		if !ok && own {
			delete(o.final.Entries, key)
		}
		if ok && (own || o.final.has(key, value)) {
			all = append(all, deliver.Delivered{
				Where: s.path, Key: key, GUID: e.GUID, Blocks: e.Blocks,
				StoreID: e.Store, Revision: e.Revision, ExpiresAt: e.Expires,
			})
		}
	}
	return all
}

// ordered reports whether an entry is to go whatever is wanted: its credential was
// deleted, or its login dropped.
func (s *session) ordered(d deliver.Delivered) bool {
	e, ok := s.book.Get(d.GUID)
	return !ok || d.Revision < e.DropRevision
}

// remove takes an entry away, unless it is no longer what was delivered.
func (s *session) remove(o *opened, d deliver.Delivered) {
	if value, ok := o.doc.entry(d.Key); ok && o.final.has(d.Key, value) {
		o.doc.deleteEntry(d.Key)
		s.report.Changed++
	}
	delete(o.final.Entries, d.Key)
}

// deliver puts an entry in place, unless somebody else's is there.
func (s *session) deliver(o *opened, a keyring.Auth) {
	value, ok := o.doc.entry(a.Key)
	right := ok && s.isWanted(a.Key, value)
	e := o.final.Entries[a.Key]
	ours := e.Store == s.book.StoreID() || o.final.has(a.Key, value)
	if ok && !right && !ours && !s.adopt {
		s.warn("conflict: it has an entry for %s that regcred did not write, which is left alone: remove it, or configure adopt: true", a.Key)
		return
	}
	if !right {
		o.doc.setEntry(a.Key, s.values[a.Key])
		s.report.Changed++
	}
	o.final.Entries[a.Key] = s.entry(o, a)
}

// hold reports an entry that stays as it is. Where somebody changed it, it is no
// longer regcred's.
func (s *session) hold(o *opened, h deliver.Hold) {
	if value, _ := o.doc.entry(h.Key); o.final.has(h.Key, value) {
		s.report.Held = append(s.report.Held, h)
		return
	}
	delete(o.final.Entries, h.Key)
}

// entry returns what is to be recorded of an entry. Where it was delivered already
// it stays as it was recorded, unless a login was dropped since: the new one may be
// the very same, and is not dropped.
func (s *session) entry(o *opened, a keyring.Auth) delivered {
	e := delivered{
		GUID: a.GUID, Store: s.book.StoreID(), Blocks: a.Blocks(), Expires: a.ExpiresAt.UTC(),
		Digests: []string{o.final.digest(s.values[a.Key])},
	}
	var dropped uint64
	if c, ok := s.book.Get(a.GUID); ok {
		e.Revision, dropped = c.Revision, c.DropRevision
	}
	if old, ok := o.final.Entries[a.Key]; ok && old.same(e) && old.Revision >= dropped {
		return old
	}
	return e
}

// isWanted reports whether a value means what is to be delivered under the key.
func (s *session) isWanted(key string, value []byte) bool {
	return bytes.Equal(canonical(value), canonical(s.values[key]))
}

// sum counts what this store has in the file now.
func (s *session) sum(o *opened) {
	for _, key := range o.final.keys() {
		e := o.final.Entries[key]
		if e.Store != s.book.StoreID() {
			continue
		}
		s.report.Delivered++
		if e.Expires.IsZero() {
			continue
		}
		if first := s.report.EarliestExpiry; first.IsZero() || e.Expires.Before(first) {
			s.report.EarliestExpiry = e.Expires
		}
		if !s.now.Before(e.Expires) {
			s.warn("the login for %s expired at %s, and stays until a better one comes", key, e.Expires.Format(time.RFC3339))
		}
	}
}

func (s *session) warn(format string, args ...any) {
	s.report.Warnings = append(s.report.Warnings, s.path+": "+fmt.Sprintf(format, args...))
}
