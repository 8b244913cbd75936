//go:build integration

package kubernetes_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"regcred.dev"
	"regcred.dev/deliver"
	"regcred.dev/deliver/kubernetes"
	"regcred.dev/imageref"
	"regcred.dev/keyring"
	"regcred.dev/regcredtest/kubetest"
	"regcred.dev/store/memory"
)

// patience bounds how long a test waits for what is to happen.
const patience = 60 * time.Second

// plant is a store with its books, and the runner of a target.
type plant struct {
	*testing.T

	store  *memory.Store
	books  *keyring.Books
	runner *deliver.Runner
	fence  uint64
	stop   func()
}

// newPlant runs targets until the test ends.
func newPlant(t *testing.T, targets ...deliver.Target) *plant {
	t.Helper()
	return resumePlant(t, memory.New(), targets...)
}

// resumePlant does so with a store.
func resumePlant(t *testing.T, store *memory.Store, targets ...deliver.Target) *plant {
	t.Helper()
	p := &plant{T: t, store: store, books: keyring.New(store.ID())}
	p.runner = deliver.NewRunner(deliver.Options{Books: p.books, Targets: targets})
	var err error
	if p.fence, err = store.Fence(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var parts sync.WaitGroup
	parts.Go(func() { _ = p.books.Follow(ctx, store) })
	parts.Go(func() { _ = p.runner.Run(ctx) })
	p.stop = sync.OnceFunc(func() {
		cancel()
		parts.Wait()
	})
	t.Cleanup(p.stop)
	return p
}

// credential stores a credential for a host, with a login, and returns its guid.
func (p *plant) credential(scope regcred.Scope, host, password string, expires time.Time) string {
	p.Helper()
	location, err := imageref.ParseLocation(host)
	if err != nil {
		p.Fatal(err)
	}
	c, err := p.store.Create(p.Context(), regcred.Credential{
		Scope: scope, Location: location, Spelling: host, Provider: regcred.ProviderStatic,
		Username: "robot", Password: regcred.NewSecret("stored"), Origin: regcred.OriginAPI,
	})
	if err != nil {
		p.Fatal(err)
	}
	p.renew(c.GUID, password, expires)
	return c.GUID
}

// renew stores a new login of a credential.
func (p *plant) renew(guid, password string, expires time.Time) {
	p.Helper()
	c, err := p.store.Get(p.Context(), guid)
	if err != nil {
		p.Fatal(err)
	}
	_, err = p.store.PutLogin(p.Context(), guid, regcred.Login{
		Username: "robot", Password: regcred.NewSecret(password), MintedAt: time.Now(), ExpiresAt: expires, Version: c.Version,
	}, p.fence)
	if err != nil {
		p.Fatal(err)
	}
}

func (p *plant) remove(guid string) {
	p.Helper()
	if _, err := p.store.Delete(p.Context(), guid); err != nil {
		p.Fatal(err)
	}
}

// status is that of the only target.
func (p *plant) status() deliver.Status { return p.runner.Status()[0] }

// await waits until wrong returns "", and fails with what it returned last.
func await(t testing.TB, what string, wrong func() string) {
	t.Helper()
	last := ""
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if last = wrong(); last == "" {
			return
		}
	}
	t.Fatalf("%s: %s", what, last)
}

// awaitError waits until the status tells of an error with all of these words.
func awaitError(t *testing.T, p *plant, words ...string) {
	t.Helper()
	await(t, "status", func() string {
		text := p.status().Error
		for _, w := range words {
			if !strings.Contains(text, w) {
				return fmt.Sprintf("the error is %q", text)
			}
		}
		return ""
	})
}

// awaitLogins waits until a namespace's pull secret has the passwords by host.
func awaitLogins(t *testing.T, c *kubetest.Cluster, ns string, passwords map[string]string) {
	t.Helper()
	await(t, ns, func() string {
		got := readLogins(t, c, ns)
		if secretOf(t, c, ns) == nil {
			return "there is no Secret"
		}
		for host, password := range passwords {
			if got[host] != "robot:"+password {
				return "for " + host + " there is " + got[host]
			}
		}
		if len(got) != len(passwords) {
			return "there are other logins"
		}
		return ""
	})
}

// awaitGone waits until a namespace has no pull secret.
func awaitGone(t *testing.T, c *kubetest.Cluster, ns string) {
	t.Helper()
	await(t, ns, func() string {
		if secretOf(t, c, ns) != nil {
			return "the Secret is still there"
		}
		return ""
	})
}

// serviceAccount makes a ServiceAccount that names pull secrets.
func serviceAccount(t *testing.T, c *kubetest.Cluster, ns, name string, pullSecrets ...string) {
	t.Helper()
	a := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}
	for _, s := range pullSecrets {
		a.ImagePullSecrets = append(a.ImagePullSecrets, corev1.LocalObjectReference{Name: s})
	}
	if _, err := c.Client(t).CoreV1().ServiceAccounts(ns).Create(t.Context(), a, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// pullSecrets returns those that a ServiceAccount names, separated by spaces.
func pullSecrets(t *testing.T, c *kubetest.Cluster, ns, name string) string {
	t.Helper()
	a, err := c.Client(t).CoreV1().ServiceAccounts(ns).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range a.ImagePullSecrets {
		names = append(names, s.Name)
	}
	return strings.Join(names, " ")
}

// awaitPullSecrets waits until a ServiceAccount names these.
func awaitPullSecrets(t *testing.T, c *kubetest.Cluster, ns, name, want string) {
	t.Helper()
	await(t, ns+"/"+name, func() string {
		if got := pullSecrets(t, c, ns, name); got != want {
			return "it names " + got
		}
		return ""
	})
}

// put creates a Secret, or replaces it.
func put(t *testing.T, c *kubetest.Cluster, ns string, s *corev1.Secret) *corev1.Secret {
	t.Helper()
	core := c.Client(t).CoreV1().Secrets(ns)
	out, err := core.Create(t.Context(), s, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		out, err = core.Update(t.Context(), s, metav1.UpdateOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// pullSecret returns a Secret of the target's name that is nobody's, with a login for
// a host.
func pullSecret(t *testing.T, host, password string) *corev1.Secret {
	t.Helper()
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: kubernetes.DefaultSecretName}, Type: corev1.SecretTypeDockerConfigJson}
	setAuths(t, s, map[string]map[string]string{host: {"auth": basic("robot:" + password)}})
	return s
}

// quick are options without the limits that are in a test's way, for namespaces with
// a label.
func quick(c *kubetest.Cluster, label string) kubernetes.Options {
	return kubernetes.Options{
		Config: c.Config(), QPS: 1000, Burst: 1000, Namespaces: kubernetes.Namespaces{Selector: label},
	}
}

func writesSecrets(call kubetest.Call) bool {
	return call.Resource == "secrets" && (call.Verb == "create" || call.Verb == "update")
}
