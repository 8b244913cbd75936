package deliver_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"regcred.dev"
	"regcred.dev/deliver"
	"regcred.dev/imageref"
	"regcred.dev/keyring"
)

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// dropRevision is when logins of newBook's credentials were dropped.
const dropRevision = 5

// newBook returns a book of store "s1" at a revision: it has the credential "has",
// with a login, "bare" without one, and "corrupt"; "gone" is deleted. The login of
// "dropped" was dropped, also that of "renewed", which has a new one, and that of
// "damaged", which is corrupt now.
func newBook(revision uint64) *keyring.Book {
	at := func(guid, host string) regcred.Credential {
		location, err := imageref.ParseLocation(host)
		if err != nil {
			panic(err)
		}
		return regcred.Credential{GUID: guid, Location: location}
	}
	dropped := func(guid string) regcred.Credential {
		c := at(guid, guid+".example.com")
		c.DropRevision = dropRevision
		return c
	}
	return keyring.New("s1").Now().Apply(regcred.Batch{Revision: revision, Current: true, Changes: []regcred.Change{
		{Revision: 1, Credential: at("has", "has.example.com"), Login: &regcred.Login{Username: "u"}},
		{Revision: 2, Credential: at("bare", "bare.example.com")},
		{Revision: 3, Credential: at("corrupt", "corrupt.example.com"), Err: regcred.Errorf(regcred.Corrupt, "flipped")},
		{Revision: 4, Credential: at("gone", "gone.example.com"), Deleted: true},
		{Revision: dropRevision, Credential: dropped("dropped")},
		{Revision: 6, Credential: dropped("renewed"), Login: &regcred.Login{Username: "u"}},
		{Revision: dropRevision, Credential: dropped("damaged")},
		{Revision: 7, Credential: at("damaged", "damaged.example.com"), Err: regcred.Errorf(regcred.Corrupt, "flipped")},
	}})
}

// outcome says what Decide does with the only entry that there is.
func outcome(d deliver.Decision) string {
	var all []string
	for range d.Deliver {
		all = append(all, "deliver")
	}
	for range d.Keep {
		all = append(all, "keep")
	}
	for range d.Remove {
		all = append(all, "remove")
	}
	for range d.Held {
		all = append(all, "hold")
	}
	return fmt.Sprint(all)
}

// current is the revision of the book that decisions are for.
const current = 10

var good, late = now.Add(time.Hour), now.Add(-time.Hour)

// auth is what the keyring has under the key "k".
func auth(guid string, expires time.Time) *keyring.Auth {
	return &keyring.Auth{Key: "k", GUID: guid, Username: "u", ExpiresAt: expires}
}

// there is what was delivered under the key "k", with changes.
func there(guid string, changes ...func(*deliver.Delivered)) *deliver.Delivered {
	d := &deliver.Delivered{Where: "w", Key: "k", GUID: guid, StoreID: "s1", Revision: current, ExpiresAt: good}
	for _, change := range changes {
		change(d)
	}
	return d
}

func expired(d *deliver.Delivered) { d.ExpiresAt = late }
func forever(d *deliver.Delivered) { d.ExpiresAt = time.Time{} }
func newer(d *deliver.Delivered)   { d.Revision = current + 1 }
func other(d *deliver.Delivered)   { d.StoreID = "s2" }
func blocks(d *deliver.Delivered)  { d.Blocks = true }
func before(d *deliver.Delivered)  { d.Revision = dropRevision - 1 }
func since(d *deliver.Delivered)   { d.Revision = dropRevision }

// decision is a case of Decide with one entry.
type decision struct {
	name       string
	wanted     *keyring.Auth
	delivered  *deliver.Delivered
	notCurrent bool
	want       string
	confirmed  string // want, where an operator has confirmed
}

