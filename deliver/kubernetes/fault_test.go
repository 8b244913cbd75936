//go:build integration

package kubernetes_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"regcred.dev"
	"regcred.dev/deliver/kubernetes"
	"regcred.dev/regcredtest/kubetest"
	"regcred.dev/store/memory"
)

// TestServerRestarts: what changes while the API server is down is delivered when it
// is back, and what was deleted then is put back.
func TestServerRestarts(t *testing.T) {
	c := kubetest.Shared(t)
	ns := c.Namespace(t, "restart", map[string]string{"t": "restart"})
	p := newPlant(t, newTarget(t, quick(c, "t=restart")))
	guid := p.credential(regcred.Foundation, "registry.example.com", "1", time.Time{})
	awaitLogins(t, c, ns, map[string]string{"registry.example.com": "1"})
	c.Stop()
	p.renew(guid, "2", time.Time{})
	await(t, "status", func() string {
		if s := p.status(); s.Error == "" {
			return "the outage is not told"
		}
		return ""
	})
	if err := c.Restart(); err != nil {
		t.Fatal(err)
	}
	awaitLogins(t, c, ns, map[string]string{"registry.example.com": "2"})
	await(t, "status", func() string { return p.status().Error + strings.Join(p.status().Warnings, "; ") })
	if err := c.Client(t).CoreV1().Secrets(ns).Delete(t.Context(), "regcred", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitLogins(t, c, ns, map[string]string{"registry.example.com": "2"})
}

// TestStartsWithoutServer: a start while the API server is down is no failure for
// good.
func TestStartsWithoutServer(t *testing.T) {
	c := kubetest.Shared(t)
	ns := c.Namespace(t, "late", map[string]string{"t": "late"})
	proxy := c.Proxy(t, kubetest.Faults{Rate: 1, Statuses: []int{http.StatusServiceUnavailable}, Watches: true})
	o := quick(c, "t=late")
	o.Config = proxy.Config()
	p := newPlant(t, newTarget(t, o))
	p.credential(regcred.Foundation, "registry.example.com", "1", time.Time{})
	await(t, "requests", func() string {
		if proxy.Count(nil) == 0 {
			return "nobody asks"
		}
		return ""
	})
	proxy.Set(kubetest.Faults{})
	awaitLogins(t, c, ns, map[string]string{"registry.example.com": "1"})
}

// TestWatchesDropped: what happens while a watch is broken is seen by the next one.
func TestWatchesDropped(t *testing.T) {
	c := kubetest.Shared(t)
	proxy := c.Proxy(t, kubetest.Faults{})
	o := quick(c, "t=dropped")
	o.Config = proxy.Config()
	ns := c.Namespace(t, "dropped", map[string]string{"t": "dropped"})
	p := newPlant(t, newTarget(t, o))
	p.credential(regcred.Foundation, "registry.example.com", "1", time.Time{})
	want := map[string]string{"registry.example.com": "1"}
	awaitLogins(t, c, ns, want)
	for range 3 {
		proxy.DropWatches()
		putLogin(t, c, ns, false, "registry.example.com", "robot:edited")
		next := c.Namespace(t, "dropped", map[string]string{"t": "dropped"})
		awaitLogins(t, c, ns, want)
		awaitLogins(t, c, next, want)
	}
}

// TestOneFails: a namespace whose Secret cannot be written delays no other, is named
// in the status, and is right once that is over.
func TestOneFails(t *testing.T) {
	c := kubetest.Shared(t)
	bad := c.Namespace(t, "fails", map[string]string{"t": "fails"})
	faults := kubetest.Faults{Rate: 1, Statuses: []int{http.StatusForbidden}, Only: func(call kubetest.Call) bool {
		return call.Namespace == bad && call.Resource == "secrets"
	}}
	proxy := c.Proxy(t, faults)
	o := quick(c, "t=fails")
	o.Config, o.Concurrency = proxy.Config(), 2
	target := newTarget(t, o)
	p := newPlant(t, target)
	p.credential(regcred.Foundation, "registry.example.com", "1", time.Time{})
	want := map[string]string{"registry.example.com": "1"}
	for range 5 {
		awaitLogins(t, c, c.Namespace(t, "fails", map[string]string{"t": "fails"}), want)
	}
	awaitError(t, p, "namespaces could not be synced: "+bad+"/regcred: ")
	for n := range target.Namespaces() {
		if failed := n.Namespace == bad; n.Failed != failed || n.Synced == failed {
			t.Errorf("it stands as %+v", n)
		}
	}
	await(t, "event", func() string {
		list, err := c.Client(t).CoreV1().Events(bad).List(t.Context(), metav1.ListOptions{})
		if err != nil || len(list.Items) != 1 || list.Items[0].Reason != "PullSecretFailed" {
			return fmt.Sprintf("there are %v, %v", list.Items, err)
		}
		return ""
	})
	proxy.Set(kubetest.Faults{})
	awaitLogins(t, c, bad, want)
}

// TestNamespaceVanishes: one that is deleted while it is written to is no failure,
// and one that comes again under the same name is served.
func TestNamespaceVanishes(t *testing.T) {
	c := kubetest.Shared(t)
	proxy := c.Proxy(t, kubetest.Faults{})
	o := quick(c, "t=vanish")
	o.Config = proxy.Config()
	p := newPlant(t, newTarget(t, o))
	guid := p.credential(regcred.Foundation, "registry.example.com", "0", time.Time{})
	ns := c.Namespace(t, "vanish", map[string]string{"t": "vanish"})
	awaitLogins(t, c, ns, map[string]string{"registry.example.com": "0"})
	var deleted atomic.Bool
	proxy.Set(kubetest.Faults{Before: func(call kubetest.Call) {
		if call.Namespace == ns && call.Verb == "update" && !deleted.Swap(true) {
			c.DeleteNamespace(t, ns)
		}
	}})
	p.renew(guid, "1", time.Time{})
	await(t, "status", func() string {
		if s := p.status(); !deleted.Load() || s.Error != "" || s.Revision != p.books.Now().Revision() || s.Delivered != 0 {
			return fmt.Sprintf("%s, %d delivered", s.Error, s.Delivered)
		}
		return ""
	})
	again := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns, Labels: map[string]string{"t": "vanish"}}}
	if _, err := c.Client(t).CoreV1().Namespaces().Create(t.Context(), again, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitLogins(t, c, ns, map[string]string{"registry.example.com": "1"})
}

