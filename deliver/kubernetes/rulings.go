package kubernetes

import (
	"fmt"

	"regcred.dev/deliver"
	"regcred.dev/keyring"
)

// rulings say what becomes of removals that nobody asked for by themselves, by the
// kind of removal. Decide looks at one namespace; what is too much at once for all of
// them together only shows when each was looked at.
type rulings map[removal]ruling

// removal is what counts as one removal. The deletion of a credential is one order,
// in however many namespaces it is carried out. Elsewhere a namespace gets other
// logins than before, because of its labels or of the configuration.
type removal struct {
	deleted   string // the guid of a deleted credential
	namespace string // else: where
}

func removalOf(book *keyring.Book, namespace string, d deliver.Delivered) removal {
	if _, deleted := book.Deleted(d.GUID); deleted {
		return removal{deleted: d.GUID}
	}
	return removal{namespace: namespace}
}

// rule rules on all removals that wait.
func (s *session) rule(book *keyring.Book) rulings {
	out := rulings{}
	var deletions, endings int
	guids, namespaces := map[string]bool{}, 0 // that this store delivers
	s.table.each(func(p *place) {
		for _, d := range p.outcome.pending {
			out[removalOf(book, p.name, d)] = ruling{verdict: verdictRemove}
		}
		if p.secret == nil || p.secret.target != s.o.Name {
			return
		}
		own := 0
		for _, e := range p.secret.recorded {
			if e.Store == book.StoreID() {
				guids[e.GUID] = true
				own = 1
			}
		}
		namespaces += own
	})
	for r := range out {
		if r.deleted != "" {
			deletions++
		} else {
			endings++
		}
	}
	for r := range out {
		switch {
		case r.deleted != "" && deliver.TooMany(deletions, len(guids)):
			out[r] = ruling{verdictHold, fmt.Sprintf(
				"one change would take away %d of %d credentials, which is more than a tenth", deletions, len(guids))}
		case r.deleted == "" && deliver.TooMany(endings, namespaces):
			out[r] = ruling{verdictHold, fmt.Sprintf(
				"one change would take logins away from %d of %d namespaces, which is more than a tenth", endings, namespaces)}
		}
	}
	return out
}
