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
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/client-go/rest"
)

// startTimeout bounds how long a program may take until it is ready.
const startTimeout = time.Minute

// process is a program that runs. A nil one has ended.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

// run starts a program, whose output goes to a file.
func run(log, program string, args ...string) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd := exec.CommandContext(context.Background(), program, args...)
	cmd.Stdout, cmd.Stderr = out, out
	dieWithParent(cmd)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, ended: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // it was killed, or its log says why it ended
		close(p.ended)
	}()
	return p, nil
}

// kill ends the process at once, and waits until it has.
func (p *process) kill() {
	if p == nil {
		return
	}
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
}

// PID returns that of the API server, for those who measure it.
func (c *Cluster) PID() int { return c.api.cmd.Process.Pid }

// Stop kills the API server, as a crash would.
func (c *Cluster) Stop() {
	c.api.kill()
	c.api = nil
}

// Restart starts a stopped API server again, at the same address and on the same
// store.
func (c *Cluster) Restart() error {
	c.api.kill()
	return c.startAPI()
}

// certificate is the file that the API server writes its certificate to, and that
// of the authority which signed it.
func (c *Cluster) certificate() string { return filepath.Join(c.dir, "certs", "apiserver.crt") }

func (c *Cluster) start(durable bool) error {
	var ports [3]string
	for i := range ports {
		port, err := freePort()
		if err != nil {
			return err
		}
		ports[i] = port
	}
	c.url = "https://127.0.0.1:" + ports[2]
	if err := c.writeKeys(); err != nil {
		return err
	}
	client, peer := "http://127.0.0.1:"+ports[0], "http://127.0.0.1:"+ports[1]
	args := []string{
		"--data-dir=" + filepath.Join(c.dir, "etcd"),
		"--listen-client-urls=" + client, "--advertise-client-urls=" + client,
		"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer, "--initial-cluster=default=" + peer,
	}
	if !durable {
		args = append(args, "--unsafe-no-fsync")
	}
	var err error
	if c.etcd, err = run(c.log("etcd"), filepath.Join(c.assets, "etcd"), args...); err != nil {
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
	}, c.flags...)
	return c.startAPI()
}

func (c *Cluster) log(program string) string { return filepath.Join(c.dir, program+".log") }

// startAPI starts the API server and waits until it is ready.
func (c *Cluster) startAPI() error {
	var err error
	if c.api, err = run(c.log("kube-apiserver"), filepath.Join(c.assets, "kube-apiserver"), c.flags...); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	var last error
	for {
		if last = c.ready(ctx); last == nil {
			return nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
			continue
		case <-c.api.ended:
		case <-c.etcd.ended:
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
	for _, program := range []string{"etcd", "kube-apiserver"} {
		text, _ := os.ReadFile(c.log(program))
		fmt.Fprintf(&all, "%s logged last:\n%s\n", program, text[max(0, len(text)-2000):])
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

// freePort returns a port of the loopback interface that was free just now.
func freePort() (string, error) {
	var config net.ListenConfig
	l, err := config.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}
