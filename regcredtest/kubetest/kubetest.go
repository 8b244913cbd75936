// Package kubetest runs tests against a real Kubernetes API server: etcd and
// kube-apiserver, as `make bin/etcd bin/kube-apiserver` builds them, with RBAC and
// the default admission plugins.
//
// No controllers run: a namespace gets no ServiceAccount by itself, and one that is
// deleted stays Terminating. Tests make what they need, in namespaces of their own.
package kubetest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"regcred.dev/regcredtest/internal/program"
)

// Options configure a Cluster. The zero value is that of most tests.
type Options struct {
	// Assets is the directory with etcd and kube-apiserver. Default:
	// $KUBEBUILDER_ASSETS, else bin/ of the repository.
	Assets string
	// Flags are added to those of kube-apiserver.
	Flags []string
	// Sync has etcd write through to the disk, as benches want it and tests do not.
	Sync bool
}

// Cluster is an API server and its store, on loopback ports.
type Cluster struct {
	dir    string
	assets string
	flags  []string
	token  string
	url    string
	etcd   *program.Process
	api    *program.Process
}

// Open starts a cluster; Close ends it.
func Open(o Options) (_ *Cluster, err error) {
	c := &Cluster{token: rand.Text()}
	if c.assets, err = findAssets(o.Assets); err != nil {
		return nil, err
	}
	if c.dir, err = os.MkdirTemp("", "kubetest-"); err != nil {
		return nil, err
	}
	// At other ports, where one was taken meanwhile.
	for range 3 {
		if err = c.start(o); err == nil {
			return c, nil
		}
		c.api.Kill()
		c.etcd.Kill()
	}
	c.Close()
	return nil, err
}

// Start is Open for one test; it fails the test where it cannot.
func Start(t testing.TB, o Options) *Cluster {
	t.Helper()
	c, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// shared is the cluster of a whole test binary.
var shared struct {
	once    sync.Once
	cluster *Cluster
	err     error
}

// Shared returns the one cluster of the test binary, which its TestMain ends by
// Main. The first call starts it.
func Shared(t testing.TB) *Cluster {
	t.Helper()
	shared.once.Do(func() { shared.cluster, shared.err = Open(Options{}) })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.cluster
}

// Main runs the tests of a binary and ends its Shared cluster. It returns the code
// that TestMain passes to os.Exit.
func Main(m *testing.M) int {
	code := m.Run()
	if shared.cluster != nil {
		shared.cluster.Close()
	}
	return code
}

// Close ends the cluster and removes what it stored.
func (c *Cluster) Close() {
	c.api.Kill()
	c.etcd.Kill()
	_ = os.RemoveAll(c.dir) // nothing can be done about it
}

// Config returns how to reach the API server as its admin, without a limit of the
// client's own.
func (c *Cluster) Config() *rest.Config {
	return &rest.Config{
		Host:            c.url,
		BearerToken:     c.token,
		TLSClientConfig: rest.TLSClientConfig{CAFile: c.certificate()},
		QPS:             -1,
	}
}

// As returns how to reach the API server as somebody else, who has the rights that
// RBAC gives the user and the groups.
func (c *Cluster) As(user string, groups ...string) *rest.Config {
	config := c.Config()
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: groups}
	return config
}

// Kubeconfig writes Config as a kubeconfig file and returns its path.
func (c *Cluster) Kubeconfig(t testing.TB) string {
	t.Helper()
	return WriteKubeconfig(t, c.Config())
}

// WriteKubeconfig writes a kubeconfig file of mode 0600, whose only context is
// "test", and returns its path. An impersonated user stays one.
func WriteKubeconfig(t testing.TB, config *rest.Config) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := SaveKubeconfig(path, config); err != nil {
		t.Fatal(err)
	}
	return path
}

// SaveKubeconfig is WriteKubeconfig to a path, for those who are no test.
func SaveKubeconfig(path string, config *rest.Config) error {
	file := clientcmdapi.NewConfig()
	file.Clusters["test"] = &clientcmdapi.Cluster{Server: config.Host, CertificateAuthority: config.CAFile}
	file.AuthInfos["test"] = &clientcmdapi.AuthInfo{
		Token: config.BearerToken, Impersonate: config.Impersonate.UserName, ImpersonateGroups: config.Impersonate.Groups,
	}
	file.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: "test"}
	file.CurrentContext = "test"
	return clientcmd.WriteToFile(*file, path)
}

// Client returns a client of the admin.
func (c *Cluster) Client(t testing.TB) *kubernetes.Clientset {
	t.Helper()
	client, err := kubernetes.NewForConfig(c.Config())
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// Namespace creates a namespace with labels, whose name begins with a prefix, and
// returns its name. It is deleted with the test, as far as that goes without
// controllers: what is in it is deleted first.
func (c *Cluster) Namespace(t testing.TB, prefix string, labels map[string]string) string {
	t.Helper()
	client := c.Client(t)
	name := prefix + "-" + strings.ToLower(rand.Text()[:8])
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
	if _, err := client.CoreV1().Namespaces().Create(t.Context(), ns, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.DeleteNamespace(t, name) })
	return name
}

// DeleteNamespace deletes a namespace for good, as its controller would: its Secrets
// and ServiceAccounts, then its finalizer. One that is gone is fine.
func (c *Cluster) DeleteNamespace(t testing.TB, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	core := c.Client(t).CoreV1()
	if err := core.Namespaces().Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
		return // it is gone, or the server is
	}
	all := metav1.ListOptions{}
	err := errors.Join(
		core.Secrets(name).DeleteCollection(ctx, metav1.DeleteOptions{}, all),
		core.ServiceAccounts(name).DeleteCollection(ctx, metav1.DeleteOptions{}, all),
		core.Pods(name).DeleteCollection(ctx, metav1.DeleteOptions{}, all),
		core.Events(name).DeleteCollection(ctx, metav1.DeleteOptions{}, all),
	)
	if err != nil {
		t.Logf("cleaning up namespace %s: %v", name, err)
	}
	ns, err := core.Namespaces().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return
	}
	ns.Spec.Finalizers = nil
	if _, err := core.Namespaces().Finalize(ctx, ns, metav1.UpdateOptions{}); err != nil {
		t.Logf("cleaning up namespace %s: %v", name, err)
	}
}

// findAssets returns the directory of the two programs.
func findAssets(dir string) (string, error) {
	if dir == "" {
		dir = os.Getenv("KUBEBUILDER_ASSETS")
	}
	if dir == "" {
		root, err := repository()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(root, "bin")
	}
	for _, name := range []string{"etcd", "kube-apiserver"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return "", fmt.Errorf("kubetest needs %s in %s: run `make bin/kube-apiserver bin/etcd`, or set KUBEBUILDER_ASSETS: %w", name, dir, err)
		}
	}
	return dir, nil
}

// repository returns the directory of the repository that the test runs in: the
// nearest one above that has the tools.
func repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "tools", "kube", "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("kubetest runs in the repository only: there is no tools/kube above the working directory")
		}
		dir = parent
	}
}
