//go:build unix

package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"regcred.dev/regcredtest"
	"regcred.dev/regcredtest/fakecattle"
	"regcred.dev/regcredtest/fakeecr"
)

// The seed's `docker run` line has these.
const (
	updaterAccessKey = "AKIAIOSFODNN7EXAMPLE"
	updaterSecretKey = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	cattleAccessKey  = "6F1A0B7C3D"
	cattleSecretKey  = "canary-of-the-cattle-key-4711"
	updaterRegistry  = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
	environment      = "1a5"
)

// updater is the container of the seed, with this program in place of its own.
type updater struct {
	*testing.T
	cattle *fakecattle.Server
	aws    *fakeecr.Server
	cmd    *exec.Cmd

	mu   sync.Mutex
	said bytes.Buffer
}

// newUpdater starts both fakes, on sockets, AWS's with TLS. A token of AWS's lives eight seconds.
func newUpdater(t *testing.T) *updater {
	u := &updater{
		T: t,
		cattle: fakecattle.New(fakecattle.Options{
			Keys:   map[string]fakecattle.Key{cattleAccessKey: {Secret: cattleSecretKey, Environment: environment}},
			Settle: 100 * time.Millisecond,
		}),
		aws: fakeecr.New(fakeecr.Options{
			Quirks: fakeecr.Quirks{Lifetime: 8 * time.Second},
			Users:  map[string]fakeecr.User{updaterAccessKey: {ARN: "arn:aws:iam::123456789012:user/updater", Secret: updaterSecretKey}},
		}),
	}
	rancher, amazon := httptest.NewServer(u.cattle), httptest.NewTLSServer(u.aws)
	t.Cleanup(rancher.Close)
	t.Cleanup(amazon.Close)
	// docker run -d -e AWS_REGION=us-east-1 -e AWS_ACCESS_KEY_ID=... -e CATTLE_URL=...
	u.cmd = program(t, "rancher")
	u.cmd.Env = []string{
		"AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=" + updaterAccessKey, "AWS_SECRET_ACCESS_KEY=" + updaterSecretKey,
		"CATTLE_URL=" + rancher.URL, "CATTLE_ACCESS_KEY=" + cattleAccessKey, "CATTLE_SECRET_KEY=" + cattleSecretKey,
		"LISTEN_PORT=0", "LOG_LEVEL=debug", // a free port, and all that it says
		"AWS_CA_BUNDLE=" + u.bundle(amazon.Certificate()),
		"AWS_ENDPOINT_URL_ECR=" + amazon.URL, // AWS's own variable, here for the fake
		"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH"),
	}
	u.cmd.Stderr = u
	return u
}

// bundle writes a file with an authority.
func (u *updater) bundle(authority *x509.Certificate) string {
	u.Helper()
	path := filepath.Join(u.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.Raw})
	if err := os.WriteFile(path, text, 0o600); err != nil {
		u.Fatal(err)
	}
	return path
}

// Write takes what the program says.
func (u *updater) Write(p []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.said.Write(p)
}

func (u *updater) log() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.said.String()
}

// pulls says why Rancher cannot pull, nil where it can.
func (u *updater) pulls() error {
	user, password, ok := u.cattle.Login(environment, updaterRegistry)
	if !ok || user != "AWS" {
		return fmt.Errorf("the user is %q", user)
	}
	if _, valid := u.aws.Find(password); !valid {
		return errors.New("the login is not valid")
	}
	return nil
}

// await polls until f returns nil.
func (u *updater) await(f func() error) {
	u.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			u.Fatalf("not within %s: %v\n%s", patience, err, u.log())
		}
		pause(u.Context(), 20*time.Millisecond)
	}
}

var listening = regexp.MustCompile(`listen=\S*:([0-9]+)`)

// TestRancherUpdater runs the seed's line against both fakes over sockets for five
// lifetimes of a token, while one and the other fails.
func TestRancherUpdater(t *testing.T) {
	u := newUpdater(t)
	u.cattle.AddCredential(environment, u.cattle.AddRegistry(environment, updaterRegistry), "AWS", "old")
	if err := u.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	u.await(u.pulls)
	u.ping()

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for step := 0; ctx.Err() == nil; step++ {
		if err := u.pulls(); err != nil {
			t.Fatalf("a gap: %v\n%s", err, u.log())
		}
		switch step % 200 { // 4 seconds
		case 50:
			u.cattle.Break(http.StatusServiceUnavailable)
		case 90:
			u.cattle.Break(0)
			u.aws.Set(fakeecr.Quirks{Lifetime: 8 * time.Second, Throttle: 1})
		}
		pause(ctx, 20*time.Millisecond)
	}
	if n := u.aws.Calls()[fakeecr.GetAuthorizationToken]; n < 4 {
		t.Errorf("%d mints: the test shows nothing", n)
	}
	u.end()
}

// ping asks what the old container's monitoring asks.
func (u *updater) ping() {
	u.Helper()
	found := listening.FindStringSubmatch(u.log())
	if found == nil {
		u.Fatalf("it does not say where it listens:\n%s", u.log())
	}
	for path, want := range map[string]string{"/ping": "pong!", "/healthz": "ok\n", "/readyz": "ok\n"} {
		u.await(func() error {
			resp, err := http.Get("http://127.0.0.1:" + found[1] + path)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != http.StatusOK || string(body) != want {
				return fmt.Errorf("%s: %d %q %w", path, resp.StatusCode, body, err)
			}
			return nil
		})
	}
}

// end ends the program as docker does, and looks for secrets in all that it said.
func (u *updater) end() {
	u.Helper()
	if err := u.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		u.Fatal(err)
	}
	if err := u.cmd.Wait(); err != nil {
		u.Errorf("it ended with %v\n%s", err, u.log())
	}
	for _, secret := range []string{updaterSecretKey, cattleSecretKey, cattleAccessKey + ":" + cattleSecretKey, "eyJwYXlsb2FkIjoi"} {
		if forms := regcredtest.Leaks([]byte(u.log()), secret); len(forms) > 0 {
			u.Errorf("it says a secret (%v)", forms)
		}
	}
}

// TestRancherUpdaterUsage: a variable that is wrong ends the start, by its name.
func TestRancherUpdaterUsage(t *testing.T) {
	for variable, want := range map[string]string{
		"CATTLE_URL=":                 "CATTLE_URL is not set",
		"CATTLE_URL=rancher":          "CATTLE_URL: it is no URL of Rancher",
		"AUTO_CREATE=maybe":           "AUTO_CREATE is \"maybe\"",
		"LISTEN_PORT=x":               "LISTEN_PORT is \"x\"",
		"LOG_LEVEL=loud":              "LOG_LEVEL is \"loud\"",
		"AWS_REGION=x":                "AWS_REGION is \"x\"",
		"AWS_CA_BUNDLE=/nowhere":      "AWS_CA_BUNDLE: open /nowhere",
		"AWS_ROLE_ARN=x":              "AWS_ROLE_ARN is \"x\"",
		"AWS_ECR_REGISTRY_IDS=x":      "AWS_ECR_REGISTRY_IDS: \"x\"",
		"ECR_PROXY_HOST=https://x.y/": "ECR_PROXY_HOST is",
	} {
		u := newUpdater(t)
		u.cmd.Env = append(u.cmd.Env, variable)
		err := u.cmd.Run()
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok || exit.ExitCode() != 2 || !strings.Contains(u.log(), want) {
			t.Errorf("%s: %v, want exit code 2 and %q:\n%s", variable, err, want, u.log())
		}
	}
}
