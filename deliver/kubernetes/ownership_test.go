//go:build integration

package kubernetes_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"regcred.dev"
	"regcred.dev/deliver/kubernetes"
	"regcred.dev/keyring"
	"regcred.dev/regcredtest/kubetest"
)

// TestStrangers: a Secret of our name without our label is left alone, and its
// ServiceAccount; an Event, the status and a metric tell.
func TestStrangers(t *testing.T) {
	c := kubetest.Shared(t)
	o := quick(c, "t=strangers")
	o.ServiceAccounts = []string{"default"}
	ns := c.Namespace(t, "strangers", map[string]string{"t": "strangers"})
	other := c.Namespace(t, "strangers", map[string]string{"t": "strangers"})
	serviceAccount(t, c, ns, "default")
	before := put(t, c, ns, pullSecret(t, "registry.example.com", "theirs"))
	target := newTarget(t, o)
	p := newPlant(t, target)
	p.credential(regcred.Foundation, "registry.example.com", "ours", time.Time{})
	awaitLogins(t, c, other, map[string]string{"registry.example.com": "ours"})
	await(t, "event", func() string {
		list, err := c.Client(t).CoreV1().Events(ns).List(t.Context(), metav1.ListOptions{})
		if err != nil || len(list.Items) != 1 || list.Items[0].Reason != "PullSecretConflict" || list.Items[0].InvolvedObject.UID != before.UID {
			return fmt.Sprintf("there are %v, %v", list, err)
		}
		return ""
	})
	await(t, "status", func() string {
		if all := strings.Join(p.status().Warnings, " "); !strings.Contains(all, ns+"/regcred: it is not regcred's, and is left alone") {
			return "it warns: " + all
		}
		return ""
	})
	stands := map[string]kubernetes.NamespaceStatus{}
	for n := range target.Namespaces() {
		stands[n.Namespace] = n
	}
	if s := stands[ns]; !s.Conflict || s.Synced || s.Failed {
		t.Errorf("the namespace stands as %+v", s)
	}
	if s := stands[other]; s.Conflict || !s.Synced {
		t.Errorf("the other one stands as %+v", s)
	}
	if after := secretOf(t, c, ns); after.ResourceVersion != before.ResourceVersion {
		t.Error("the Secret was written to")
	}
	if got := pullSecrets(t, c, ns, "default"); got != "" {
		t.Errorf("its ServiceAccount names %s", got)
	}
	if err := target.Uninstall(t.Context(), p.store.ID()); err != nil {
		t.Fatal(err)
	}
	if after := secretOf(t, c, ns); after.ResourceVersion != before.ResourceVersion {
		t.Error("the Secret was written to")
	}
}

// external returns a pull secret as External Secrets makes it.
func external(t *testing.T, host, password string) *corev1.Secret {
	t.Helper()
	s := pullSecret(t, host, password)
	yes := true
	s.OwnerReferences = []metav1.OwnerReference{{
		APIVersion: "external-secrets.io/v1", Kind: "ExternalSecret", Name: "pull", UID: "5c1f4d8e-0000-4000-8000-000000000000",
		Controller: &yes, BlockOwnerDeletion: &yes,
	}}
	s.Labels = map[string]string{"reconcile.external-secrets.io/managed": "true"}
	return s
}

// TestAdopt: the owner goes in the update that brings our logins, other entries stay,
// and so does all when we go.
func TestAdopt(t *testing.T) {
	c := kubetest.Shared(t)
	o := quick(c, "t=adopt")
	o.Adopt = kubernetes.AdoptAny
	o.ServiceAccounts = []string{"default"}
	ns := c.Namespace(t, "adopt", map[string]string{"t": "adopt"})
	serviceAccount(t, c, ns, "default", "regcred")
	s := external(t, "registry.example.com", "old")
	setAuths(t, s, map[string]map[string]string{
		"registry.example.com": {"auth": basic("robot:old")}, "more.example.com": {"auth": basic("robot:more")},
	})
	before := put(t, c, ns, s)
	target := newTarget(t, o)
	p := newPlant(t, target)
	await(t, "status", func() string {
		// There is nothing to put into it yet.
		if all := strings.Join(p.status().Warnings, " "); !strings.Contains(all, "it belongs to ExternalSecret pull") {
			return "it warns: " + all
		}
		return ""
	})
	guid := p.credential(regcred.Foundation, "registry.example.com", "ours", time.Time{})
	both := map[string]string{"registry.example.com": "ours", "more.example.com": "more"}
	awaitLogins(t, c, ns, both)
	after := secretOf(t, c, ns)
	if after.UID != before.UID || len(after.OwnerReferences) > 0 || after.Annotations["regcred.dev/adopted"] != "true" {
		t.Errorf("adopted it is %v", after.ObjectMeta)
	}
	p.renew(guid, "renewed", time.Time{})
	both["registry.example.com"] = "renewed"
	awaitLogins(t, c, ns, both)
	p.stop()
	if err := target.Uninstall(t.Context(), p.store.ID()); err != nil {
		t.Fatal(err)
	}
	left := secretOf(t, c, ns)
	if left == nil || left.UID != before.UID || left.Labels["regcred.dev/target"] != "" || len(left.Annotations) > 0 {
		t.Fatalf("after the end it is %+v", left)
	}
	awaitLogins(t, c, ns, both)
	if got := pullSecrets(t, c, ns, "default"); got != "regcred" {
		t.Errorf("the ServiceAccount names %q", got)
	}
}

