//go:build integration

package kubernetes_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"regcred.dev"
	"regcred.dev/deliver/kubernetes"
	"regcred.dev/keyring"
	"regcred.dev/regcredtest/kubetest"
)

// TestPodsNameTheSecret: what the API server's own admission copies into a pod is
// there before there is any login.
func TestPodsNameTheSecret(t *testing.T) {
	c := kubetest.Shared(t)
	o := quick(c, "t=pods")
	o.ServiceAccounts = []string{"default"}
	p := newPlant(t, newTarget(t, o))
	ns := c.Namespace(t, "pods", map[string]string{"t": "pods"})
	serviceAccount(t, c, ns, "default", "theirs")
	serviceAccount(t, c, ns, "other")
	awaitPullSecrets(t, c, ns, "default", "theirs regcred")

	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: corev1.PodSpec{
		Containers: []corev1.Container{{Name: "c", Image: "registry.example.com/app"}},
	}}
	pod, err := c.Client(t).CoreV1().Pods(ns).Create(t.Context(), pod, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(pod.Spec.ImagePullSecrets); n != 2 || pod.Spec.ImagePullSecrets[1].Name != "regcred" {
		t.Errorf("the pod names %v", pod.Spec.ImagePullSecrets)
	}
	awaitLogins(t, c, ns, nil)
	p.credential(regcred.Foundation, "registry.example.com", "1", time.Time{})
	awaitLogins(t, c, ns, map[string]string{"registry.example.com": "1"})
	if got := pullSecrets(t, c, ns, "other"); got != "" {
		t.Errorf("another ServiceAccount names %s", got)
	}
	// Somebody takes the name away.
	patchAccount(t, c, ns, "default", `{"imagePullSecrets":[{"name":"theirs"},{"name":"more"}]}`)
	awaitPullSecrets(t, c, ns, "default", "theirs more regcred")
}

