package imagebuild_test

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// patience bounds what should take an instant.
const patience = 30 * time.Second

// TestRun publishes the image, in both forms, to the registry that it holds itself.
func TestRun(t *testing.T) {
	built := build(t)
	s := serve(t, program(t, read(t, built.Layout, runtime.GOARCH)))
	if got := s.regcred(t, "version"); got != "regcred devel\n" {
		t.Errorf("it is %q", got)
	}
	for _, archive := range []string{built.Layout, built.Archive} {
		out := s.regcred(t, "publish", archive)
		if want := s.host + "/regcred:latest@" + built.Digest.String(); !strings.Contains(out, want) {
			t.Errorf("%s: it says %q, want %q", archive, out, want)
		}
		if got := digest.FromBytes(s.pull(t, "regcred/manifests/latest")); got != built.Digest {
			t.Errorf("%s: the registry has %s, want %s", archive, got, built.Digest)
		}
		s.regcred(t, "publish", archive, "other/name:1")
	}
}

// program writes the image's regcred into a directory, and returns its path.
func program(t *testing.T, c contents) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "regcred")
	must(t, os.WriteFile(path, c.layers[1]["regcred"].body, 0o700))
	return path
}

// server is a running one.
type server struct {
	program, dir, host, token string
}

func serve(t *testing.T, program string) server {
	t.Helper()
	s := server{program: program, dir: filepath.Join(t.TempDir(), "data")}
	cmd := s.command("serve", "--listen", "127.0.0.1:0")
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the server ended with %v\n%s", err, log.String())
		}
	})
	var status struct {
		URL string `json:"local_url"`
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		out, err := s.command("status", "-o", "json").Output()
		if err == nil {
			must(t, json.Unmarshal(out, &status))
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server does not answer: %v", err)
		}
	}
	s.host = strings.TrimPrefix(status.URL, "http://")
	token, err := os.ReadFile(filepath.Join(s.dir, "admin.token"))
	must(t, err)
	s.token = strings.TrimSpace(string(token))
	return s
}

func (s server) command(args ...string) *exec.Cmd {
	cmd := exec.Command(s.program, args...)
	cmd.Env = []string{"REGCRED_DATA_DIR=" + s.dir}
	return cmd
}

// regcred runs the program and returns what it prints.
func (s server) regcred(t *testing.T, args ...string) string {
	t.Helper()
	var stderr strings.Builder
	cmd := s.command(args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("regcred %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return string(out)
}

// pull gets what is below /v2/ at the registry.
func (s server) pull(t *testing.T, path string) []byte {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.host+"/v2/"+path, http.NoBody)
	must(t, err)
	r.SetBasicAuth("any", s.token)
	r.Header.Set("Accept", ocispec.MediaTypeImageIndex)
	answer, err := http.DefaultClient.Do(r)
	must(t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	must(t, err)
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s: %s", path, answer.Status, body)
	}
	return body
}
