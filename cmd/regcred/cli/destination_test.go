package cli

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"regcred.dev/registry/archive/archivetest"
)

// stranger is a server that keeps what passwords it is sent, and refuses all.
type stranger struct {
	*httptest.Server
	mu   sync.Mutex
	sent []string
}

// passwords returns what it was sent. A client may have gone on while a request
// of its own is still being answered.
func (s *stranger) passwords() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.sent)
}

func newStranger(t *testing.T) *stranger {
	s := &stranger{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		_, password, _ := r.BasicAuth()
		s.sent = append(s.sent, password+r.Header.Get("Authorization")[:min(6, len(r.Header.Get("Authorization")))])
		w.WriteHeader(http.StatusForbidden)
	}))
	t.Cleanup(s.Close)
	return s
}

// writeArchive writes a tar of files and returns its path.
func writeArchive(t *testing.T, files ...archivetest.File) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image.tar")
	if err := os.WriteFile(path, archivetest.Tar(files...), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestPublishTokens sends a token to the server that it is for, and nothing at
// all to another one.
func TestPublishTokens(t *testing.T) {
	s := startServer(t)
	image := writeArchive(t, archivetest.DockerSave([]string{"acme/app:1"}, archivetest.New("amd64", "x"))...)
	for _, test := range []struct {
		name          string
		server, token string // "STRANGER" stands for its URL
		to            string
		sent          bool // the token, to the stranger
		want          string
	}{
		{name: "local token", to: "STRANGER", want: "set REGCRED_TOKEN"},
		{name: "token by itself", token: "canary-a", to: "STRANGER", sent: true, want: "may"},
		{name: "its own server", server: "STRANGER", token: "canary-a", sent: true, want: "may"},
		{name: "its own server, said twice", server: "STRANGER/", token: " canary-a\n", to: "STRANGER", sent: true, want: "may"},
		{name: "token of another server", server: "http://regcred.example.com", token: "canary-a", to: "STRANGER", want: "is not REGCRED_SERVER"},
		{name: "another scheme", server: "https://127.0.0.1", token: "canary-a", to: "http://127.0.0.1", want: "is not REGCRED_SERVER"},
		{name: "no token", server: "STRANGER", to: "STRANGER", want: "set REGCRED_TOKEN"},
		{name: "user name in the URL", token: "canary-a", to: "http://user:hidden@127.0.0.1:1", want: "write http[s]://HOST"},
	} {
		other := newStranger(t)
		s.env["REGCRED_SERVER"] = strings.ReplaceAll(test.server, "STRANGER", other.URL)
		s.env["REGCRED_TOKEN"] = test.token
		args := []string{"publish", image}
		if test.to != "" {
			args = append(args, "--to", strings.ReplaceAll(test.to, "STRANGER", other.URL))
		}
		out, code := s.run("", false, args...)
		if code == exitDone || !strings.Contains(out, test.want) || strings.Contains(out, "hidden") {
			t.Errorf("%s: exit code %d, %s; want %q", test.name, code, out, test.want)
		}
		switch sent := slices.Contains(other.passwords(), "canary-aBasic "); {
		case test.sent && !sent:
			t.Errorf("%s: the token was not sent: %q", test.name, other.passwords())
		case !test.sent && len(other.passwords()) > 0:
			t.Errorf("%s: the other server was asked: %q", test.name, other.passwords())
		}
	}
}

// TestPublishSome publishes three images of which the last one is damaged: the
// others are published, and said to be.
func TestPublishSome(t *testing.T) {
	s := startServer(t)
	var files []archivetest.File
	var manifests []string
	for _, name := range []string{"acme/a:1", "acme/b:1", "acme/c:1"} {
		for _, f := range archivetest.DockerSave([]string{name}, archivetest.New("amd64", name)) {
			switch {
			case f.Name == "manifest.json":
				manifests = append(manifests, strings.Trim(string(f.Body), "[]"))
				continue
			case f.Name == "repositories":
				continue
			case name == "acme/c:1" && strings.HasSuffix(f.Name, "/layer.tar"):
				f.Body = archivetest.Tar(archivetest.File{Name: "other"})
			}
			files = append(files, f)
		}
	}
	files = append(files, archivetest.File{Name: "manifest.json", Body: []byte("[" + strings.Join(manifests, ",") + "]")})
	image := writeArchive(t, files...)
	for _, args := range [][]string{{"publish", image}, {"publish", image, "-o", "json"}} {
		out, code := s.run("", false, args...)
		for _, want := range []string{"/acme/a:1", "/acme/b:1", "regcred: publish acme/c:1: "} {
			if !strings.Contains(out, want) || code != exitFailed {
				t.Errorf("%v: exit code %d, no %s in %s", args, code, want, out)
			}
		}
		if strings.Contains(out, "/acme/c:1") {
			t.Errorf("%v: the damaged one is reported as published: %s", args, out)
		}
	}
}

// TestPublishAgain says in a plain line what is sent again.
func TestPublishAgain(t *testing.T) {
	s := startServer(t)
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadGateway)
	}))
	defer broken.Close()
	s.env["REGCRED_SERVER"], s.env["REGCRED_TOKEN"] = broken.URL, "t"
	image := writeArchive(t, archivetest.DockerSave([]string{"acme/app:1"}, archivetest.New("amd64", "x"))...)
	out, code := s.run("", false, "publish", image)
	if code != exitFailed || !strings.Contains(out, "\nacme/app:1: layer or config sha256:") && !strings.HasPrefix(out, "acme/app:1: layer or config sha256:") ||
		!strings.Contains(out, "failed, sending again: 502") || strings.Contains(out, "level=") {
		t.Errorf("exit code %d: %s", code, out)
	}
}

