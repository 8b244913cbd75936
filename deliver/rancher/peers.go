package rancher

import (
	"slices"

	"regcred.dev/deliver"
	"regcred.dev/keyring"
)

// besidePeers leaves out what is up to another process with the same store's id
// (Options.Peers): what it delivered of credentials that the book does not have, and
// its logins that expire no earlier than those of here.
func (s *session) besidePeers(wanted []keyring.Auth, delivered []deliver.Delivered) ([]keyring.Auth, []deliver.Delivered) {
	theirs := map[string]bool{} // by key
	delivered = slices.DeleteFunc(delivered, func(d deliver.Delivered) bool {
		if d.StoreID != s.book.StoreID() || s.isMine(d) {
			return false
		}
		i := slices.IndexFunc(wanted, func(a keyring.Auth) bool { return a.Key == d.Key })
		if i < 0 {
			_, known := s.book.Get(d.GUID)
			return !known
		}
		theirs[d.Key] = wanted[i].GUID == d.GUID && !wanted[i].ExpiresAt.After(d.ExpiresAt)
		return true // whatever is wanted instead may take its place
	})
	wanted = slices.DeleteFunc(wanted, func(a keyring.Auth) bool { return theirs[a.Key] })
	return wanted, delivered
}

// isMine reports whether this process delivered an entry as it is.
func (s *session) isMine(d deliver.Delivered) bool {
	c := s.find(d.Key)
	m, ok := s.recall(c.id)
	return ok && (c.edited || m.record.same(c.record))
}
