package kubetest

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/client-go/rest"

	"regcred.dev/regcredtest/internal/program"
)

// PID returns that of the API server, for those who measure it.
func (c *Cluster) PID() int { return c.api.PID() }

// Stop kills the API server, as a crash would.
func (c *Cluster) Stop() {
	c.api.Kill()
	c.api = nil
}

// Restart starts a stopped API server again, at the same address and on the same
// store.
func (c *Cluster) Restart() error {
	c.api.Kill()
	return c.startAPI()
}

// certificate is the file that the API server writes its certificate to, and that
// of the authority which signed it.
func (c *Cluster) certificate() string { return filepath.Join(c.dir, "certs", "apiserver.crt") }

func (c *Cluster) start(o Options) error {
	var ports [3]string
	for i := range ports {
		address, err := program.FreeAddress()
		if err != nil {
			return err
		}
		_, ports[i], _ = strings.Cut(address, ":")
	}
	c.url = "https://127.0.0.1:" + ports[2]
	if err := c.writeKeys(); err != nil {
		return err
	}
	client, peer := "http://127.0.0.1:"+ports[0], "http://127.0.0.1:"+ports[1]
	data, err := os.MkdirTemp(c.dir, "etcd-")
	if err != nil {
		return err
	}
	args := []string{
		"--data-dir=" + data,
		"--listen-client-urls=" + client, "--advertise-client-urls=" + client,
		"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer, "--initial-cluster=default=" + peer,
	}
	if !o.Sync {
		args = append(args, "--unsafe-no-fsync")
	}
	if c.etcd, err = program.Run(c.log("etcd"), nil, filepath.Join(c.assets, "etcd"), args...); err != nil {
		return err
	}
	c.flags = append([]string{
		"--etcd-servers=" + client,
		"--cert-dir=" + filepath.Join(c.dir, "certs"), "--bind-address=127.0.0.1", "--secure-port=" + ports[2],
		"--token-auth-file=" + filepath.Join(c.dir, "tokens"),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-signing-key-file=" + filepath.Join(c.dir, "sa.key"),
		"--service-account-key-file=" + filepath.Join(c.dir, "sa.key"),
		"--service-cluster-ip-range=10.0.0.0/24", "--authorization-mode=RBAC",
	}, o.Flags...)
	return c.startAPI()
}

func (c *Cluster) log(name string) string { return filepath.Join(c.dir, name+".log") }

// startAPI starts the API server and waits until it is ready.
func (c *Cluster) startAPI() error {
	var err error
	if c.api, err = program.Run(c.log("kube-apiserver"), nil, filepath.Join(c.assets, "kube-apiserver"), c.flags...); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), program.StartTimeout)
	defer cancel()
	var last error
	for {
		if last = c.ready(ctx); last == nil {
			return nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
			continue
		case <-c.api.Ended:
		case <-c.etcd.Ended:
		case <-ctx.Done():
		}
		return fmt.Errorf("kube-apiserver did not become ready: %w\n%s", last, c.lastOutput())
	}
}

// ready asks the API server whether it is.
func (c *Cluster) ready(ctx context.Context) error {
	transport, err := rest.HTTPClientFor(c.Config())
	if err != nil {
		return err // the certificate is not there yet
	}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+"/readyz", nil)
	if err != nil {
		return err
	}
	response, err := transport.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	if response.StatusCode != http.StatusOK {
		return errors.New(strings.TrimSpace(string(body)))
	}
	return nil
}

// lastOutput returns the end of what the programs logged.
func (c *Cluster) lastOutput() string {
	var all strings.Builder
	for _, name := range []string{"etcd", "kube-apiserver"} {
		text, _ := os.ReadFile(c.log(name))
		fmt.Fprintf(&all, "%s logged last:\n%s\n", name, text[max(0, len(text)-2000):])
	}
	return all.String()
}

// writeKeys writes the key that signs ServiceAccounts' tokens, and the admin's
// token.
func (c *Cluster) writeKeys() error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	return errors.Join(
		os.WriteFile(filepath.Join(c.dir, "sa.key"), text, 0o600),
		os.WriteFile(filepath.Join(c.dir, "tokens"), []byte(c.token+",admin,admin,system:masters\n"), 0o600),
	)
}