func TestDecide(t *testing.T) {
	block := &keyring.Auth{Key: "k", GUID: "has"}
	for _, test := range []decision{
		{"new", auth("has", good), nil, false, "[deliver]", "[deliver]"},
		{"new, expired", auth("has", late), nil, false, "[deliver]", "[deliver]"},
		{"new block", block, nil, false, "[deliver]", "[deliver]"},
		{"new, book not current", auth("has", good), nil, true, "[]", "[]"},
		{"same", auth("has", good), there("has"), false, "[deliver]", "[deliver]"},
		{"renewed after expiry", auth("has", good), there("has", expired), false, "[deliver]", "[deliver]"},
		{"expired for good", auth("has", late), there("has"), false, "[keep]", "[deliver]"},
		{"expired for forever", auth("has", late), there("has", forever), false, "[keep]", "[deliver]"},
		{"expired for expired", auth("has", late), there("has", expired), false, "[deliver]", "[deliver]"},
		{"block for good", block, there("has"), false, "[keep]", "[deliver]"},
		{"block for block", block, there("has", blocks), false, "[deliver]", "[deliver]"},
		{"good for block", auth("has", good), there("has", blocks), false, "[deliver]", "[deliver]"},
		{"another credential's", auth("has", good), there("bare"), false, "[deliver]", "[deliver]"},
		{"another credential's, expired", auth("has", late), there("bare"), false, "[deliver]", "[deliver]"},
		{"another credential's block", block, there("bare"), false, "[deliver]", "[deliver]"},
		{"older book", auth("has", good), there("has", newer), false, "[hold]", "[deliver]"},
		{"older book, delivered expired", auth("has", good), there("has", newer, expired), false, "[deliver]", "[deliver]"},
		{"other store has the key", auth("has", good), there("has", other), false, "[hold]", "[deliver]"},
		{"book not current", auth("has", good), there("has"), true, "[hold]", "[hold]"},

		{"deleted", nil, there("gone"), false, "[remove]", "[remove]"},
		{"deleted, already expired", nil, there("gone", expired), false, "[remove]", "[remove]"},
		{"deleted, book not current", nil, there("gone"), true, "[hold]", "[hold]"},
		{"deleted, other store", nil, there("gone", other), false, "[hold]", "[remove]"},
		{"deleted, older book", nil, there("gone", newer), false, "[hold]", "[remove]"},
		{"match ended", nil, there("has"), false, "[remove]", "[remove]"},
		{"match ended, older book", nil, there("has", newer), false, "[hold]", "[remove]"},
		{"match ended, other store", nil, there("has", other), false, "[hold]", "[remove]"},
		{"no login now", nil, there("bare"), false, "[keep]", "[remove]"},
		{"corrupt now", nil, there("corrupt"), false, "[keep]", "[remove]"},
		{"unknown", nil, there("unknown"), false, "[hold]", "[remove]"},
		{"unknown, expired", nil, there("unknown", expired), false, "[hold]", "[remove]"},
		{"block of one without a login", nil, there("bare", blocks), false, "[remove]", "[remove]"},
		{"block of none", nil, there("", blocks), false, "[remove]", "[remove]"},
		{"block, other store", nil, there("", blocks, other), false, "[hold]", "[remove]"},
	} {
		t.Run(test.name, test.check)
	}
}

// TestDecideDropped: what was delivered before its login was dropped.
func TestDecideDropped(t *testing.T) {
	for _, test := range []decision{
		{"nothing new", nil, there("dropped", before), false, "[remove]", "[remove]"},
		{"already expired", nil, there("dropped", before, expired), false, "[remove]", "[remove]"},
		{"corrupt since", nil, there("damaged", before), false, "[remove]", "[remove]"},
		{"delivered since", nil, there("dropped", since), false, "[keep]", "[remove]"},
		{"older book", nil, there("dropped", newer), false, "[hold]", "[remove]"},
		{"other store", nil, there("dropped", before, other), false, "[hold]", "[remove]"},
		{"book not current", nil, there("dropped", before), true, "[hold]", "[hold]"},
		{"match ended", nil, there("renewed", before), false, "[remove]", "[remove]"},
		{"a new one", auth("renewed", good), there("renewed", before), false, "[deliver]", "[deliver]"},
		{"a new one that expired", auth("renewed", late), there("renewed", before), false, "[deliver]", "[deliver]"},
		{"a new one, delivered", auth("renewed", late), there("renewed"), false, "[keep]", "[deliver]"},
		{"a new one, other store", auth("renewed", good), there("renewed", before, other), false, "[hold]", "[deliver]"},
		{"a block", &keyring.Auth{Key: "k", GUID: "dropped"}, there("dropped", before), false, "[deliver]", "[deliver]"},
		{"another credential's", auth("has", late), there("dropped", before), false, "[deliver]", "[deliver]"},
	} {
		t.Run(test.name, test.check)
	}
}

func (test decision) check(t *testing.T) {
	book := newBook(current)
	if test.notCurrent {
		book = keyring.New("s1").Now().Apply(regcred.Batch{Revision: current, Changes: []regcred.Change{
			{Revision: 4, Credential: regcred.Credential{GUID: "gone"}, Deleted: true},
		}})
	}
	var wanted []keyring.Auth
	if test.wanted != nil {
		wanted = append(wanted, *test.wanted)
	}
	var delivered []deliver.Delivered
	if test.delivered != nil {
		delivered = append(delivered, *test.delivered)
	}
	if got := outcome(deliver.Decide(now, book, wanted, delivered, nil)); got != test.want {
		t.Errorf("decided %s, want %s", got, test.want)
	}
	var holds []deliver.Hold
	for _, d := range delivered {
		holds = append(holds, deliver.Hold{Delivered: d, Reason: "shown"})
	}
	if got := outcome(deliver.Decide(now, book, wanted, delivered, holds)); got != test.confirmed {
		t.Errorf("decided %s where confirmed, want %s", got, test.confirmed)
	}
}