func patchAccount(t *testing.T, c *kubetest.Cluster, ns, name, patch string) {
	t.Helper()
	_, err := c.Client(t).CoreV1().ServiceAccounts(ns).Patch(t.Context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// TestServiceAccountsNoLonger: those that the configuration no longer names lose the
// Secret's name and nothing else, also where that was not possible at first.
func TestServiceAccountsNoLonger(t *testing.T) {
	c := kubetest.Shared(t)
	ns := c.Namespace(t, "nolonger", map[string]string{"t": "nolonger"})
	for _, name := range []string{"default", "builder", "other"} {
		serviceAccount(t, c, ns, name, "theirs")
	}
	mayNot := kubetest.Faults{Rate: 1, Statuses: []int{http.StatusForbidden}, Only: func(call kubetest.Call) bool {
		return call.Resource == "serviceaccounts"
	}}
	proxy := c.Proxy(t, kubetest.Faults{})
	var p *plant
	start := func(accounts ...string) {
		o := quick(c, "t=nolonger")
		o.Config, o.ServiceAccounts = proxy.Config(), accounts
		if p == nil {
			p = newPlant(t, newTarget(t, o))
			p.credential(regcred.Foundation, "registry.example.com", "1", time.Time{})
		} else {
			p.stop()
			p = resumePlant(t, p.store, newTarget(t, o))
		}
	}
	want := func(recorded string, names map[string]string) {
		t.Helper()
		for name, want := range names {
			awaitPullSecrets(t, c, ns, name, want)
		}
		await(t, "record", func() string {
			if s := secretOf(t, c, ns); s == nil || s.Annotations["regcred.dev/service-accounts"] != recorded {
				return "it is not " + recorded
			}
			return ""
		})
	}
	start("default", "builder")
	want("builder,default", map[string]string{"default": "theirs regcred", "builder": "theirs regcred", "other": "theirs"})
	start("default")
	want("default", map[string]string{"default": "theirs regcred", "builder": "theirs", "other": "theirs"})
	start("*")
	want("*", map[string]string{"default": "theirs regcred", "builder": "theirs regcred", "other": "theirs regcred"})
	proxy.Set(mayNot)
	start()
	await(t, "status", func() string {
		if all := strings.Join(p.status().Warnings, " "); !strings.Contains(all, ns+"/regcred: the Secret's name cannot be taken off ServiceAccounts") {
			return "it warns: " + all
		}
		return ""
	})
	if s := p.status(); s.Error != "" || s.Delivered == 0 {
		t.Errorf("the status is %+v", s)
	}
	proxy.Set(kubetest.Faults{})
	start()
	want("", map[string]string{"default": "theirs", "builder": "theirs", "other": "theirs"})
	if n := proxy.Count(func(call kubetest.Call) bool { return call.Verb == "delete" }); n > 0 {
		t.Errorf("something was deleted %d times", n)
	}
}

func TestAllServiceAccounts(t *testing.T) {
	c := kubetest.Shared(t)
	o := quick(c, "t=accounts")
	o.ServiceAccounts = []string{kubernetes.AllServiceAccounts}
	ns := c.Namespace(t, "accounts", map[string]string{"t": "accounts"})
	serviceAccount(t, c, ns, "a")
	newPlant(t, newTarget(t, o))
	awaitPullSecrets(t, c, ns, "a", "regcred")
	serviceAccount(t, c, ns, "b", "theirs")
	awaitPullSecrets(t, c, ns, "b", "theirs regcred")
}

// TestDrift: what is deleted or edited is put back, in place.
func TestDrift(t *testing.T) {
	c := kubetest.Shared(t)
	ns := c.Namespace(t, "drift", map[string]string{"t": "drift"})
	p := newPlant(t, newTarget(t, quick(c, "t=drift")))
	want := map[string]string{"registry.example.com": "1"}
	p.credential(regcred.Foundation, "registry.example.com", "1", time.Time{})
	awaitLogins(t, c, ns, want)
	core := c.Client(t).CoreV1().Secrets(ns)
	uid := secretOf(t, c, ns).UID
	for name, edit := range map[string]func(*corev1.Secret){
		"emptied": func(s *corev1.Secret) { setAuths(t, s, nil) },
		"no docker config": func(s *corev1.Secret) {
			s.Data = map[string][]byte{corev1.DockerConfigJsonKey: []byte(`{"auths":"x"}`)}
		},
		"no list of auths":  func(s *corev1.Secret) { s.Data[corev1.DockerConfigJsonKey] = []byte(`{"auths":[]}`) },
		"record lost":       func(s *corev1.Secret) { delete(s.Annotations, "regcred.dev/record"); setAuths(t, s, nil) },
		"record not JSON":   func(s *corev1.Secret) { s.Annotations["regcred.dev/record"] = "{"; setAuths(t, s, nil) },
		"labelled":          func(s *corev1.Secret) { s.Labels["theirs"] = "x"; setAuths(t, s, nil) },
		"annotations gone":  func(s *corev1.Secret) { s.Annotations = nil; setAuths(t, s, nil) },
		"finalizer, member": func(s *corev1.Secret) { s.Data[corev1.DockerConfigJsonKey] = []byte(`{"HttpHeaders":{"a":"b"}}`) },
	} {
		s := secretOf(t, c, ns)
		edit(s)
		if _, err := core.Update(t.Context(), s, metav1.UpdateOptions{}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		awaitLogins(t, c, ns, want)
	}
	s := secretOf(t, c, ns)
	if s.UID != uid {
		t.Error("the Secret was made anew")
	}
	if s.Labels["theirs"] != "x" {
		t.Error("a label of somebody else's is gone")
	}
	for range 3 {
		if err := core.Delete(t.Context(), kubernetes.DefaultSecretName, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		awaitLogins(t, c, ns, want)
	}
}

// TestWrites: a refresh costs one request for each namespace, and nothing where
// nothing changes.
func TestWrites(t *testing.T) {
	const n = 30
	c := kubetest.Shared(t)
	proxy := c.Proxy(t, kubetest.Faults{})
	o := quick(c, "t=writes")
	o.Config = proxy.Config()
	target := newTarget(t, o)
	p := newPlant(t, target)
	expires := time.Now().Add(time.Hour)
	guid := p.credential(regcred.Foundation, "registry.example.com", "0", expires)
	names := []string{c.Namespace(t, "writes", map[string]string{"t": "writes"})}
	awaitLogins(t, c, names[0], map[string]string{"registry.example.com": "0"})
	await(t, "watch", func() string { // the first Sync is over, which may end amid a write
		for range target.Namespaces() {
			return ""
		}
		return "it does not run yet"
	})
	proxy.Reset()
	for len(names) < n {
		names = append(names, c.Namespace(t, "writes", map[string]string{"t": "writes"}))
	}
	settle := func(password string) {
		t.Helper()
		for _, ns := range names {
			awaitLogins(t, c, ns, map[string]string{"registry.example.com": password})
		}
		await(t, "status", func() string {
			if s := p.status(); s.Error != "" || s.Revision != p.books.Now().Revision() || s.Delivered != n*len(secretEntries(t, c, names[0])) {
				return "it is " + s.Error
			}
			return ""
		})
	}
	settle("0")
	writes := func(call kubetest.Call) bool { return call.Verb != "watch" && call.Resource != "events" }
	if got := proxy.Count(func(call kubetest.Call) bool { return call.Verb == "create" && call.Resource == "secrets" }); got != n-1 {
		t.Errorf("%d namespaces took %d creates", n-1, got)
	}
	for _, password := range []string{"1", "2"} {
		proxy.Reset()
		p.renew(guid, password, expires)
		settle(password)
		if got := proxy.Count(writes); got != n {
			t.Errorf("a refresh of %d namespaces took %d requests: %v", n, got, proxy.Calls())
		}
	}
	// The same login again, prolonged: the records change, and no login does.
	proxy.Reset()
	p.renew(guid, "2", expires.Add(time.Hour))
	await(t, "prolonged", func() string {
		if at := p.status().EarliestExpiry; !at.Equal(expires.Add(time.Hour).UTC()) {
			return at.String()
		}
		return ""
	})
	if got := proxy.Count(writes); got != n {
		t.Errorf("a longer life of the login took %d requests", got)
	}
	// A credential of elsewhere changes nothing here.
	proxy.Reset()
	p.credential(regcred.OrgScope("other"), "other.example.com", "x", time.Time{})
	settle("2")
	if got := proxy.Count(writes); got != 0 {
		t.Errorf("a change elsewhere took %d requests: %v", got, proxy.Calls())
	}
}

func secretEntries(t *testing.T, c *kubetest.Cluster, ns string) map[string]map[string]string {
	t.Helper()
	return auths(secretOf(t, c, ns))
}

// TestAnnotations are what docs/kubernetes.md says of them.
func TestAnnotations(t *testing.T) {
	c := kubetest.Shared(t)
	ns := c.Namespace(t, "marks", map[string]string{"t": "marks"})
	p := newPlant(t, newTarget(t, quick(c, "t=marks")))
	expires := time.Now().Add(time.Hour)
	p.credential(regcred.Foundation, "registry.example.com", "canary", expires)
	awaitLogins(t, c, ns, map[string]string{"registry.example.com": "canary"})
	s := secretOf(t, c, ns)
	for key, want := range map[string]string{
		"app.kubernetes.io/managed-by": "regcred", "regcred.dev/target": "kubernetes",
		"regcred.dev/store": p.store.ID(), "regcred.dev/expires-at": expires.UTC().Format(time.RFC3339),
	} {
		if got := s.Labels[key] + s.Annotations[key]; got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	if all := strings.Join([]string{s.Annotations["regcred.dev/record"], s.Annotations["regcred.dev/revision"]}, " "); strings.Contains(all, "canary") {
		t.Errorf("a password stands in an annotation: %s", all)
	}
	if s.Immutable != nil || len(s.Finalizers) > 0 || s.Type != corev1.SecretTypeDockerConfigJson {
		t.Errorf("the Secret is %v, %v, %v", s.Immutable, s.Finalizers, s.Type)
	}
}

// TestScopeFollowsLabels: a namespace gets the logins of the scope that its labels
// name, and loses them with the labels.
func TestScopeFollowsLabels(t *testing.T) {
	c := kubetest.Shared(t)
	o := quick(c, "t=scopes")
	o.Scopes = kubernetes.Scopes{Preset: kubernetes.Korifi}
	p := newPlant(t, newTarget(t, o))
	ns := c.Namespace(t, "scopes", map[string]string{"t": "scopes", "korifi.cloudfoundry.org/org-guid": "o1", "korifi.cloudfoundry.org/space-guid": "s1"})
	p.credential(regcred.Foundation, "all.example.com", "f", time.Time{})
	p.credential(regcred.OrgScope("o1"), "org.example.com", "o", time.Time{})
	p.credential(regcred.SpaceScope("o1", "s1"), "space.example.com", "s", time.Time{})
	p.credential(regcred.SpaceScope("o2", "s1"), "other.example.com", "x", time.Time{})
	awaitLogins(t, c, ns, map[string]string{"all.example.com": "f", "org.example.com": "o", "space.example.com": "s"})
	label(t, c, ns, `{"metadata":{"labels":{"korifi.cloudfoundry.org/org-guid":"o2"}}}`)
	awaitLogins(t, c, ns, map[string]string{"all.example.com": "f", "other.example.com": "x"})
	// A space without its organization is no scope: what was delivered stays.
	label(t, c, ns, `{"metadata":{"labels":{"korifi.cloudfoundry.org/org-guid":null}}}`)
	await(t, "status", func() string {
		if all := strings.Join(p.status().Warnings, " "); !strings.Contains(all, "needs its organization") {
			return "the warnings are " + all
		}
		return ""
	})
	awaitLogins(t, c, ns, map[string]string{"all.example.com": "f", "other.example.com": "x"})
}

func label(t *testing.T, c *kubetest.Cluster, ns, patch string) {
	t.Helper()
	_, err := c.Client(t).CoreV1().Namespaces().Patch(t.Context(), ns, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// TestDeisHasOneEntry: there is no Secret before there is a login, and just one entry
// in it, whatever somebody adds.
func TestDeisHasOneEntry(t *testing.T) {
	c := kubetest.Shared(t)
	o := quick(c, "t=deis")
	o.Dialect = keyring.Deis
	ns := c.Namespace(t, "deis", map[string]string{"t": "deis"})
	p := newPlant(t, newTarget(t, o))
	await(t, "status", func() string {
		if len(p.status().Warnings) == 0 {
			return "nothing is said of the missing login"
		}
		return ""
	})
	if secretOf(t, c, ns) != nil {
		t.Error("there is a Secret without a login")
	}
	p.credential(regcred.Foundation, "registry.example.com", "1", time.Time{})
	awaitLogins(t, c, ns, map[string]string{"https://registry.example.com": "1"})
	if email := secretEntries(t, c, ns)["https://registry.example.com"]["email"]; email != "none@none.com" {
		t.Errorf("the email is %q", email)
	}
	putLogin(t, c, ns, false, "https://theirs.example.com", "robot:theirs")
	awaitLogins(t, c, ns, map[string]string{"https://registry.example.com": "1"})
}

// TestQuarrel: somebody who writes the Secret again whenever we do costs ever fewer
// requests, and the next login still comes at once.
func TestQuarrel(t *testing.T) {
	c := kubetest.Shared(t)
	proxy := c.Proxy(t, kubetest.Faults{})
	o := quick(c, "t=quarrel")
	o.Config = proxy.Config()
	ns := c.Namespace(t, "quarrel", map[string]string{"t": "quarrel"})
	p := newPlant(t, newTarget(t, o))
	guid := p.credential(regcred.Foundation, "registry.example.com", "1", time.Time{})
	awaitLogins(t, c, ns, map[string]string{"registry.example.com": "1"})
	w, err := c.Client(t).CoreV1().Secrets(ns).Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	proxy.Reset()
	deadline := time.After(4 * time.Second)
	for quarrelling := true; quarrelling; {
		select {
		case e := <-w.ResultChan():
			s, ok := e.Object.(*corev1.Secret)
			if !ok || len(auths(s)) == 0 {
				continue
			}
			setAuths(t, s, nil)
			// Where it comes too late, it comes again with the next event.
			_, _ = c.Client(t).CoreV1().Secrets(ns).Update(t.Context(), s, metav1.UpdateOptions{})
		case <-deadline:
			quarrelling = false
		}
	}
	w.Stop()
	if n := proxy.Count(writesSecrets); n > 25 {
		t.Errorf("a quarrel of four seconds took %d writes", n)
	}
	p.renew(guid, "2", time.Time{})
	awaitLogins(t, c, ns, map[string]string{"registry.example.com": "2"})
}
