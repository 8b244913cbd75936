//go:build integration

package kubetest_test

import (
	"net/http"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"regcred.dev/regcredtest/kubetest"
)

func TestMain(m *testing.M) { os.Exit(kubetest.Main(m)) }

// TestCluster: RBAC is on, and a restarted API server has what it had.
func TestCluster(t *testing.T) {
	c := kubetest.Shared(t)
	ns := c.Namespace(t, "kubetest", map[string]string{"a": "b"})
	if _, err := c.Client(t).CoreV1().Namespaces().Get(t.Context(), ns, metav1.GetOptions{}); err != nil {
		t.Fatal(err)
	}
	nobody, err := kubernetes.NewForConfig(c.As("nobody"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := nobody.CoreV1().Secrets(ns).List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("nobody may list Secrets: %v", err)
	}
	c.Stop()
	if _, err := c.Client(t).CoreV1().Namespaces().Get(t.Context(), ns, metav1.GetOptions{}); err == nil {
		t.Error("a stopped server answers")
	}
	if err := c.Restart(); err != nil {
		t.Fatal(err)
	}
	got, err := c.Client(t).CoreV1().Namespaces().Get(t.Context(), ns, metav1.GetOptions{})
	if err != nil || got.Labels["a"] != "b" {
		t.Errorf("after the restart: %v, %v", got, err)
	}
}

func TestDeleteNamespace(t *testing.T) {
	c := kubetest.Shared(t)
	ns := c.Namespace(t, "kubetest", nil)
	core := c.Client(t).CoreV1()
	if _, err := core.Secrets(ns).Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	c.DeleteNamespace(t, ns)
	if _, err := core.Namespaces().Get(t.Context(), ns, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the namespace is still there: %v", err)
	}
}

func TestProxyFaults(t *testing.T) {
	c := kubetest.Shared(t)
	ns := c.Namespace(t, "kubetest", nil)
	secrets := func(call kubetest.Call) bool { return call.Resource == "secrets" }
	p := c.Proxy(t, kubetest.Faults{Rate: 1, Statuses: []int{http.StatusConflict}, Only: secrets})
	client, err := kubernetes.NewForConfig(p.Config())
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.CoreV1().Secrets(ns).Get(t.Context(), "x", metav1.GetOptions{})
	if !apierrors.IsConflict(err) {
		t.Errorf("got %v, want a conflict", err)
	}
	if _, err := client.CoreV1().Namespaces().Get(t.Context(), ns, metav1.GetOptions{}); err != nil {
		t.Errorf("other requests fail too: %v", err)
	}
	if diff := cmp.Diff(map[string]int{"get secrets": 1, "get namespaces": 1}, p.Calls()); diff != "" {
		t.Error(diff)
	}
	p.Set(kubetest.Faults{})
	if _, err := client.CoreV1().Secrets(ns).Get(t.Context(), "x", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("without faults: %v", err)
	}
}

func TestProxyDropsWatches(t *testing.T) {
	c := kubetest.Shared(t)
	p := c.Proxy(t, kubetest.Faults{})
	client, err := kubernetes.NewForConfig(p.Config())
	if err != nil {
		t.Fatal(err)
	}
	w, err := client.CoreV1().Secrets("default").Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	p.DropWatches()
	select {
	case e, open := <-w.ResultChan():
		if open {
			t.Errorf("got %v", e.Type)
		}
	case <-time.After(30 * time.Second):
		t.Error("the watch goes on")
	}
}

func TestParseCall(t *testing.T) {
	for _, test := range []struct {
		method, url string
		want        kubetest.Call
	}{
		{"GET", "/api/v1/namespaces", kubetest.Call{Verb: "list", Resource: "namespaces"}},
		{"GET", "/api/v1/namespaces/a", kubetest.Call{Verb: "get", Resource: "namespaces", Name: "a"}},
		{"PUT", "/api/v1/namespaces/a/finalize", kubetest.Call{Verb: "update", Resource: "namespaces/finalize", Name: "a"}},
		{"POST", "/api/v1/namespaces/a/secrets", kubetest.Call{Verb: "create", Resource: "secrets", Namespace: "a"}},
		{"DELETE", "/api/v1/namespaces/a/secrets/b", kubetest.Call{Verb: "delete", Resource: "secrets", Namespace: "a", Name: "b"}},
		{"GET", "/api/v1/secrets?watch=true&fieldSelector=metadata.name%3Db", kubetest.Call{Verb: "watch", Resource: "secrets", Name: "b"}},
		{"PATCH", "/apis/apps/v1/namespaces/a/deployments/b/scale", kubetest.Call{Verb: "patch", Resource: "deployments/scale", Namespace: "a", Name: "b"}},
		{"GET", "/readyz", kubetest.Call{Verb: "get", Resource: "/readyz"}},
	} {
		u, err := url.Parse(test.url)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, kubetest.ParseCall(test.method, u)); diff != "" {
			t.Errorf("%s %s: %s", test.method, test.url, diff)
		}
	}
}