// TestDecideBulk: how many credentials may go at once of how many.
func TestDecideBulk(t *testing.T) {
	tests := []struct {
		gone, of  int
		keys      int // entries of each credential
		confirmed int
		removed   int // credentials
	}{
		{1, 1, 1, 0, 1},
		{10, 10, 1, 0, 10},
		{10, 10, 5, 0, 10},
		{11, 11, 1, 0, 0},
		{11, 109, 1, 0, 0},
		{11, 110, 1, 0, 11},
		{11, 110, 3, 0, 11},
		{100, 1000, 1, 0, 100},
		{101, 1000, 1, 0, 0},
		{11, 20, 1, 11, 11},
		{11, 20, 1, 1, 11}, // the 10 that are left are few
		{30, 40, 1, 5, 5},
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%d of %d with %d keys, %d confirmed", test.gone, test.of, test.keys, test.confirmed), func(t *testing.T) {
			batch := regcred.Batch{Revision: 5000, Current: true}
			var wanted []keyring.Auth
			var delivered []deliver.Delivered
			var confirmed []deliver.Hold
			for i := range test.of {
				guid := fmt.Sprint(i)
				for k := range test.keys {
					key := fmt.Sprintf("%d-%d", i, k)
					delivered = append(delivered, deliver.Delivered{Key: key, GUID: guid, StoreID: "s1"})
					if i >= test.gone {
						wanted = append(wanted, keyring.Auth{Key: key, GUID: guid, Username: "u"})
					}
					if i < test.confirmed {
						confirmed = append(confirmed, deliver.Hold{Delivered: delivered[len(delivered)-1]})
					}
				}
				if i < test.gone {
					batch.Changes = append(batch.Changes, regcred.Change{Revision: uint64(i + 1), Credential: regcred.Credential{GUID: guid}, Deleted: true})
				}
			}
			// What another store delivered does not count.
			for i := range 1000 {
				delivered = append(delivered, deliver.Delivered{Key: fmt.Sprint("other", i), GUID: fmt.Sprint("other", i), StoreID: "s2"})
			}
			d := deliver.Decide(now, keyring.New("s1").Now().Apply(batch), wanted, delivered, confirmed)
			if len(d.Remove) != test.removed*test.keys {
				t.Errorf("%d entries are removed, want %d", len(d.Remove), test.removed*test.keys)
			}
			if held := len(d.Held) - 1000; held != (test.gone-test.removed)*test.keys {
				t.Errorf("%d entries are held, want %d", held, (test.gone-test.removed)*test.keys)
			}
		})
	}
}

// TestDecideDropsAreNoBulk: dropped logins go, however many they are. Deletions
// beside them are held where those alone are too many.
func TestDecideDropsAreNoBulk(t *testing.T) {
	const dropped, deleted, all = 1000, 11, 1050
	batch := regcred.Batch{Revision: 5000, Current: true}
	var delivered []deliver.Delivered
	for i := range all {
		c := regcred.Change{Revision: uint64(2000 + i), Credential: regcred.Credential{GUID: fmt.Sprint(i)}}
		if i < dropped {
			c.Credential.DropRevision = c.Revision
		}
		c.Deleted = i >= all-deleted
		batch.Changes = append(batch.Changes, c)
		delivered = append(delivered, deliver.Delivered{Key: fmt.Sprint(i), GUID: fmt.Sprint(i), StoreID: "s1", Revision: 1})
	}
	for _, test := range []struct{ of, removed, held, kept int }{
		{dropped, dropped, 0, 0},
		{all, dropped + deleted, 0, all - dropped - deleted},
	} {
		d := deliver.Decide(now, keyring.New("s1").Now().Apply(batch), nil, delivered[:test.of], nil)
		if len(d.Remove) != test.removed || len(d.Held) != test.held || len(d.Keep) != test.kept {
			t.Errorf("of %d, %d are removed, %d held, %d kept", test.of, len(d.Remove), len(d.Held), len(d.Keep))
		}
	}
	d := deliver.Decide(now, keyring.New("s1").Now().Apply(batch), nil, delivered[dropped-deleted:], nil)
	if len(d.Remove) != deleted || len(d.Held) != deleted {
		t.Errorf("of %d dropped ones %d are removed, of %d deleted ones %d are held", deleted, len(d.Remove), deleted, len(d.Held))
	}
}