// TestThrottled: where the API server asks to wait, a namespace waits, and all come
// right.
func TestThrottled(t *testing.T) {
	c := kubetest.Shared(t)
	proxy := c.Proxy(t, kubetest.Faults{Rate: 0.5, Seed: 1, Statuses: []int{http.StatusTooManyRequests}, Only: writesSecrets})
	o := quick(c, "t=throttled")
	o.Config = proxy.Config()
	p := newPlant(t, newTarget(t, o))
	p.credential(regcred.Foundation, "registry.example.com", "1", time.Time{})
	var names []string
	for range 8 {
		names = append(names, c.Namespace(t, "throttled", map[string]string{"t": "throttled"}))
	}
	for _, ns := range names {
		awaitLogins(t, c, ns, map[string]string{"registry.example.com": "1"})
	}
	// Each of them was asked to wait for a second: nobody comes again and again.
	if n := proxy.Count(writesSecrets); n > 8*20 {
		t.Errorf("8 namespaces took %d writes", n)
	}
}

// TestLeader: of two replicas one delivers, and where that is killed, so that it
// cannot give the Lease back, the other takes over.
func TestLeader(t *testing.T) {
	c := kubetest.Shared(t)
	ns := c.Namespace(t, "leader", map[string]string{"t": "leader"})
	store := memory.New()
	var plants []*plant
	var proxies []*kubetest.Proxy
	var guid string
	for i := range 2 {
		proxy := c.Proxy(t, kubetest.Faults{})
		o := quick(c, "t=leader")
		o.Config = proxy.Config()
		o.LeaderElection = &kubernetes.LeaderElection{Namespace: ns, Name: "regcred", Identity: fmt.Sprint("replica-", i)}
		proxies, plants = append(proxies, proxy), append(plants, resumePlant(t, store, newTarget(t, o)))
		if i == 0 {
			guid = plants[0].credential(regcred.Foundation, "registry.example.com", "0", time.Time{})
			awaitLogins(t, c, ns, map[string]string{"registry.example.com": "0"})
		}
	}
	await(t, "status", func() string {
		if all := strings.Join(plants[1].status().Warnings, " "); !strings.Contains(all, "another replica delivers: replica-0") {
			return "it warns: " + all
		}
		return ""
	})
	if n := proxies[1].Count(writesSecrets); n != 0 {
		t.Errorf("the other replica wrote %d times", n)
	}
	proxies[0].Set(kubetest.Faults{Rate: 1, Statuses: []int{http.StatusServiceUnavailable}, Watches: true})
	proxies[0].DropWatches()
	plants[1].renew(guid, "1", time.Time{})
	awaitLogins(t, c, ns, map[string]string{"registry.example.com": "1"})
	// The one that was cut off comes back as the other's standby.
	proxies[0].Set(kubetest.Faults{})
	await(t, "status", func() string {
		if all := strings.Join(plants[0].status().Warnings, " "); !strings.Contains(all, "another replica delivers: replica-1") {
			return "it warns: " + all + plants[0].status().Error
		}
		return ""
	})
	// One that ends in good order gives the Lease back.
	plants[1].stop()
	putLogin(t, c, ns, false, "registry.example.com", "robot:edited")
	awaitLogins(t, c, ns, map[string]string{"registry.example.com": "1"})
}