// TestPublishRenamed puts all tags of a repository into another one, and refuses to make
// one image, or one repository, of several.
func TestPublishRenamed(t *testing.T) {
	s := startServer(t)
	var export archivetest.PulpExport
	base := export.Add("", "base", archivetest.File{Name: "base"})
	export.Tag("1.0", base)
	export.Tag("latest", export.Add(base, "app", archivetest.File{Name: "app"}))
	renamed := writeArchive(t, export.Files()...)
	out, code := s.run("", false, "publish", renamed, "registry.example.com/other/name")
	if code != exitDone || !strings.Contains(out, "/other/name:1.0@") || !strings.Contains(out, "/other/name:latest@") || strings.Contains(out, "acme/small") {
		t.Errorf("exit code %d: %s", code, out)
	}
	archived := func(names ...string) string {
		return writeArchive(t, archivetest.DockerSave(names, archivetest.New("amd64", "x"))...)
	}
	var two archivetest.Layout
	for _, name := range []string{"acme/a:1", "acme/b:1"} {
		two.Add(two.Manifest(archivetest.New("amd64", name), ocispec.MediaTypeImageLayerGzip), name, "")
	}
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{writeArchive(t, two.Files()...), "other/name"}, exitFailed, "several repositories (acme/a, acme/b)"},
		{[]string{renamed, "other/name:5"}, exitFailed, "holds 2 images, which cannot all be other/name:5: leave out its tag"},
		{[]string{renamed, "other//name"}, exitUsage, "other//name"},
		{[]string{archived("acme/a:1", "acme/b:1"), "other/name"}, exitDone, "/other/name:latest@"},
		{[]string{archived("acme/a:1"), "other/name"}, exitDone, "/other/name:1@"},
		{[]string{archived(), "other/name"}, exitDone, "/other/name:latest@"},
	} {
		if out, code := s.run("", false, append([]string{"publish"}, test.args...)...); code != test.code || !strings.Contains(out, test.want) {
			t.Errorf("%v: exit code %d, %s; want %q", test.args, code, out, test.want)
		}
	}
}

// TestPublicPolicy prints what 'publish --public' would set.
func TestPublicPolicy(t *testing.T) {
	s := startServer(t)
	for place, want := range map[string]string{"s3://images": "images/v2/*", "s3://images/a/b": "images/a/b/v2/*"} {
		out, code := s.run("", false, "registry", "setup", place, "--print-public-policy")
		if code != exitDone || !strings.Contains(out, `"arn:aws:s3:::`+want+`"`) {
			t.Errorf("%s: exit code %d, %s", place, code, out)
		}
	}
}
