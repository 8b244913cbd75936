//go:build integration

package chart_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"helm.sh/helm/v4/pkg/action"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"regcred.dev/cmd/regcred/server"
	"regcred.dev/config"
	"regcred.dev/regcredtest"
	"regcred.dev/regcredtest/fakeecr"
	"regcred.dev/regcredtest/kubetest"
)

// runs keeps a program running until the test ends.
func runs(t *testing.T, run func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("it ended with: %v", err)
		}
	})
}

// eventually polls until f returns nil: there are real sockets in between.
func eventually(t *testing.T, f func() error) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %v", err)
		}
		time.Sleep(50 * time.Millisecond) //nolint:forbidigo // polling
	}
}

// login waits until a namespace has a pull secret with a login for a registry, and
// returns that, USERNAME:PASSWORD.
func (c cluster) login(t *testing.T, namespace, name, registry string) (login string) {
	t.Helper()
	eventually(t, func() error {
		secret, err := c.Client(t).CoreV1().Secrets(namespace).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		var file struct {
			Auths map[string]struct{ Auth []byte }
		}
		if err := json.Unmarshal(secret.Data[corev1.DockerConfigJsonKey], &file); err != nil {
			return err
		}
		entry, ok := file.Auths[registry]
		if !ok {
			return fmt.Errorf("Secret %s in namespace %s has no login for %s", name, namespace, registry)
		}
		login = string(entry.Auth)
		return nil
	})
	return login
}

func (c cluster) deployment(t *testing.T) *appsv1.Deployment {
	t.Helper()
	d, err := c.Client(t).AppsV1().Deployments(c.namespace).Get(t.Context(), "regcred", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// What Deis's page installs runs: with the environment, the files and the rights that
// the pod has, apps get a login.
func TestInstalledRefresher(t *testing.T) {
	aws := fakeecr.New(fakeecr.Options{Users: map[string]fakeecr.User{
		"ACCESS_KEY": {ARN: "arn:aws:iam::123456789012:user/deis", Secret: "SECRET_KEY"},
	}})
	c := newCluster(t)
	c.install(t, example(t, "ecr"), action.DryRunNone)
	t.Cleanup(func() { c.uninstall(t) })
	app := c.Namespace(t, "app", map[string]string{"heritage": "deis"})

	pod := c.deployment(t).Spec.Template.Spec
	env := environment(pod.Containers[0])
	env["POD_NAMESPACE"], env["REGCRED_LISTEN"] = c.namespace, "127.0.0.1:0"
	cfg, err := config.LoadDeis(func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	d, err := server.OpenDeis(t.Context(), server.DeisOptions{
		Config: cfg, Credentials: c.mount(t, mounted(pod, config.DeisCredentials)),
		Kubernetes: c.account(), Transport: regcredtest.HandlerTransport{"api.ecr.us-west-2.amazonaws.com": aws},
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	runs(t, d.Run)
	for _, ns := range []string{app, c.namespace} {
		login := c.login(t, ns, "private-registry-ecr", "https://123456789012.dkr.ecr.us-west-2.amazonaws.com")
		username, password, _ := strings.Cut(login, ":")
		if _, valid := aws.Find(password); username != "AWS" || !valid {
			t.Errorf("the login in %s is none that ECR gave, with user name %s", ns, username)
		}
	}
}

// mount writes the files of a Secret of the release, as the kubelet would.
func (c cluster) mount(t *testing.T, name string) string {
	t.Helper()
	secret, err := c.Client(t).CoreV1().Secrets(c.namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for file, content := range secret.Data {
		if err := os.WriteFile(filepath.Join(dir, file), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// The server runs with the configuration and the rights that the pod has, cluster-wide
// or in its namespaces alone.
func TestInstalledServer(t *testing.T) {
	for name, mode := range map[string]string{"cluster-wide": "", "namespaced": "namespaced: true, "} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t)
			app := c.Namespace(t, "app", nil)
			account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
			if _, err := c.Client(t).CoreV1().ServiceAccounts(app).Create(t.Context(), account, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			c.install(t, `
config:
  credentials:
  - {location: quay.io, organization: cluster, space: `+app+`, username: robot, password: "env:QUAY_PASSWORD"}
  targets:
  - kubernetes: {`+mode+`namespaces: {include: [`+app+`]}, scope: {default_organization: cluster}, service_accounts: [default]}
`, action.DryRunNone)
			t.Cleanup(func() { c.uninstall(t) })
			c.serve(t)
			if got := c.login(t, app, "regcred", "quay.io"); got != "robot:hunter2" {
				t.Errorf("the login is %q", got)
			}
			c.pulls(t, app)
			if _, err := c.Client(t).CoreV1().Secrets(c.namespace).Get(t.Context(), "regcred", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
				t.Errorf("a namespace that is not served has a pull secret: %v", err)
			}
		})
	}
}

// serve runs the server that the release configures, but for its address and its
// volume.
func (c cluster) serve(t *testing.T) {
	t.Helper()
	t.Setenv("KUBECONFIG", kubetest.WriteKubeconfig(t, c.account()))
	file, err := c.Client(t).CoreV1().ConfigMaps(c.namespace).Get(t.Context(), "regcred", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Parse("regcred.yaml", []byte(file.Data["regcred.yaml"]), config.Sources{
		Getenv: func(name string) (string, bool) { return "hunter2", name == "QUAY_PASSWORD" },
	})
	if err != nil {
		t.Fatal(err)
	}
	cfg.DataDir, cfg.Listen = t.TempDir(), "127.0.0.1:0"
	s, err := server.Open(t.Context(), cfg, "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	runs(t, s.Run)
}

// pulls waits until pods of the ServiceAccount default have the pull secret.
func (c cluster) pulls(t *testing.T, namespace string) {
	t.Helper()
	eventually(t, func() error {
		account, err := c.Client(t).CoreV1().ServiceAccounts(namespace).Get(t.Context(), "default", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if !slices.Contains(account.ImagePullSecrets, corev1.LocalObjectReference{Name: "regcred"}) {
			return fmt.Errorf("the ServiceAccount names %v", account.ImagePullSecrets)
		}
		return nil
	})
}
