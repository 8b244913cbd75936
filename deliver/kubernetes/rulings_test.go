package kubernetes

import (
	"fmt"
	"strings"
	"testing"

	"regcred.dev"
	"regcred.dev/deliver"
	"regcred.dev/keyring"
)

// cluster is a table of namespaces with what the store "s1" has delivered.
type cluster struct {
	*session

	book *keyring.Book
}

// newCluster returns one whose configuration has selected a namespace.
func newCluster() *cluster {
	o := &Options{Scopes: Scopes{DefaultOrganization: "cluster"}}
	o.setDefaults()
	o.selects.Store(true)
	return &cluster{&session{o: o, table: newTable(func(string) {})}, keyring.New("s1").Now()}
}

// deliver has a namespace of a scope hold credentials, which are deleted or lose their
// match.
func (c *cluster) deliver(ns string, scope regcred.Scope, deleted bool, guids ...string) {
	o, out := &object{target: c.o.Name}, outcome{}
	for _, guid := range guids {
		o.recorded = append(o.recorded, recorded{guid + ".example.com", delivered{GUID: guid, Store: "s1"}})
		out.pending = append(out.pending, deliver.Delivered{Where: ns, Key: guid + ".example.com", GUID: guid, StoreID: "s1"})
		if deleted {
			revision := c.book.Revision() + 1
			c.book = c.book.Apply(regcred.Batch{Current: true, Revision: revision, Changes: []regcred.Change{
				{Revision: revision, Credential: regcred.Credential{GUID: guid}, Deleted: true},
			}})
		}
	}
	c.table.setNamespace(ns, &namespace{served: true, scope: scope})
	c.table.setSecret(ns, "1", o)
	c.table.settle(place{name: ns}, nil, out)
}

// keeps has a namespace hold one credential that stays.
func (c *cluster) keeps(ns string, scope regcred.Scope) {
	c.deliver(ns, scope, false, "of-"+ns)
	c.table.settle(place{name: ns}, nil, outcome{})
}

// reasonFor returns why the removals in a namespace are held: those which are, as
// "N: REASON", "" where none is.
func (c *cluster) reasonFor(ns string) string {
	rulings, held, reason := c.rule(c.book), 0, ""
	p := c.table.get(ns)
	for _, d := range p.outcome.pending {
		if r := rulings[c.o.removalOf(c.book, &p, d)]; r.verdict == verdictHold {
			held, reason = held+1, r.reason
		}
	}
	if held == 0 {
		return ""
	}
	return fmt.Sprintf("%d: %s", held, reason)
}

// names returns n names.
func names(prefix string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("%s-%02d", prefix, i)
	}
	return all
}

func wantReason(t *testing.T, what, got, want string) {
	t.Helper()
	if want == "" && got != "" || !strings.Contains(got, want) {
		t.Errorf("%s: held are %q, want %q", what, got, want)
	}
}

// TestTenantsAreApart: who deletes many credentials of its own, or writes whatever it
// likes into the records in its namespaces, has nobody else's removals held, nor lets
// any go.
func TestTenantsAreApart(t *testing.T) {
	c := newCluster()
	c.deliver("evil-a", regcred.OrgScope("evil"), true, names("evil", 30)...)
	c.deliver("evil-b", regcred.SpaceScope("evil", "b"), true, names("evil", 30)...)
	c.deliver("shop", regcred.SpaceScope("cluster", "shop"), true, names("evil", 11)...) // forged
	c.deliver("good", regcred.OrgScope("good"), true, "good")
	for _, ns := range names("more", 20) {
		c.keeps(ns, regcred.OrgScope("org-"+ns))
	}
	wantReason(t, "a tenant's own", c.reasonFor("evil-a"), "30: one change would take away 30 of 30 credentials")
	wantReason(t, "in another of its namespaces", c.reasonFor("evil-b"), "30: one change would take away 30 of 30 credentials")
	wantReason(t, "in a namespace by itself", c.reasonFor("shop"), "11: one change would take away 11 of 11 credentials")
	wantReason(t, "another's", c.reasonFor("good"), "")

	// Records of what was never delivered do not make 11 of 12 a small part elsewhere.
	c = newCluster()
	c.keeps("evil", regcred.OrgScope("evil"))
	c.deliver("padding", regcred.OrgScope("evil"), false, names("padding", 500)...)
	c.table.settle(place{name: "padding"}, nil, outcome{})
	c.deliver("good", regcred.OrgScope("good"), true, names("good", 11)...)
	wantReason(t, "beside many forged records", c.reasonFor("good"), "11: one change would take away 11 of 11 credentials")
}

// TestManyTenantsLose: a little from each of many shows only over all of them.
func TestManyTenantsLose(t *testing.T) {
	for n, want := range map[int]string{10: "", 11: "1: one change would take credentials away from 11 of 11 tenants"} {
		c := newCluster()
		for _, ns := range names("ns", n) {
			c.deliver(ns, regcred.SpaceScope("cluster", ns), true, "of-"+ns)
		}
		wantReason(t, fmt.Sprint(n, " namespaces"), c.reasonFor("ns-00"), want)
		c = newCluster()
		for _, org := range names("org", n) {
			c.deliver(org+"-a", regcred.SpaceScope(org, "a"), true, "of-"+org)
			c.deliver(org+"-b", regcred.SpaceScope(org, "b"), true, "of-"+org)
		}
		wantReason(t, fmt.Sprint(n, " organizations"), c.reasonFor("org-00-a"), want)
	}
	// One credential of all is one, in however many namespaces.
	c := newCluster()
	for _, ns := range names("ns", 50) {
		c.deliver(ns, regcred.SpaceScope("cluster", ns), true, "wide")
	}
	wantReason(t, "one for all", c.reasonFor("ns-07"), "")
}

// TestSelectsNothing: a configuration that never matched any namespace ends nothing,
// however small the cluster is; one that does ends what leaves.
func TestSelectsNothing(t *testing.T) {
	c := newCluster()
	c.deliver("a", regcred.Foundation, false, "x")
	wantReason(t, "a namespace that left", c.reasonFor("a"), "")
	c.o.selects.Store(false)
	wantReason(t, "under a wrong selector", c.reasonFor("a"), "1: the configuration selects no namespace at all")
	c.deliver("a", regcred.Foundation, true, "x")
	wantReason(t, "a deleted credential", c.reasonFor("a"), "")
}
