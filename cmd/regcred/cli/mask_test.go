package cli

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"regcred.dev/client"
	"regcred.dev/config"
	"regcred.dev/registry"
	"regcred.dev/registry/archive/archivetest"
)

// localURL returns where the server listens.
func (s *surroundings) localURL() string {
	s.t.Helper()
	out, _ := s.run("", false, "status", "-o", "json")
	var st client.Status
	if err := json.Unmarshal([]byte(out), &st); err != nil {
		s.t.Fatal(err)
	}
	return st.LocalURL
}

// layout writes an OCI layout of an image, and returns its path and its layers.
func layout(t *testing.T, name string, contents ...string) (path string, layers []string) {
	t.Helper()
	var l archivetest.Layout
	img := archivetest.New("amd64", contents...)
	l.Add(l.Manifest(img, ocispec.MediaTypeImageLayerGzip), name, "")
	var m ocispec.Manifest
	for _, f := range l.Files() {
		if json.Unmarshal(f.Body, &m) == nil && len(m.Layers) == len(contents) {
			for _, layer := range m.Layers {
				layers = append(layers, layer.Digest.String())
			}
			return writeArchive(t, l.Files()...), layers
		}
	}
	t.Fatal("the layout has no manifest of that image")
	return "", nil
}

// TestPublishMask publishes images without layers that another registry hosts.
func TestPublishMask(t *testing.T) {
	owner := startServerWith(t, config.Registry{Policy: registry.Policy{{Pattern: "base", Public: true}}})
	ownerURL := owner.localURL()
	base, baseLayers := layout(t, "base:1", "base")
	if out, code := owner.run("", false, "publish", base, "base:1"); code != exitDone {
		t.Fatal(out)
	}
	s := startServerWith(t, config.Registry{Owners: []string{strings.TrimPrefix(ownerURL, "http://")}})
	app, layers := layout(t, "acme/app:1", "base", "app")
	file := filepath.Join(t.TempDir(), "mask")
	if err := os.WriteFile(file, []byte("# of the base\n"+layers[0]+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if layers[0] != baseLayers[0] {
		t.Fatalf("the layers are %v and %v", layers, baseLayers)
	}
	from := []string{"--mask-owner", ownerURL, "--mask-repository", "base"}
	for name, mask := range map[string][]string{
		"all": nil, "digest": {"--mask", layers[0] + "," + layers[0]}, "file": {"--mask", file},
	} {
		args := append([]string{"publish", app, "acme/" + name + ":1"}, append(from, mask...)...)
		out, code := s.run("", false, args...)
		stays := "layer " + layers[0] + " stays at " + ownerURL + "/v2/base/blobs/" + layers[0]
		if code != exitDone || !strings.Contains(out, stays) || !strings.Contains(out, "1 layer left to the owner\n") {
			t.Errorf("%s: exit code %d, no %q in %s", name, code, stays, out)
		}
	}
	out, code := s.run("", false, append([]string{"publish", app, "acme/json:1", "-o", "json"}, from...)...)
	if code != exitDone || !strings.Contains(out, `"linked": 1`) {
		t.Errorf("exit code %d: %s", code, out)
	}
	other := digest.FromString("of no layer").String()
	out, code = s.run("", false, append([]string{"publish", app, "acme/other:1", "--mask", other}, from...)...)
	if code != exitDone || !strings.Contains(out, "acme/other:1: no layer was left to its owner") {
		t.Errorf("exit code %d: %s", code, out)
	}
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--mask-owner", ownerURL, "--mask-repository", "none"}, "none"},
		{[]string{"--mask-owner", "https://other.example.com", "--mask-repository", "base", "--mask", layers[0]}, "refuses to send its clients to"},
		{[]string{"--mask-owner", "other", "--mask-repository", "base"}, "--mask-owner: "},
		{[]string{"--mask-owner", ownerURL, "--mask-repository", "base", "--mask", file + "x"}, "neither ids and digests nor a file"},
	} {
		out, code := s.run("", false, append([]string{"publish", app, "acme/refused:1"}, test.args...)...)
		if code != exitFailed || !strings.Contains(out, test.want) {
			t.Errorf("%v: exit code %d: %s", test.args, code, out)
		}
	}
}

// TestMaskLogin lists layers at an owner that asks for a login: with that of a docker
// config, or with the token of the server that is published to.
func TestMaskLogin(t *testing.T) {
	owner := startServerWith(t, config.Registry{})
	ownerURL := owner.localURL()
	host := strings.TrimPrefix(ownerURL, "http://")
	base, _ := layout(t, "base:1", "base")
	if out, code := owner.run("", false, "publish", base, "base:1"); code != exitDone {
		t.Fatal(out)
	}
	token, code := owner.run("", true, "token", "create", "puller", "--role", "puller", "--repository", "base", "-o", "json")
	var puller client.Token
	if err := json.Unmarshal([]byte(token), &puller); err != nil || code != exitDone {
		t.Fatal(err)
	}
	app, _ := layout(t, "acme/app:1", "base", "app")
	s := startServerWith(t, config.Registry{Owners: []string{host}})
	login := func(password string) string {
		dir := t.TempDir()
		auth := base64.StdEncoding.EncodeToString([]byte("any:" + password))
		if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(`{"auths":{"`+host+`":{"auth":"`+auth+`"}}}`), 0o600); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	for _, test := range []struct {
		name, dir string
		code      int
		want      string
	}{
		{"nobody", t.TempDir(), exitFailed, "log in to it ('docker login'), or name the layers yourself"},
		{"a docker config", login(puller.Secret), exitDone, "1 layer left to the owner\n"},
		{"a wrong login", login("wrong"), exitFailed, "log in to it ('docker login')"},
		{"no docker config", writeArchive(t), exitFailed, "--mask-owner: the docker config cannot be read"},
	} {
		s.env["DOCKER_CONFIG"] = test.dir
		out, code := s.run("", false, "publish", app, "acme/app:1", "--mask-owner", ownerURL, "--mask-repository", "base")
		if code != test.code || !strings.Contains(out, test.want) {
			t.Errorf("%s: exit code %d: %s", test.name, code, out)
		}
	}

	// A token goes to the server that it is for, and to no other owner.
	for name, server := range map[string]string{"the owner": ownerURL, "elsewhere": s.localURL()} {
		remote := &surroundings{t: t, env: map[string]string{
			"REGCRED_SERVER": server, "REGCRED_TOKEN": puller.Secret, "DOCKER_CONFIG": t.TempDir(),
		}}
		out, code := remote.run("", false, "publish", app, "acme/app:1", "--mask-owner", ownerURL, "--mask-repository", "base")
		asked := !strings.Contains(out, "asks for a login to list the layers")
		if code != exitFailed || asked != (server == ownerURL) {
			t.Errorf("%s: exit code %d: %s", name, code, out)
		}
	}
}
