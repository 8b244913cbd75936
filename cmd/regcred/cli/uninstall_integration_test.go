//go:build integration

package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"regcred.dev/cmd/regcred/cli"
	"regcred.dev/cmd/regcred/server"
	"regcred.dev/regcredtest/kubetest"
)

// cluster is a regcred with a Kubernetes target.
type cluster struct {
	*testing.T
	*kubetest.Cluster

	dir    string // with regcred.yaml and the data
	socket string
}

// run runs the command line, and returns its exit code and all that it printed.
func (c *cluster) run(ctx context.Context, args ...string) (code int, output string) {
	var out bytes.Buffer
	p := &cli.Program{Stdin: strings.NewReader("pw"), Stdout: &out, Stderr: &out, Getenv: func(name string) string {
		if name == "REGCRED_DATA_DIR" {
			return filepath.Join(c.dir, "data")
		}
		return ""
	}}
	code = p.Run(ctx, args)
	return code, out.String()
}

// must runs the command line, which has to end with a code.
func (c *cluster) must(code int, args ...string) string {
	c.Helper()
	got, output := c.run(c.Context(), args...)
	if got != code {
		c.Fatalf("regcred %s: exit code %d\n%s", strings.Join(args, " "), got, output)
	}
	return output
}

// await waits until wrong returns "".
func (c *cluster) await(wrong func() string) {
	c.Helper()
	last := ""
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) { //nolint:forbidigo // polling over real sockets
		if last = wrong(); last == "" {
			return
		}
	}
	c.Fatal(last)
}

// secret returns the pull secret of a namespace, nil where there is none.
func (c *cluster) secret(ns string) *corev1.Secret {
	c.Helper()
	s, err := c.Client(c.T).CoreV1().Secrets(ns).Get(c.Context(), "regcred", metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		c.Fatal(err)
	}
	return s
}

// TestKubernetes goes the way of docs/kubernetes.md: a server with a target, a
// credential, a namespace's Secret, status, metrics, and the end of it all.
func TestKubernetes(t *testing.T) {
	c := &cluster{T: t, Cluster: kubetest.Start(t, kubetest.Options{}), dir: t.TempDir()}
	ns := c.Namespace(t, "shop", nil)
	file := filepath.Join(c.dir, "regcred.yaml")
	yaml := fmt.Sprintf("listen: 127.0.0.1:0\ntargets:\n- name: cluster\n  kubernetes:\n    kubeconfig: %s\n", c.Kubeconfig(t))
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan string, 1)
	go func() {
		_, output := c.run(ctx, "serve", "--config", file)
		ended <- output
	}()
	c.socket = filepath.Join(c.dir, "data", server.SocketName)
	c.await(func() string {
		if code, output := c.run(t.Context(), "status"); code != 0 {
			return output
		}
		return ""
	})
	c.must(0, "credential", "create", "registry.example.com", "--username", "robot", "--password-stdin")
	c.await(func() string {
		if s := c.secret(ns); s == nil || !bytes.Contains(s.Data[corev1.DockerConfigJsonKey], []byte(`"registry.example.com"`)) {
			return "the Secret is not there yet"
		}
		return ""
	})
	c.await(func() string {
		status := c.must(0, "status")
		if !strings.Contains(status, "target cluster (scope by namespace): ") || strings.Contains(status, "ERROR") {
			return status
		}
		return ""
	})
	c.metrics(ns)
	if output := c.must(1, "uninstall", "kubernetes", "--config", file); !strings.Contains(output, "stop it first") {
		t.Errorf("while the server runs: %s", output)
	}
	stop()
	<-ended

	if output := c.must(2, "uninstall", "kubernetes", "--config", file, "--store", "x", "--all-stores"); !strings.Contains(output, "give one of them") {
		t.Errorf("with both: %s", output)
	}
	if output := c.must(1, "uninstall", "kubernetes", "--config", file, "--data-dir", t.TempDir()); !strings.Contains(output, "--all-stores") {
		t.Errorf("without a store: %s", output)
	}
	c.must(0, "uninstall", "kubernetes", "--config", file, "--store", "another")
	if c.secret(ns) == nil {
		t.Error("what another store delivered was taken away")
	}
	if output := c.must(0, "uninstall", "kubernetes", "--config", file); !strings.Contains(output, "target cluster: what was delivered from ") {
		t.Errorf("it says %s", output)
	}
	if s := c.secret(ns); s != nil {
		t.Errorf("there is still %v", s.ObjectMeta)
	}
	c.must(0, "uninstall", "kubernetes", "--config", file, "--all-stores")
}

// metrics checks what /metrics says of a namespace.
func (c *cluster) metrics(ns string) {
	c.Helper()
	web := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", c.socket)
	}}}
	defer web.CloseIdleConnections()
	c.await(func() string {
		resp, err := web.Get("http://local/metrics")
		if err != nil {
			return err.Error()
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		want := `regcred_kubernetes_namespace_synced{namespace="` + ns + `",target="cluster"} 1`
		if err != nil || !strings.Contains(string(text), want) {
			return fmt.Sprintf("the metrics lack %s: %v", want, err)
		}
		return ""
	})
}