// TestDecideProperties: every entry gets just one decision, nothing is removed
// without a reason that the store recorded, and no dropped login stays.
func TestDecideProperties(t *testing.T) {
	guids := []string{"has", "renewed", "dropped", "bare", "corrupt", "gone", "unknown"}
	stores := []string{"s1", "s2"}
	rapid.Check(t, func(t *rapid.T) {
		book := newBook(uint64(rapid.IntRange(7, 12).Draw(t, "revision")))
		keys := rapid.SliceOfNDistinct(rapid.IntRange(0, 30), 0, 20, rapid.ID).Draw(t, "keys")
		var wanted []keyring.Auth
		var delivered []deliver.Delivered
		for _, k := range keys {
			key, guid := fmt.Sprint(k), rapid.SampledFrom(guids).Draw(t, "guid")
			expires := now.Add(time.Duration(rapid.IntRange(-1, 1).Draw(t, "hours")) * time.Hour)
			what := rapid.IntRange(1, 3).Draw(t, "what")
			if what&1 != 0 {
				wanted = append(wanted, keyring.Auth{Key: key, GUID: rapid.SampledFrom(guids[:4]).Draw(t, "wanted"), Username: "u", ExpiresAt: expires})
			}
			if what&2 != 0 {
				delivered = append(delivered, deliver.Delivered{
					Key: key, GUID: guid, StoreID: rapid.SampledFrom(stores).Draw(t, "store"),
					Revision: uint64(rapid.IntRange(0, 12).Draw(t, "at")), ExpiresAt: expires,
				})
			}
		}
		d := deliver.Decide(now, book, wanted, delivered, nil)
		dropped := func(d deliver.Delivered) bool {
			return d.StoreID == "s1" && (d.GUID == "dropped" || d.GUID == "renewed") && d.Revision < dropRevision
		}
		var decided []string
		for _, a := range d.Deliver {
			decided = append(decided, a.Key)
		}
		for _, k := range d.Keep {
			decided = append(decided, k.Key)
			if dropped(k.Delivered) {
				t.Fatalf("a dropped login is kept: %+v", k)
			}
		}
		for _, h := range d.Held {
			decided = append(decided, h.Key)
			if dropped(h.Delivered) {
				t.Fatalf("a dropped login is held: %+v", h)
			}
		}
		for _, r := range d.Remove {
			decided = append(decided, r.Key)
			_, deleted := book.Deleted(r.GUID)
			if r.StoreID != "s1" || r.Revision > book.Revision() || !deleted && r.GUID != "has" && r.GUID != "renewed" && !dropped(r) {
				t.Fatalf("removed without a recorded reason: %+v", r)
			}
		}
		var all []string
		for _, k := range keys {
			all = append(all, fmt.Sprint(k))
		}
		slices.Sort(all)
		slices.Sort(decided)
		if diff := cmp.Diff(all, decided); diff != "" {
			t.Fatalf("keys decided on (-want +got):\n%s", diff)
		}
	})
}

// TestEnd: a place that is no longer served loses what the book's store delivered,
// whatever became of the credential.
func TestEnd(t *testing.T) {
	for _, test := range []struct {
		name       string
		delivered  *deliver.Delivered
		notCurrent bool
		want       string
		confirmed  string
	}{
		{"has a login", there("has"), false, "[remove]", "[remove]"},
		{"has none", there("bare"), false, "[remove]", "[remove]"},
		{"unknown", there("unknown"), false, "[remove]", "[remove]"},
		{"deleted", there("gone"), false, "[remove]", "[remove]"},
		{"block", there("", blocks), false, "[remove]", "[remove]"},
		{"other store", there("has", other), false, "[hold]", "[remove]"},
		{"older book", there("has", newer), false, "[hold]", "[remove]"},
		{"book not current", there("has"), true, "[hold]", "[hold]"},
	} {
		book := newBook(current)
		if test.notCurrent {
			book = keyring.New("s1").Now()
		}
		all := []deliver.Delivered{*test.delivered}
		if got := outcome(deliver.End(book, all, nil)); got != test.want {
			t.Errorf("%s: decided %s, want %s", test.name, got, test.want)
		}
		confirmed := deliver.End(book, all, []deliver.Hold{{Delivered: *test.delivered}})
		if got := outcome(confirmed); got != test.confirmed {
			t.Errorf("%s, confirmed: decided %s, want %s", test.name, got, test.confirmed)
		}
		if test.confirmed == "[remove]" && len(confirmed.Asked) != 1 && test.want == "[hold]" {
			t.Errorf("%s: what was confirmed is not said to be asked for", test.name)
		}
	}
}

func TestTooMany(t *testing.T) {
	for _, test := range []struct {
		n, all int
		want   bool
	}{{0, 0, false}, {10, 10, false}, {11, 11, true}, {11, 110, false}, {11, 109, true}, {100, 1000, false}} {
		if got := deliver.TooMany(test.n, test.all); got != test.want {
			t.Errorf("%d of %d are too many: %v", test.n, test.all, got)
		}
	}
}
