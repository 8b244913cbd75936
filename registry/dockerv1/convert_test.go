package dockerv1_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"regcred.dev"
	"regcred.dev/registry/dockerv1"
)

// document parses the JSON document of an image.
func document(t *testing.T, id, text string) dockerv1.Document {
	t.Helper()
	d, err := dockerv1.ParseDocument(id, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// chain is an image of three layers, the middle one of which is empty.
func chain(t *testing.T) []dockerv1.Link {
	t.Helper()
	link := func(text string, n string, empty bool) dockerv1.Link {
		return dockerv1.Link{
			Document: document(t, id(n), text), Layer: describe("", "gzip "+n), DiffID: digest.FromString("tar " + n), Empty: empty,
		}
	}
	return []dockerv1.Link{
		link(`{"id":"`+id("c")+`","parent":"`+id("b")+`","created":"2015-03-01T12:00:00.5+01:00","author":"Jo",
			"container":"42","docker_version":"1.5.0","architecture":"amd64","os":"linux","Size":12,"throwaway":true,
			"config":{"Cmd":["/bin/app"],"Env":["A=<b>"],"Unknown": {"kept":1}},
			"container_config":{"Cmd":["/bin/sh","-c","make app"]}}`, "c", false),
		link(`{"id":"`+id("b")+`","parent":"`+id("a")+`","comment":"env","container_config":{"Cmd":"#(nop) ENV A=<b>"},"config":null}`, "b", true),
		link(`{"id":"`+id("a")+`"}`, "a", false),
	}
}

func TestConvert(t *testing.T) {
	got, err := dockerv1.Convert(chain(t))
	if err != nil {
		t.Fatal(err)
	}
	wantConfig := `{"architecture":"amd64","author":"Jo","config":{"Cmd":["/bin/app"],"Env":["A=\u003cb\u003e"],"Unknown":{"kept":1}},` +
		`"container":"42","container_config":{"Cmd":["/bin/sh","-c","make app"]},"created":"2015-03-01T12:00:00.5+01:00","docker_version":"1.5.0",` +
		`"history":[{},{"created_by":"#(nop) ENV A=\u003cb\u003e","comment":"env","empty_layer":true},` +
		`{"created":"2015-03-01T12:00:00.5+01:00","created_by":"/bin/sh -c make app","author":"Jo"}],"os":"linux",` +
		`"rootfs":{"type":"layers","diff_ids":["` + digest.FromString("tar a").String() + `","` + digest.FromString("tar c").String() + `"]}}`
	if diff := cmp.Diff(wantConfig, string(got.Config)); diff != "" {
		t.Error(diff)
	}
	layer := func(n string) string {
		return fmt.Sprintf(`{"mediaType":"application/vnd.docker.image.rootfs.diff.tar.gzip","digest":"%s","size":6}`, digest.FromString("gzip "+n))
	}
	wantManifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json",`+
		`"config":{"mediaType":"application/vnd.docker.container.image.v1+json","digest":"%s","size":%d},"layers":[%s,%s]}`,
		digest.FromString(wantConfig), len(wantConfig), layer("a"), layer("c"))
	if diff := cmp.Diff(wantManifest, string(got.Manifest)); diff != "" {
		t.Error(diff)
	}
	if d := got.ManifestDescriptor(); d.Digest != digest.FromString(wantManifest) || d.MediaType != dockerv1.MediaTypeConverted {
		t.Errorf("it is described as %v", d)
	}
	again, err := dockerv1.Convert(chain(t))
	if err != nil || !cmp.Equal(got, again) {
		t.Errorf("a second time: %v, %s", err, cmp.Diff(got, again))
	}
}

// TestConvertEmpty keeps one layer of an image that has empty ones only.
func TestConvertEmpty(t *testing.T) {
	links := chain(t)
	for i := range links {
		links[i].Empty = true
	}
	got, err := dockerv1.Convert(links)
	if err != nil {
		t.Fatal(err)
	}
	var config ocispec.Image
	if err := json.Unmarshal(got.Config, &config); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]digest.Digest{digest.FromString("tar a")}, config.RootFS.DiffIDs); diff != "" {
		t.Error(diff)
	}
	if len(config.History) != 3 || config.History[0].EmptyLayer || !config.History[1].EmptyLayer || !config.History[2].EmptyLayer {
		t.Errorf("history %v", config.History)
	}
	if !links[2].Empty {
		t.Error("the caller's chain was changed")
	}
}

