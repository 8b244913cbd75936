package kubernetes

import (
	"maps"
	"math"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"regcred.dev"
)

// TestRankOf: a namespace is the more urgent the less its logins may be used, and the
// sooner they end.
func TestRankOf(t *testing.T) {
	b := book(map[string]string{"kept.example.com": "k", "leaked.example.com": "l", "gone.example.com": "g"})
	b = b.Apply(regcred.Batch{Revision: 10, Changes: []regcred.Change{
		{Revision: 9, Credential: regcred.Credential{GUID: "leaked.example.com", DropRevision: 9}},
		{Revision: 10, Credential: regcred.Credential{GUID: "gone.example.com"}, Deleted: true},
	}})
	o := &Options{}
	o.setDefaults()
	at := time.Unix(100, 0)
	entry := func(guid string, revision uint64, expires time.Time) recorded {
		return recorded{guid, delivered{GUID: guid, Store: b.StoreID(), Revision: revision, Expires: expires}}
	}
	never := entry("kept.example.com", 1, time.Time{})
	ours := func(all ...recorded) *object { return &object{target: o.Name, recorded: all} }
	for name, test := range map[string]struct {
		secret *object
		want   rank
	}{
		"none":                {nil, rank{classPass, 0}},
		"somebody else's":     {&object{recorded: []recorded{never}}, rank{classPass, 0}},
		"empty":               {ours(), rank{classPass, 0}},
		"never ends":          {ours(never), rank{classPass, math.MaxInt64}},
		"the first that ends": {ours(never, entry("kept.example.com", 1, at.Add(1)), entry("kept.example.com", 1, at)), rank{classPass, at.UnixNano()}},
		"dropped":             {ours(never, entry("leaked.example.com", 8, at)), rank{}},
		"dropped before":      {ours(entry("leaked.example.com", 9, at)), rank{classPass, at.UnixNano()}},
		"deleted":             {ours(entry("gone.example.com", 1, at)), rank{}},
		"not known":           {ours(entry("unheard.example.com", 1, at)), rank{classPass, at.UnixNano()}},
		"of another store":    {ours(recorded{"gone.example.com", delivered{GUID: "gone.example.com", Store: "s2"}}), rank{classPass, math.MaxInt64}},
	} {
		if got := o.rankOf(&place{secret: test.secret}, b); got != test.want {
			t.Errorf("%s: %+v, want %+v", name, got, test.want)
		}
	}
}

// TestForesee: what a deletion takes away is ruled on before any namespace is seen to,
// unless it is so much that it has to be held.
func TestForesee(t *testing.T) {
	c := newCluster()
	c.holds("shop", true, "gone")
	c.holds("other", false, "kept")
	c.holds("much", true, names("much", 11)...)
	c.holds("left", false, "kept") // a namespace that is no longer selected: who knows which others lose logins
	c.table.setNamespace("left", &namespace{scope: regcred.SpaceScope("cluster", "left")})
	got := c.foresee(task{book: c.book, renderings: newRenderings(c.book, c.o.Dialect)})
	want := rulings{{deleted: "gone", tenant: "namespace shop"}: {verdict: verdictRemove}}
	if !maps.Equal(got, want) {
		t.Errorf("foreseen are %v, want %v", got, want)
	}
}

// holds has a namespace hold credentials, which may be deleted then. No namespace was
// seen to since.
func (c *cluster) holds(ns string, deleted bool, guids ...string) {
	c.deliver(ns, regcred.SpaceScope("cluster", ns), deleted, guids...)
	c.table.settle(place{name: ns}, nil, outcome{})
	o := *c.table.secret(ns)
	o.kind = corev1.SecretTypeDockerConfigJson
	for _, r := range o.recorded {
		o.present = append(o.present, present{r.key, r.Digest})
	}
	c.table.setSecret(ns, "2", &o)
}