// TestAdoptDeis: only what Deis's refresher wrote is taken over.
func TestAdoptDeis(t *testing.T) {
	c := kubetest.Shared(t)
	o := quick(c, "t=adoptdeis")
	o.Adopt, o.Dialect = kubernetes.AdoptDeis, keyring.Deis
	release := func(entries map[string]map[string]string) string {
		ns := c.Namespace(t, "adoptdeis", map[string]string{"t": "adoptdeis"})
		s := pullSecret(t, "x", "y")
		setAuths(t, s, entries)
		put(t, c, ns, s)
		return ns
	}
	theirs := release(map[string]map[string]string{"https://a.example.com": {"auth": basic("u:p"), "email": "none@none.com"}})
	others := release(map[string]map[string]string{"https://a.example.com": {"auth": basic("u:p"), "email": "me@example.com"}})
	two := release(map[string]map[string]string{
		"https://a.example.com": {"auth": basic("u:p"), "email": "none@none.com"}, "https://b.example.com": {"auth": basic("u:p"), "email": "none@none.com"},
	})
	p := newPlant(t, newTarget(t, o))
	p.credential(regcred.Foundation, "registry.example.com", "ours", time.Time{})
	awaitLogins(t, c, theirs, map[string]string{"https://registry.example.com": "ours"})
	await(t, "status", func() string {
		if all := strings.Join(p.status().Warnings, " "); !strings.Contains(all, others) || !strings.Contains(all, two) || strings.Contains(all, theirs) {
			return "it warns: " + all
		}
		return ""
	})
}

