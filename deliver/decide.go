package deliver

import (
	"fmt"
	"slices"
	"time"

	"regcred.dev/keyring"
)

// A change that takes something away of more than one in bulkShare of the delivered
// credentials, and of more than bulkFloor of them, waits for an operator. Deleting
// what is not needed any more is everyday work where there are few; where everything
// asks to be confirmed, people confirm without looking.
const (
	bulkShare = 10
	bulkFloor = 10
)

// Decision is what becomes of each entry that is wanted or was delivered.
type Decision struct {
	// Deliver are to be in place as the keyring has them.
	Deliver []keyring.Auth
	// Keep stay as they were delivered, because there is nothing better now.
	Keep []Kept
	// Remove are to be taken away.
	Remove []Delivered
	// Asked are those of Remove that somebody asked for one by one, by confirming a
	// hold or by dropping the login: they are no matter of how many there are.
	Asked []Delivered
	// Held stay as they were delivered until an operator confirms.
	Held []Hold
}

// Kept is a delivered entry that stays without a login that is good now.
type Kept struct {
	Delivered
	// Reason is half a sentence on why.
	Reason string
}

// Decide says what a target does at one place. wanted is what the book has for it,
// with at most one for each key, and delivered is what is recorded of what is
// there, in any order and from any store. The target carries out Remove before
// Deliver.
//
// Something is taken away only where all of this holds: it came from the book's
// store; the book is Current, and no older than what was delivered; and the store
// recorded the credential's deletion, or that its login was dropped since it was
// delivered, or it has the credential, with a login, and the keyring no longer gives
// that login this key. A login that is missing or has expired ends nothing: the last
// one delivered stays, unless it was dropped.
//
// Too many removals at once are held. A dropped login does not count, and is never
// held for their sake: somebody asked for each one, because it must not be used.
func Decide(now time.Time, book *keyring.Book, wanted []keyring.Auth, delivered []Delivered, confirmed []Hold) Decision {
	r := rule{now: now, book: book, confirmed: confirmed}
	there := make(map[string]Delivered, len(delivered))
	for _, d := range delivered {
		there[d.Key] = d
	}
	taken := make(map[string]bool, len(wanted))
	for _, a := range wanted {
		taken[a.Key] = r.want(a, there)
	}
	for _, d := range delivered {
		if !taken[d.Key] {
			r.unwanted(d)
		}
	}
	r.holdBulk(delivered)
	return r.Decision
}

// End says what becomes of what was delivered at a place that a target no longer
// serves: all that the book's store delivered is taken away, if the book is Current
// and no older than that. How many places may end at once is for the target to say,
// by TooMany.
func End(book *keyring.Book, delivered []Delivered, confirmed []Hold) Decision {
	r := rule{book: book, confirmed: confirmed}
	for _, d := range delivered {
		if !r.undecided(d) {
			r.Remove = append(r.Remove, d)
		}
	}
	r.Remove = append(r.Remove, r.Asked...)
	return r.Decision
}

// TooMany reports whether taking away n of all is so much that an operator has to
// confirm it.
func TooMany(n, all int) bool { return n > bulkFloor && n*bulkShare > all }

// rule gathers a Decision.
type rule struct {
	Decision
	now       time.Time
	book      *keyring.Book
	confirmed []Hold
}

// want decides on an entry that the keyring has. It reports false where what was
// delivered under its key is to be decided on as if nothing were wanted there.
func (r *rule) want(a keyring.Auth, there map[string]Delivered) bool {
	d, ok := there[a.Key]
	switch {
	case !r.book.Current():
		return false
	case !ok, r.isConfirmed(d):
		r.Deliver = append(r.Deliver, a)
	case d.StoreID != r.book.StoreID():
		r.hold(d, otherStore(d))
	case r.book.Revision() < d.Revision && !expired(d.ExpiresAt, r.now):
		r.hold(d, r.older(d))
	case d.GUID == a.GUID && !d.Blocks && r.worse(a, d) && !r.dropped(d):
		r.keep(d, "there is no better login now; the one delivered last stays")
	default:
		r.Deliver = append(r.Deliver, a)
	}
	return true
}

// worse reports whether a login that the keyring has is of less use than the one
// that was delivered from the same credential.
func (r *rule) worse(a keyring.Auth, d Delivered) bool {
	return a.Blocks() || expired(a.ExpiresAt, r.now) && !expired(d.ExpiresAt, r.now)
}

// unwanted decides on what was delivered and is no longer in the keyring.
func (r *rule) unwanted(d Delivered) {
	if r.undecided(d) {
		return
	}
	entry, known := r.book.Get(d.GUID)
	_, deleted := r.book.Deleted(d.GUID)
	switch {
	case deleted, d.Blocks:
		r.Remove = append(r.Remove, d)
	case r.dropped(d):
		r.Asked = append(r.Asked, d)
	case !known:
		r.hold(d, "the store does not know its credential "+d.GUID+", and has recorded no deletion")
	case entry.Err != nil:
		r.keep(d, "the credential cannot be read from the store; the login delivered last stays")
	case entry.Login == nil:
		r.keep(d, "the credential has no login now; the one delivered last stays")
	default:
		r.Remove = append(r.Remove, d)
	}
}

// undecided decides on an entry that the book cannot decide on. It reports false
// where it can.
func (r *rule) undecided(d Delivered) bool {
	switch {
	case !r.book.Current():
		r.hold(d, "the store's credentials are not all read yet")
	case r.isConfirmed(d):
		r.Asked = append(r.Asked, d)
	case d.StoreID != r.book.StoreID():
		r.hold(d, otherStore(d))
	case r.book.Revision() < d.Revision:
		r.hold(d, r.older(d))
	default:
		return false
	}
	return true
}

// dropped reports whether the delivered login was dropped on order since.
func (r *rule) dropped(d Delivered) bool {
	entry, known := r.book.Get(d.GUID)
	return known && d.Revision < entry.DropRevision
}

// holdBulk holds all that would be taken away where that is too much at once, and
// adds what was asked for.
func (r *rule) holdBulk(delivered []Delivered) {
	going, ours := map[string]bool{}, map[string]bool{}
	for _, d := range r.Remove {
		going[d.GUID] = true
	}
	for _, d := range delivered {
		if d.StoreID == r.book.StoreID() {
			ours[d.GUID] = true
		}
	}
	if TooMany(len(going), len(ours)) {
		reason := fmt.Sprintf("one change would take away %d of %d credentials, which is more than a tenth", len(going), len(ours))
		for _, d := range r.Remove {
			r.hold(d, reason)
		}
		r.Remove = nil
	}
	r.Remove = append(r.Remove, r.Asked...)
}

func (r *rule) hold(d Delivered, reason string) { r.Held = append(r.Held, Hold{d, reason}) }
func (r *rule) keep(d Delivered, reason string) { r.Keep = append(r.Keep, Kept{d, reason}) }

func (r *rule) isConfirmed(d Delivered) bool {
	return slices.ContainsFunc(r.confirmed, func(h Hold) bool { return h.Delivered.same(d) })
}

func (r *rule) older(d Delivered) string {
	return fmt.Sprintf("the store is at revision %d, and this was delivered at %d: it may be an older copy", r.book.Revision(), d.Revision)
}

func otherStore(d Delivered) string {
	return "it was delivered from another store, " + d.StoreID
}

func expired(at, now time.Time) bool { return !at.IsZero() && !now.Before(at) }
