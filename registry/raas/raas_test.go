package raas_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/registry/archive"
	"regcred.dev/registry/archive/archivetest"
	"regcred.dev/registry/raas"
)

// bucket keeps objects.
type bucket struct {
	objects map[string]string
	types   map[string]string
	fail    string // a key
}

var errFull = errors.New("bucket is full")

func (b *bucket) Put(_ context.Context, key, contentType string, size int64, open func() (io.ReadCloser, error)) error {
	if key == b.fail {
		return errFull
	}
	if b.objects == nil {
		b.objects, b.types = map[string]string{}, map[string]string{}
	}
	for range 2 {
		r, err := open()
		if err != nil {
			return err
		}
		data, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		r.Close()
		if int64(len(data)) != size {
			return errors.New("wrong size")
		}
		b.objects[key], b.types[key] = string(data), contentType
	}
	return nil
}

// export opens an export of two images.
func export(t *testing.T) (e *archivetest.PulpExport, opened *archive.Export, base, app string) {
	t.Helper()
	e = new(archivetest.PulpExport)
	base = e.Add("", "base", archivetest.File{Name: "base"})
	app = e.Add(base, "app", archivetest.File{Name: "app"})
	e.Tag("latest", app)
	a, err := archive.Open(t.Context(), archive.Stdin, archive.Options{
		Stdin: bytes.NewReader(archivetest.Tar(e.Files()...)), SpoolDir: t.TempDir(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return e, a.Export(), base, app
}

func TestPublish(t *testing.T) {
	e, opened, base, app := export(t)
	var b bucket
	var lines []string
	got, err := raas.Publish(t.Context(), &b, "acme.bucket", "acme/app", opened, raas.Options{
		BaseURL: "https://s3.example.com/acme.bucket/", Report: func(line string) { lines = append(lines, line) },
	})
	if err != nil {
		t.Fatal(err)
	}
	wantObjects := map[string]string{"acme-app.json": string(got.Metadata)}
	var wantLines []string
	for _, id := range slices.Sorted(slices.Values([]string{base, app})) {
		img := e.Image(id)
		for _, f := range [][2]string{{"layer", string(img.Layer)}, {"json", img.JSON}, {"ancestry", img.Ancestry}} {
			key := "acme-app/" + id + "/" + f[0]
			wantObjects[key] = f[1]
			wantLines = append(wantLines, "Successfully uploaded to <Bucket: acme.bucket>:"+key)
		}
	}
	wantLines = append(wantLines, "Successfully uploaded to <Bucket: acme.bucket>:acme-app.json")
	if diff := cmp.Diff(wantObjects, b.objects); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(wantLines, lines); diff != "" {
		t.Error(diff)
	}
	if b.types["acme-app/"+app+"/layer"] != "application/octet-stream" || b.types["acme-app/"+app+"/json"] != "application/json" || b.types["acme-app.json"] != "application/json" {
		t.Errorf("types %v", b.types)
	}
	var meta map[string]any
	if err := json.Unmarshal(got.Metadata, &meta); err != nil {
		t.Fatal(err)
	}
	ids := []any{}
	for _, id := range slices.Sorted(slices.Values([]string{base, app})) {
		ids = append(ids, map[string]any{"id": id})
	}
	want := map[string]any{
		"type": "pulp-docker-redirect", "version": 1.0, "repository": "acme-app", "repo-registry-id": "acme/app",
		"url": "https://s3.example.com/acme.bucket/acme-app/", "protected": false, "images": ids, "tags": map[string]any{"latest": app},
	}
	if diff := cmp.Diff(want, meta); diff != "" {
		t.Error(diff)
	}
	if got.Uploaded != 7 || got.Skipped != 0 {
		t.Errorf("result %+v", got)
	}
}

// TestMask leaves a layer to its owner.
func TestMask(t *testing.T) {
	_, opened, base, app := export(t)
	var b bucket
	var lines []string
	got, err := raas.Publish(t.Context(), &b, "acme.bucket", "app", opened, raas.Options{Mask: []string{base}, Report: func(line string) { lines = append(lines, line) }})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(lines, "Skipping layer "+base) || len(lines) != 5 || got.Uploaded != 4 || got.Skipped != 1 {
		t.Errorf("lines %q, result %+v", lines, got)
	}
	for key := range b.objects {
		if strings.Contains(key, base) {
			t.Errorf("%s was uploaded", key)
		}
	}
	if strings.Contains(string(got.Metadata), base) || !strings.Contains(string(got.Metadata), app) || !strings.Contains(string(got.Metadata), opened.URL) {
		t.Errorf("metadata %s", got.Metadata)
	}
}

func TestRefused(t *testing.T) {
	_, opened, _, app := export(t)
	for _, test := range []struct {
		name, app string
		o         raas.Options
		want      string
	}{
		{"no name", "", raas.Options{}, "no name of an app"},
		{"two slashes", "a/b/c", raas.Options{}, "no name of an app"},
		{"a parent", "..", raas.Options{}, "no name of an app"},
		{"a parent below", "a/..", raas.Options{}, "no name of an app"},
		{"long", strings.Repeat("a", 256), raas.Options{}, "no name of an app"},
		{"URL", "app", raas.Options{BaseURL: "s3://x"}, "URL for clients is malformed"},
		{"URL with a secret", "app", raas.Options{BaseURL: "https://a:canary@x"}, "URL for clients is malformed"},
		{"tagged mask", "app", raas.Options{Mask: []string{app}}, "leaves to its owner"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var b bucket
			_, err := raas.Publish(t.Context(), &b, "acme.bucket", test.app, opened, test.o)
			if regcred.CodeOf(err) != regcred.Invalid || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "canary") {
				t.Errorf("error %v", err)
			}
			if len(b.objects) != 0 {
				t.Errorf("%d objects were uploaded", len(b.objects))
			}
		})
	}
}

// TestFailure publishes no metadata of what is not there.
func TestFailure(t *testing.T) {
	_, opened, _, app := export(t)
	b := bucket{fail: "app/" + app + "/json"}
	_, err := raas.Publish(t.Context(), &b, "acme.bucket", "app", opened, raas.Options{})
	if !errors.Is(err, errFull) || !strings.Contains(err.Error(), b.fail) {
		t.Errorf("error %v", err)
	}
	if _, ok := b.objects["app.json"]; ok {
		t.Error("the metadata is there")
	}
}
