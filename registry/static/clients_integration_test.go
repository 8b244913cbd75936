//go:build integration

package static_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"regcred.dev/regcredtest/pullers"
	"regcred.dev/regcredtest/s3test"
	"regcred.dev/regcredtest/webfront"
	at "regcred.dev/registry/archive/archivetest"
	"regcred.dev/registry/static"
)

// answers returns what checks that a web server answers.
func answers(host string) func() error {
	return func() error {
		resp, err := http.Get("http://" + host + "/v2/")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("status %d", resp.StatusCode)
		}
		return nil
	}
}

// freeHost returns an address whose port was free just now.
func freeHost(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// fromDocs returns an example of docs/registry-static.md that has some words.
func fromDocs(t *testing.T, language, words string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "registry-static.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range strings.Split(string(text), "```"+language+"\n")[1:] {
		if block, _, _ = strings.Cut(block, "```"); strings.Contains(block, words) {
			return block
		}
	}
	t.Fatalf("docs/registry-static.md has no example in %s with %q", language, words)
	return ""
}

var tlsLines = regexp.MustCompile(`(?m)^\s*ssl_.*\n`)

// startNginx starts nginx as the documentation has it, with other words in places.
func startNginx(t *testing.T, words string, replace ...string) (host string) {
	t.Helper()
	host = freeHost(t)
	dir := t.TempDir()
	server := strings.NewReplacer(append(replace, "listen 443 ssl;", "listen "+host+";")...).Replace(fromDocs(t, "nginx", words))
	config := "daemon off;\npid " + dir + "/pid;\nerror_log stderr warn;\nevents {}\n"
	if os.Getuid() == 0 {
		config += "user root;\n" // which may enter the test's directories
	}
	config += "http {\naccess_log off;\n"
	for _, name := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		config += name + "_temp_path " + dir + "/" + name + ";\n"
	}
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(config+tlsLines.ReplaceAllString(server, "")+"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	pullers.Serve(t, answers(host), nil, "nginx", "-c", file, "-e", "stderr", "-p", dir)
	return host
}

// startCaddy does the same with Caddy.
func startCaddy(t *testing.T, dir string) (host string) {
	t.Helper()
	host = freeHost(t)
	site := strings.NewReplacer("registry.example.com", "http://"+host, "/srv/registry", dir).Replace(fromDocs(t, "caddyfile", "@manifest"))
	home := t.TempDir() // it keeps its configuration
	file := filepath.Join(home, "Caddyfile")
	if err := os.WriteFile(file, []byte("{\n\tadmin off\n}\n"+site), 0o600); err != nil {
		t.Fatal(err)
	}
	pullers.Serve(t, answers(host), []string{"HOME=" + home, "XDG_CONFIG_HOME=" + home, "XDG_DATA_HOME=" + home}, "caddy", "run", "--adapter", "caddyfile", "--config", file)
	return host
}

// TestClients has clients pull from all that can stand in front.
func TestClients(t *testing.T) {
	dir := t.TempDir()
	inDirectory := newRegistry(t, openDirectory(t, dir))
	s := s3test.Start(t)
	o := siteOptions(t, s, s.Endpoint)
	site := openSite(t, o)
	if _, err := site.LetAnybodyRead(t.Context(), static.Root); err != nil {
		t.Fatal(err)
	}
	images := publishImages(t, inDirectory, newRegistry(t, site))
	clients := pullers.Start(t)

	fronts := map[string]string{"file server": serve(t, webfront.Files(dir)), "proxy of a bucket": serve(t, front(t, s, o))}
	if pullers.Have(t, "nginx", "nginx") {
		fronts["nginx"] = startNginx(t, "# A directory", "/srv/registry", dir)
		fronts["nginx of a bucket"] = startNginx(t, "# A bucket",
			"https://acme-images.s3.eu-central-1.amazonaws.com", s.Endpoint+"/"+o.Bucket)
	}
	if pullers.Have(t, "caddy", "caddy") {
		fronts["caddy"] = startCaddy(t, dir)
	}
	for name, host := range fronts {
		t.Run(name, func(t *testing.T) {
			checkFront(t, host)
			for _, image := range images {
				pull(t, host, image)
				for client, pulls := range clients {
					t.Run(client+" "+image, func(t *testing.T) {
						if err := pulls(t, host+"/"+image, pullers.Login{}); err != nil {
							t.Error(err)
						}
					})
				}
			}
		})
	}
}

// publishImages publishes images of all types, and returns their names.
func publishImages(t *testing.T, registries ...*static.Registry) []string {
	t.Helper()
	var tree at.PulpTree
	tree.List([]ocispec.Descriptor{onPlatform(tree.Manifest(at.New("amd64", "docker")), "amd64")}, "list")
	var single at.PulpTree
	single.Manifest(at.New("amd64", "single"), "2")
	var export at.PulpExport
	export.Tag("v1", export.Add(export.Add("", "base", at.File{Name: "base"}), "app", at.File{Name: "app"}))
	archives := map[string][]at.File{
		"acme/app:1": signed().files, "acme/save:1": large(), "top:list": tree.Files("app"), "acme/deep/path:2": single.Files("app"), "acme/pulp:v1": export.Files(),
	}
	var images []string
	for image, list := range archives {
		images = append(images, image)
		repo, tag, _ := strings.Cut(image, ":")
		for _, r := range registries {
			mustPublish(t, r, openArchive(t, list), repo, tag)
		}
	}
	return images
}

// checkFront checks what a web server says besides.
func checkFront(t *testing.T, host string) {
	t.Helper()
	for path, want := range map[string]int{
		"/v2/acme/app/manifests/2": 404, "/v2/acme/app/manifests/1.oci-index": 404, "/v2/none/tags/list": 404,
		"/v2/acme/app/blobs/sha256:" + strings.Repeat("0", 64): 404, "/v2/acme/app/tags/list": 200,
	} {
		if code := status(t, host, path); code != want {
			t.Errorf("%s: status %d, want %d", path, code, want)
		}
	}
	resp, err := http.Post("http://"+host+"/v2/acme/app/blobs/uploads/", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body) // its status says enough
	resp.Body.Close()
	if resp.StatusCode < 400 {
		t.Errorf("a push is answered with %d", resp.StatusCode)
	}
	if got := tags(t, host, "acme/deep/path"); !slices.Equal(got, []string{"2"}) {
		t.Errorf("tags %v", got)
	}
}