// TestConverges: 500 namespaces come right within two minutes while three in ten
// requests fail and watches break, through a fill and two renewals, and nobody ever
// sees a blank Secret, or an older login, where there was a newer one.
func TestConverges(t *testing.T) {
	const n = 500
	limit := time.Now().Add(2 * time.Minute)
	c := kubetest.Start(t, kubetest.Options{})
	proxy := c.Proxy(t, kubetest.Faults{Rate: 0.3, Seed: 7})
	o := quick(c, "t=converge")
	o.Config = proxy.Config()
	names := manyNamespaces(t, c, n, "t", "converge")
	seen := sample(t, c)
	p := newPlant(t, newTarget(t, o))
	guid := p.credential(regcred.Foundation, "registry.example.com", "0", time.Now().Add(time.Minute))
	for generation := range 3 {
		if generation > 0 {
			proxy.DropWatches()
			p.renew(guid, fmt.Sprint(generation), time.Now().Add(time.Minute))
		}
		await(t, fmt.Sprint("generation ", generation), func() string {
			if missing := seen.missing(names, generation); missing > 0 {
				return fmt.Sprintf("%d namespaces are not there yet: %s", missing, p.status().Error)
			}
			return ""
		})
	}
	if time.Now().After(limit) {
		t.Errorf("it took %v too long", time.Since(limit))
	}
	for _, wrong := range seen.wrong {
		t.Error(wrong)
	}
	await(t, "status", func() string { return p.status().Error })
}

// manyNamespaces makes n namespaces, several at a time, which are not deleted.
func manyNamespaces(t *testing.T, c *kubetest.Cluster, n int, key, value string) []string {
	t.Helper()
	core := c.Client(t).CoreV1().Namespaces()
	names := make([]string, n)
	var makers sync.WaitGroup
	for maker := range 8 {
		makers.Go(func() {
			for i := maker; i < n; i += 8 {
				names[i] = fmt.Sprintf("%s-%04d", value, i)
				ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: names[i], Labels: map[string]string{key: value}}}
				if _, err := core.Create(t.Context(), ns, metav1.CreateOptions{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	makers.Wait()
	return names
}

// samples is what a watch of all pull secrets has seen: their logins are numbers that
// only grow.
type samples struct {
	mu     sync.Mutex
	newest map[string]int // by namespace
	wrong  []string
}

// sample watches the pull secrets of a cluster until the test ends.
func sample(t *testing.T, c *kubetest.Cluster) *samples {
	t.Helper()
	s := &samples{newest: map[string]int{}}
	w, err := c.Client(t).CoreV1().Secrets("").Watch(t.Context(), metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("metadata.name", kubernetes.DefaultSecretName).String(),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() {
		for {
			select {
			case e := <-w.ResultChan():
				if secret, ok := e.Object.(*corev1.Secret); ok {
					s.see(string(e.Type), secret)
				}
			case <-ctx.Done():
				return
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		w.Stop()
		watching.Wait()
	})
	return s
}

func (s *samples) see(event string, secret *corev1.Secret) {
	s.mu.Lock()
	defer s.mu.Unlock()
	login, err := base64.StdEncoding.DecodeString(auths(secret)["registry.example.com"]["auth"])
	number := -1
	if err == nil {
		_, _ = fmt.Sscanf(string(login), "robot:%d", &number)
	}
	if before, ok := s.newest[secret.Namespace]; event == "DELETED" || ok && number < before {
		s.wrong = append(s.wrong, fmt.Sprintf("%s: %s, from login %d to %d", secret.Namespace, event, before, number))
	}
	s.newest[secret.Namespace] = number
}

// missing counts the namespaces that do not have a login.
func (s *samples) missing(names []string, number int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, ns := range names {
		if got, ok := s.newest[ns]; !ok || got != number {
			n++
		}
	}
	return n
}

// TestBlindIsSaid: a watch that fails is in the status at once, and no longer once it is
// back, though nothing else happens.
func TestBlindIsSaid(t *testing.T) {
	c := kubetest.Shared(t)
	proxy := c.Proxy(t, kubetest.Faults{})
	o := quick(c, "t=said")
	o.Config = proxy.Config()
	ns := c.Namespace(t, "said", map[string]string{"t": "said"})
	p := newPlant(t, newTarget(t, o))
	p.credential(regcred.Foundation, "registry.example.com", "1", time.Time{})
	awaitLogins(t, c, ns, map[string]string{"registry.example.com": "1"})
	const said = "are not watched now"
	proxy.Set(kubetest.Faults{Rate: 1, Statuses: []int{http.StatusServiceUnavailable}, Watches: true})
	proxy.DropWatches()
	await(t, "status", func() string {
		if all := strings.Join(p.status().Warnings, " "); !strings.Contains(all, said) {
			return "the warnings are " + all
		}
		return ""
	})
	proxy.Set(kubetest.Faults{})
	await(t, "status", func() string {
		if all := strings.Join(p.status().Warnings, " "); strings.Contains(all, said) {
			return "the warnings are " + all
		}
		return ""
	})
}
