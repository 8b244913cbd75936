//go:build integration

package kubernetes_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"regcred.dev"
	"regcred.dev/deliver/kubernetes"
	"regcred.dev/regcredtest/kubetest"
)

// drop has a login dropped, because it must not be used any more.
func (p *plant) drop(guid string) {
	p.Helper()
	if _, err := p.store.DropLogin(p.Context(), guid); err != nil {
		p.Fatal(err)
	}
}

// TestDroppedWhereThereIsNoScope: whoever may label a namespace cannot keep a login
// there that was dropped; all others stay.
func TestDroppedWhereThereIsNoScope(t *testing.T) {
	c := kubetest.Shared(t)
	o := quick(c, "t=noscope")
	o.Scopes = kubernetes.Scopes{Preset: kubernetes.Korifi}
	p := newPlant(t, newTarget(t, o))
	ns := c.Namespace(t, "noscope", map[string]string{"t": "noscope"})
	p.credential(regcred.Foundation, "kept.example.com", "k", time.Time{})
	leaked := p.credential(regcred.Foundation, "leaked.example.com", "l", time.Time{})
	awaitLogins(t, c, ns, map[string]string{"kept.example.com": "k", "leaked.example.com": "l"})
	label(t, c, ns, `{"metadata":{"labels":{"korifi.cloudfoundry.org/space-guid":"s"}}}`)
	await(t, "status", func() string {
		if all := strings.Join(p.status().Warnings, " "); !strings.Contains(all, "needs its organization") {
			return "the warnings are " + all
		}
		return ""
	})
	p.drop(leaked)
	awaitLogins(t, c, ns, map[string]string{"kept.example.com": "k"})
}

// TestDroppedWhileHeld: a login that was dropped does not wait until somebody confirms
// that so many namespaces are to leave.
func TestDroppedWhileHeld(t *testing.T) {
	const n = 12
	c := kubetest.Shared(t)
	var names []string
	for range n {
		names = append(names, c.Namespace(t, "dropped", map[string]string{"t": "dropped"}))
	}
	p := newPlant(t, newTarget(t, quick(c, "t=dropped")))
	p.credential(regcred.Foundation, "kept.example.com", "k", time.Time{})
	leaked := p.credential(regcred.Foundation, "leaked.example.com", "l", time.Time{})
	for _, ns := range names {
		awaitLogins(t, c, ns, map[string]string{"kept.example.com": "k", "leaked.example.com": "l"})
	}
	p.stop()
	p = resumePlant(t, p.store, newTarget(t, quick(c, "t=dorpped")))
	await(t, "status", func() string {
		if s := p.status(); len(s.Held) == 0 {
			return fmt.Sprint("nothing is held; ", s.Error)
		}
		return ""
	})
	p.drop(leaked)
	for _, ns := range names {
		awaitLogins(t, c, ns, map[string]string{"kept.example.com": "k"})
	}
}