func TestConvertRefused(t *testing.T) {
	cut := chain(t)[:2]
	swapped := chain(t)
	swapped[1], swapped[2] = swapped[2], swapped[1]
	large := chain(t)[2:]
	for i := range 6 {
		doc := document(t, id(fmt.Sprint(i)), `{"id":"`+id(fmt.Sprint(i))+`","parent":"`+large[0].Document.ID+`","comment":"`+strings.Repeat("x", 900_000)+`"}`)
		large = append([]dockerv1.Link{{Document: doc}}, large...)
	}
	for _, test := range []struct {
		name  string
		chain []dockerv1.Link
		code  regcred.Code
		want  string
	}{
		{"nothing", nil, regcred.Invalid, "at least one layer"},
		{"no base", cut, regcred.Invalid, "the ancestry has"},
		{"another order", swapped, regcred.Invalid, "as its parent"},
		{"large config", large, regcred.TooLarge, "config of"},
		{"deep", make([]dockerv1.Link, dockerv1.MaxDepth+1), regcred.TooLarge, "at most 1024"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := dockerv1.Convert(test.chain); regcred.CodeOf(err) != test.code || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestDocumentRefused(t *testing.T) {
	for _, test := range []struct{ name, id, text, want string }{
		{"another image's", id("a"), `{"id":"` + id("b") + `"}`, "is that of"},
		{"no id", id("a"), `{}`, "is that of"},
		{"asked for what is no id", "../x", `{"id":"../x"}`, "no id of an image"},
		{"parent", id("a"), `{"id":"` + id("a") + `","parent":"../x"}`, "which is no id"},
		{"time", id("a"), `{"id":"` + id("a") + `","created":"yesterday"}`, "malformed"},
		{"config", id("a"), `{"id":"` + id("a") + `","config":["sh"]}`, "no JSON object"},
		{"text", id("a"), `hello`, "malformed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := dockerv1.ParseDocument(test.id, []byte(test.text))
			if regcred.CodeOf(err) != regcred.Invalid || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v", err)
			}
		})
	}
	if _, err := dockerv1.ParseDocument(id("a"), make([]byte, dockerv1.MaxDocument+1)); regcred.CodeOf(err) != regcred.TooLarge {
		t.Errorf("a large document: %v", err)
	}
	d := document(t, id("a"), `{"id":"`+id("a")+`","os":"windows","architecture":"arm64","created":"2015-03-01T12:00:00Z"}`)
	if os, arch := d.Platform(); os != "windows" || arch != "arm64" || !d.Created.Equal(time.Date(2015, 3, 1, 12, 0, 0, 0, time.UTC)) {
		t.Errorf("%s/%s of %v", os, arch, d.Created)
	}
}

// FuzzDocument converts an image of one layer with a JSON document of any bytes. What
// is accepted becomes a config that clients can read.
func FuzzDocument(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := dockerv1.ParseDocument(id("a"), data)
		if err == nil {
			var c dockerv1.Converted
			c, err = dockerv1.Convert([]dockerv1.Link{{Document: d, Layer: describe("", "gzip"), DiffID: digest.FromString("tar")}})
			checkConverted(t, c, err)
		}
		if err != nil && regcred.CodeOf(err) == regcred.Internal {
			t.Errorf("error without a code: %v", err)
		}
	})
}

func checkConverted(t *testing.T, c dockerv1.Converted, err error) {
	t.Helper()
	if err != nil {
		return
	}
	var config struct {
		History []ocispec.History
		RootFS  ocispec.RootFS
	}
	if err := json.Unmarshal(c.Config, &config); err != nil || len(config.History) != 1 || len(config.RootFS.DiffIDs) != 1 {
		t.Errorf("config %s: %v", c.Config, err)
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(c.Manifest, &m); err != nil || m.Config.Digest != digest.FromBytes(c.Config) || len(m.Layers) != 1 {
		t.Errorf("manifest %s: %v", c.Manifest, err)
	}
}

// FuzzAncestry reads ancestries of any bytes. What is accepted is a list of ids.
func FuzzAncestry(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		ids, err := dockerv1.ParseAncestry(id("a"), data)
		if err != nil {
			if regcred.CodeOf(err) == regcred.Internal {
				t.Errorf("error without a code: %v", err)
			}
			return
		}
		seen := map[string]bool{}
		for _, id := range ids {
			if seen[id] || dockerv1.CheckID(id) != nil {
				t.Errorf("accepted %q", ids)
			}
			seen[id] = true
		}
	})
}