// TestTypes: a Secret of ours of the other type is renewed as it is; what no kubelet
// reads, or nobody can change, is said in words.
func TestTypes(t *testing.T) {
	c := kubetest.Shared(t)
	older := c.Namespace(t, "types", map[string]string{"t": "types"})
	opaque := c.Namespace(t, "types", map[string]string{"t": "types"})
	frozen := c.Namespace(t, "types", map[string]string{"t": "types"})
	ours := map[string]string{"app.kubernetes.io/managed-by": "regcred", "regcred.dev/target": "kubernetes"}
	yes := true
	for ns, s := range map[string]*corev1.Secret{
		older:  {Type: corev1.SecretTypeDockercfg, Data: map[string][]byte{".dockercfg": []byte(`{}`)}},
		opaque: {Type: corev1.SecretTypeOpaque},
		frozen: {Type: corev1.SecretTypeDockerConfigJson, Data: map[string][]byte{".dockerconfigjson": []byte(`{"auths":{}}`)}, Immutable: &yes},
	} {
		s.ObjectMeta = metav1.ObjectMeta{Name: "regcred", Labels: ours}
		put(t, c, ns, s)
	}
	p := newPlant(t, newTarget(t, quick(c, "t=types")))
	p.credential(regcred.Foundation, "registry.example.com", "1", time.Time{})
	awaitLogins(t, c, older, map[string]string{"registry.example.com": "1"})
	await(t, "status", func() string {
		all := strings.Join(p.status().Warnings, "\n")
		for ns, want := range map[string]string{
			older:  "it is of type kubernetes.io/dockercfg, and a Secret's type cannot be changed: it is renewed as it is",
			opaque: "it is of type Opaque, which is no pull secret",
			frozen: "it is immutable",
		} {
			if !strings.Contains(all, ns+"/regcred: "+want) {
				return "it warns: " + all
			}
		}
		return ""
	})
	// What the words say helps.
	for _, ns := range []string{opaque, frozen} {
		if err := c.Client(t).CoreV1().Secrets(ns).Delete(t.Context(), "regcred", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		awaitLogins(t, c, ns, map[string]string{"registry.example.com": "1"})
	}
}

// TestNamespaceLeaves: a namespace that stops matching loses what is ours, and gets
// it back with the label.
func TestNamespaceLeaves(t *testing.T) {
	c := kubetest.Shared(t)
	o := quick(c, "t=leaves")
	o.ServiceAccounts = []string{"default"}
	ns := c.Namespace(t, "leaves", map[string]string{"t": "leaves"})
	shared := c.Namespace(t, "leaves", map[string]string{"t": "leaves"})
	serviceAccount(t, c, ns, "default", "theirs")
	p := newPlant(t, newTarget(t, o))
	p.credential(regcred.Foundation, "registry.example.com", "1", time.Time{})
	want := map[string]string{"registry.example.com": "1"}
	awaitLogins(t, c, ns, want)
	awaitLogins(t, c, shared, want)
	putLogin(t, c, shared, false, "theirs.example.com", "robot:theirs")
	label(t, c, ns, `{"metadata":{"labels":{"t":null}}}`)
	label(t, c, shared, `{"metadata":{"labels":{"t":null}}}`)
	awaitGone(t, c, ns)
	awaitLogins(t, c, shared, map[string]string{"theirs.example.com": "theirs"})
	if got := pullSecrets(t, c, ns, "default"); got != "theirs" {
		t.Errorf("the ServiceAccount names %s", got)
	}
	label(t, c, ns, `{"metadata":{"labels":{"t":"leaves"}}}`)
	awaitLogins(t, c, ns, want)
	awaitPullSecrets(t, c, ns, "default", "theirs regcred")
}

// TestManyLeaveAtOnce: a configuration that no longer names what it did is no order.
func TestManyLeaveAtOnce(t *testing.T) {
	const n = 12
	c := kubetest.Shared(t)
	var names []string
	for range n {
		names = append(names, c.Namespace(t, "many", map[string]string{"t": "many"}))
	}
	want := map[string]string{"registry.example.com": "1"}
	p := newPlant(t, newTarget(t, quick(c, "t=many")))
	p.credential(regcred.Foundation, "registry.example.com", "1", time.Time{})
	for _, ns := range names {
		awaitLogins(t, c, ns, want)
	}
	p.stop()
	p = resumePlant(t, p.store, newTarget(t, quick(c, "t=mnay")))
	await(t, "status", func() string {
		if s := p.status(); len(s.Held) != n*2 || !strings.Contains(s.Held[0].Reason, "12 of 12 namespaces") {
			return fmt.Sprint("held are ", s.Held, s.Error)
		}
		return ""
	})
	for _, ns := range names {
		awaitLogins(t, c, ns, want)
	}
	if err := p.runner.Confirm("kubernetes"); err != nil {
		t.Fatal(err)
	}
	for _, ns := range names {
		awaitGone(t, c, ns)
	}
}

// TestWrongSelector: nor is one that matches nothing, in a cluster of any size.
func TestWrongSelector(t *testing.T) {
	c := kubetest.Shared(t)
	ns := c.Namespace(t, "selector", map[string]string{"t": "selector"})
	want := map[string]string{"registry.example.com": "1"}
	p := newPlant(t, newTarget(t, quick(c, "t=selector")))
	p.credential(regcred.Foundation, "registry.example.com", "1", time.Time{})
	awaitLogins(t, c, ns, want)
	p.stop()
	p = resumePlant(t, p.store, newTarget(t, quick(c, "t=slector")))
	await(t, "status", func() string {
		if s := p.status(); !strings.Contains(s.Alarm(), "in "+ns+"/regcred") || !strings.Contains(s.Alarm(), "selects no namespace at all") {
			return fmt.Sprintf("the alarm is %q, the error %q", s.Alarm(), s.Error)
		}
		return ""
	})
	awaitLogins(t, c, ns, want)
	if err := p.runner.Confirm("kubernetes"); err != nil {
		t.Fatal(err)
	}
	awaitGone(t, c, ns)
}

// TestManyDeletedAtOnce: each credential is in one namespace alone; that all go shows
// only over all of them.
func TestManyDeletedAtOnce(t *testing.T) {
	const n = 12
	c := kubetest.Shared(t)
	o := quick(c, "t=deleted")
	o.Scopes.DefaultOrganization = "cluster"
	target := newTarget(t, o)
	p := newPlant(t, target)
	logins, guids := map[string]string{}, map[string]string{}
	for i := range n {
		ns := c.Namespace(t, "deleted", map[string]string{"t": "deleted"})
		logins[ns] = fmt.Sprint(i)
		guids[ns] = p.credential(regcred.SpaceScope("cluster", ns), "registry.example.com", logins[ns], time.Time{})
	}
	for ns, password := range logins {
		awaitLogins(t, c, ns, map[string]string{"registry.example.com": password})
	}
	p.stop()
	for _, guid := range guids {
		p.remove(guid)
	}
	p = resumePlant(t, p.store, target)
	await(t, "status", func() string {
		if s := p.status(); len(s.Held) != n*2 || !strings.Contains(s.Held[0].Reason, "12 of 12 tenants") {
			return fmt.Sprint("held are ", s.Held, s.Error)
		}
		return ""
	})
	for ns, password := range logins {
		awaitLogins(t, c, ns, map[string]string{"registry.example.com": password})
	}
}

// TestEmptyStore: a new store under a live cluster removes nothing, and delivers what
// it has.
func TestEmptyStore(t *testing.T) {
	c := kubetest.Shared(t)
	ns := c.Namespace(t, "empty", map[string]string{"t": "empty"})
	target := newTarget(t, quick(c, "t=empty"))
	p := newPlant(t, target)
	p.credential(regcred.Foundation, "registry.example.com", "1", time.Time{})
	awaitLogins(t, c, ns, map[string]string{"registry.example.com": "1"})
	p.stop()

	q := newPlant(t, target)
	await(t, "status", func() string {
		if s := q.status(); len(s.Held) != 2 || !strings.Contains(s.Alarm(), "another store") {
			return fmt.Sprint("held are ", s.Held, s.Error)
		}
		return ""
	})
	q.credential(regcred.Foundation, "more.example.com", "2", time.Time{})
	awaitLogins(t, c, ns, map[string]string{"registry.example.com": "1", "more.example.com": "2"})
	if err := q.runner.Confirm("kubernetes"); err != nil {
		t.Fatal(err)
	}
	awaitLogins(t, c, ns, map[string]string{"more.example.com": "2"})
}

// TestUninstall takes away what a store delivered, wherever that is.
func TestUninstall(t *testing.T) {
	c := kubetest.Shared(t)
	o := quick(c, "t=uninstall")
	o.ServiceAccounts = []string{"default"}
	target := newTarget(t, o)
	ns := c.Namespace(t, "uninstall", map[string]string{"t": "uninstall"})
	serviceAccount(t, c, ns, "default", "theirs")
	p := newPlant(t, target)
	p.credential(regcred.Foundation, "registry.example.com", "1", time.Time{})
	awaitLogins(t, c, ns, map[string]string{"registry.example.com": "1"})
	p.stop()
	label(t, c, ns, `{"metadata":{"labels":{"t":null}}}`)
	if err := target.Uninstall(t.Context(), "another store"); err != nil {
		t.Fatal(err)
	}
	awaitLogins(t, c, ns, map[string]string{"registry.example.com": "1"})
	if err := target.Uninstall(t.Context(), p.store.ID()); err != nil {
		t.Fatal(err)
	}
	if s := secretOf(t, c, ns); s != nil {
		t.Errorf("there is still %v", s)
	}
	if got := pullSecrets(t, c, ns, "default"); got != "theirs" {
		t.Errorf("the ServiceAccount names %s", got)
	}
}

// TestUninstallAll takes away what all stores delivered, and looks at the cluster once.
func TestUninstallAll(t *testing.T) {
	c := kubetest.Shared(t)
	ns := c.Namespace(t, "all", map[string]string{"t": "all"})
	proxy := c.Proxy(t, kubetest.Faults{})
	o := quick(c, "t=all")
	o.Name = "all" // what other tests delivered stays
	var want []string
	for i := range 3 {
		p := newPlant(t, newTarget(t, o))
		p.credential(regcred.Foundation, fmt.Sprintf("r%d.example.com", i), "1", time.Time{})
		await(t, "the login", func() string {
			if host := fmt.Sprintf("r%d.example.com", i); readLogins(t, c, ns)[host] == "" {
				return "there is none for " + host
			}
			return ""
		})
		p.stop()
		want = append(want, p.store.ID())
	}
	o.Config = proxy.Config()
	stores, err := newTarget(t, o).UninstallAll(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, stores); diff != "" {
		t.Errorf("the stores (-want +got):\n%s", diff)
	}
	if s := secretOf(t, c, ns); s != nil {
		t.Errorf("there is still %v", s)
	}
	looks := proxy.Count(func(call kubetest.Call) bool {
		return call.Resource == "secrets" && (call.Verb == "list" || call.Verb == "watch")
	})
	if looks < 1 || looks > 2 { // a list and a watch, or one that begins with all there is
		t.Errorf("the Secrets were listed or watched %d times", looks)
	}
}