// TestNamespacedWithoutOne: a namespace whose Role is gone, as it is where the
// namespace is, keeps the target from no other. It is served once the Role is there.
func TestNamespacedWithoutOne(t *testing.T) {
	c := kubetest.Shared(t)
	var role rbacv1.Role
	readRole(t, "role.yaml", &role)
	with, without := c.Namespace(t, "with", nil), c.Namespace(t, "without", nil)
	bindRole(t, c, with, &role, "one-regcred")
	serviceAccount(t, c, with, "default")
	o := quick(c, "")
	o.Config = c.Config()
	o.Config.Impersonate = rest.ImpersonationConfig{UserName: "one-regcred"}
	o.ServiceAccounts = []string{"default"}
	o.Namespaced, o.Namespaces.Include = true, []string{without, with}
	target := newTarget(t, o)
	p := newPlant(t, target)
	p.credential(regcred.Foundation, "registry.example.com", "1", time.Time{})
	awaitLogins(t, c, with, map[string]string{"registry.example.com": "1"})
	awaitPullSecrets(t, c, with, "default", "regcred")
	await(t, "status", func() string {
		if s := p.status(); !strings.Contains(s.Error, "1 of 2 namespaces") || !strings.Contains(s.Error, without) {
			return "the error is " + s.Error
		}
		return ""
	})
	bindRole(t, c, without, &role, "one-regcred")
	awaitLogins(t, c, without, map[string]string{"registry.example.com": "1"})
	// What cannot be seen is not taken for gone.
	if err := c.Client(t).RbacV1().RoleBindings(without).Delete(t.Context(), role.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	p.stop()
	await(t, "uninstall", func() string {
		err := target.Uninstall(t.Context(), p.store.ID())
		if regcred.CodeOf(err) != regcred.Denied { // the right may still be remembered
			return fmt.Sprint("it ends with ", err)
		}
		return ""
	})
	awaitGone(t, c, with)
}

// TestTooMuch: where a namespace is to have more than a Secret takes, what it has
// already is renewed and dropped as ever.
func TestTooMuch(t *testing.T) {
	c := kubetest.Shared(t)
	p := newPlant(t, newTarget(t, quick(c, "t=toomuch")))
	ns := c.Namespace(t, "toomuch", map[string]string{"t": "toomuch"})
	kept := p.credential(regcred.Foundation, "kept.example.com", "1", time.Time{})
	leaked := p.credential(regcred.Foundation, "leaked.example.com", "l", time.Time{})
	awaitLogins(t, c, ns, map[string]string{"kept.example.com": "1", "leaked.example.com": "l"})
	for i := range 20 {
		p.credential(regcred.Foundation, fmt.Sprintf("much-%d.example.com", i), strings.Repeat("x", 60<<10), time.Time{})
	}
	await(t, "status", func() string {
		if s := p.status(); !strings.Contains(s.Error, "the pull secret would have") {
			return "the error is " + s.Error
		}
		return ""
	})
	p.renew(kept, "2", time.Time{})
	p.drop(leaked)
	await(t, ns, func() string {
		got := readLogins(t, c, ns)
		if got["kept.example.com"] != "robot:2" || got["leaked.example.com"] != "" {
			return fmt.Sprintf("there are %.20q and %.20q", got["kept.example.com"], got["leaked.example.com"])
		}
		return ""
	})
	if s := p.status(); !strings.Contains(s.Error, "the pull secret would have") {
		t.Errorf("the error is %q", s.Error)
	}
}

// TestDroppedFromImmutable: a Secret that somebody made immutable cannot keep a login
// that was dropped. It is made anew.
func TestDroppedFromImmutable(t *testing.T) {
	c := kubetest.Shared(t)
	p := newPlant(t, newTarget(t, quick(c, "t=immutable")))
	ns := c.Namespace(t, "immutable", map[string]string{"t": "immutable"})
	kept := p.credential(regcred.Foundation, "kept.example.com", "1", time.Time{})
	leaked := p.credential(regcred.Foundation, "leaked.example.com", "l", time.Time{})
	awaitLogins(t, c, ns, map[string]string{"kept.example.com": "1", "leaked.example.com": "l"})
	s := secretOf(t, c, ns)
	s.Immutable, s.ResourceVersion = new(true), ""
	put(t, c, ns, s)
	p.renew(kept, "2", time.Time{}) // which is no reason to delete what is there
	await(t, "status", func() string {
		if all := strings.Join(p.status().Warnings, " "); !strings.Contains(all, "it is immutable") {
			return "the warnings are " + all
		}
		return ""
	})
	awaitLogins(t, c, ns, map[string]string{"kept.example.com": "1", "leaked.example.com": "l"})
	p.drop(leaked)
	awaitLogins(t, c, ns, map[string]string{"kept.example.com": "2"})
}

// TestRevokedGoesFirst: what must not be used any more goes while hundreds of others
// still wait for their first login.
func TestRevokedGoesFirst(t *testing.T) {
	const many = 200
	c := kubetest.Start(t, kubetest.Options{})
	o := quick(c, "t=urgent")
	o.QPS, o.Burst = 5, 5
	p := newPlant(t, newTarget(t, o))
	p.credential(regcred.Foundation, "kept.example.com", "k", time.Time{})
	leaked := p.credential(regcred.Foundation, "leaked.example.com", "l", time.Time{})
	deleted := p.credential(regcred.Foundation, "deleted.example.com", "d", time.Time{})
	ns := c.Namespace(t, "urgent", map[string]string{"t": "urgent"})
	awaitLogins(t, c, ns, map[string]string{"kept.example.com": "k", "leaked.example.com": "l", "deleted.example.com": "d"})
	names := manyNamespaces(t, c, many, "t", "urgent")
	p.drop(leaked)
	p.remove(deleted)
	awaitLogins(t, c, ns, map[string]string{"kept.example.com": "k"})
	filled := 0
	for _, name := range names {
		if secretOf(t, c, name) != nil {
			filled++
		}
	}
	if filled == many {
		t.Error("it went after all others had theirs")
	}
}

// TestScopeWhileBlind: while namespaces cannot be watched, one that became another
// tenant's gets nothing more of the former one. Where it cannot be looked at either, it
// gets nothing new, and loses what was dropped.
func TestScopeWhileBlind(t *testing.T) {
	c := kubetest.Shared(t)
	proxy := c.Proxy(t, kubetest.Faults{})
	o := quick(c, "t=blind")
	o.Config, o.Scopes = proxy.Config(), kubernetes.Scopes{OrganizationLabel: "org"}
	p := newPlant(t, newTarget(t, o))
	ns := c.Namespace(t, "blind", map[string]string{"t": "blind", "org": "o1"})
	former := p.credential(regcred.OrgScope("o1"), "one.example.com", "1", time.Time{})
	present := p.credential(regcred.OrgScope("o2"), "two.example.com", "2", time.Time{})
	awaitLogins(t, c, ns, map[string]string{"one.example.com": "1"})
	blind := func(which func(name string) bool) {
		proxy.Set(kubetest.Faults{
			Rate: 1, Statuses: []int{http.StatusServiceUnavailable}, Watches: true,
			Only: func(call kubetest.Call) bool { return call.Resource == "namespaces" && which(call.Name) },
		})
	}
	blind(func(name string) bool { return name == "" })
	proxy.DropWatches()
	await(t, "status", func() string {
		p.renew(former, "1", time.Time{})
		if all := strings.Join(p.status().Warnings, " "); !strings.Contains(all, "the namespaces are not watched now") {
			return "the warnings are " + all
		}
		return ""
	})
	label(t, c, ns, `{"metadata":{"labels":{"org":"o2"}}}`)
	p.renew(former, "1 again", time.Time{})
	awaitLogins(t, c, ns, map[string]string{"two.example.com": "2"})
	blind(func(string) bool { return true })
	p.renew(present, "2 again", time.Time{})
	awaitError(t, p, ns, "it may be another tenant's")
	awaitLogins(t, c, ns, map[string]string{"two.example.com": "2"})
	p.drop(present)
	awaitLogins(t, c, ns, nil)
	proxy.Set(kubetest.Faults{})
	p.renew(present, "3", time.Time{})
	awaitLogins(t, c, ns, map[string]string{"two.example.com": "3"})
}
