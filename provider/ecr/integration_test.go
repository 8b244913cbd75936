//go:build integration

package ecr_test

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"regcred.dev"
	"regcred.dev/provider/ecr"
	"regcred.dev/refresh"
	"regcred.dev/store/memory"
)

// patience is how long moto's server may take to start, and for a few mints.
const patience = 60 * time.Second

// motoServer starts moto's server, a fake of AWS by others, and returns its URL.
//
// Debian has no package of it. Where it is not installed the test is left out, and
// says so with -v; REGCRED_NEED_MOTO=1 makes that a failure.
func motoServer(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("moto_server")
	if err != nil {
		if os.Getenv("REGCRED_NEED_MOTO") == "1" {
			t.Fatal("moto_server is not installed, and REGCRED_NEED_MOTO=1 says that it must be: install it (pip install 'moto[server]')")
		}
		t.Skip("LEFT OUT: moto_server is not installed (pip install 'moto[server]'); REGCRED_NEED_MOTO=1 makes that a failure")
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(address)
	var output bytes.Buffer
	server := exec.Command(program, "-H", "127.0.0.1", "-p", port)
	server.Stdout, server.Stderr = &output, &output
	server.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // it may be a script
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Wait()
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-server.Process.Pid, syscall.SIGKILL)
		<-ended
	})
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-time.After(100 * time.Millisecond) {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
			return "http://" + address
		}
		select {
		case <-ended:
			t.Fatalf("moto_server ended: %s\n%s", server.ProcessState, output.String())
		default:
		}
	}
	t.Fatal("moto_server does not listen")
	return ""
}

// counter counts requests.
type counter struct{ n atomic.Int64 }

func (c *counter) RoundTrip(r *http.Request) (*http.Response, error) {
	c.n.Add(1)
	return http.DefaultTransport.RoundTrip(r)
}

// TestMoto: what moto's server answers is understood, and its token, which expired
// in 2015, ends as a failure with backoff.
func TestMoto(t *testing.T) {
	endpoint := motoServer(t)
	requests := new(counter)
	p := ecr.New(ecr.Options{Transport: requests})
	c := credential("", "region", region, "endpoint", endpoint, "registry-ids", "210987654321,"+account)
	l, err := p.Mint(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if expired := time.Date(2015, 1, 1, 0, 0, 0, 0, time.UTC); l.ExpiresAt.Sub(expired).Abs() > time.Minute || l.Hosts[0] != "210987654321.dkr.ecr.us-east-1.amazonaws.com" ||
		l.Password.Reveal() != "210987654321-auth-token" {
		t.Errorf("the login of %s expires at %s", l.Hosts, l.ExpiresAt)
	}
	c = credential(host, "endpoint", endpoint, "sts-endpoint", endpoint, "role-arn", pullRole, "external-id", "acme-7f3a")
	if _, err := p.Mint(t.Context(), c); err != nil {
		t.Errorf("with a role: %v", err)
	}
	requests.n.Store(0)

	store := memory.New()
	c, err = store.Create(t.Context(), credential(host, "endpoint", endpoint))
	if err != nil {
		t.Fatal(err)
	}
	r := refresh.New(refresh.Options{Store: store, Providers: map[string]regcred.Provider{ecr.Name: p}})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	var status refresh.Status
	for deadline := time.Now().Add(patience); status.Failures < 3 && time.Now().Before(deadline); <-time.After(10 * time.Millisecond) {
		status, _ = r.Status(c.GUID)
	}
	asked := requests.n.Load()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if status.Failures < 3 || status.HasLogin || !strings.Contains(status.Problem, "expired already") {
		t.Errorf("status: %+v", status)
	}
	if asked > 4 {
		t.Errorf("%d requests for %d failures", asked, status.Failures)
	}
}
