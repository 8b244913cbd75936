package archive

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"regcred.dev"
)

// checkCode fails where a parser returns an error that a user could not read.
func checkCode(t *testing.T, err error) {
	t.Helper()
	if err != nil && regcred.CodeOf(err) == regcred.Internal {
		t.Errorf("error without a code: %v", err)
	}
}

// FuzzOpen reads archives of any bytes, to the end of each content.
func FuzzOpen(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := Open(context.Background(), Stdin, Options{Stdin: bytes.NewReader(data), MaxUnpacked: 4 << 20, SpoolDir: t.TempDir()})
		checkCode(t, err)
		if err != nil {
			return
		}
		defer a.Close()
		for _, img := range a.Images() {
			img, err := img.Resolve(context.Background())
			checkCode(t, err)
			if err != nil {
				continue
			}
			for m := range img.Manifests() {
				if m.Stored() {
					if _, err := m.Read(); err != nil {
						t.Errorf("a manifest that was read once cannot be read again: %v", err)
					}
				}
				for _, l := range m.Layers {
					_, err := l.Identify(context.Background())
					checkCode(t, err)
					r, err := l.Open()
					if err != nil {
						t.Fatalf("a layer that was there cannot be opened: %v", err)
					}
					n, err := io.Copy(io.Discard, r)
					checkCode(t, err)
					if n > int64(len(data))+4<<20 {
						t.Errorf("a layer has %d bytes", n)
					}
				}
			}
		}
	})
}

// FuzzDockerManifest reads manifest.json files of any bytes. What is accepted
// names no file outside of the archive.
func FuzzDockerManifest(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		images, err := parseDockerManifest(data)
		checkCode(t, err)
		if len(images) > maxItems {
			t.Errorf("%d images", len(images))
		}
		for _, img := range images {
			for _, name := range append([]string{img.Config}, img.Layers...) {
				if err == nil && !fs.ValidPath(name) {
					t.Errorf("file %q was accepted", name)
				}
			}
		}
	})
}

// FuzzDocument reads manifests and indexes of any bytes. None is both.
func FuzzDocument(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte, mediaType string) {
		doc, err := parseDocument("document", data, mediaType)
		checkCode(t, err)
		if err != nil {
			return
		}
		if doc.Manifests != nil && (doc.Config != nil || doc.Layers != nil) {
			t.Errorf("%q is a manifest and an index", data)
		}
		if len(doc.Manifests) > maxItems || len(doc.Layers) > maxItems {
			t.Error("a list is too long")
		}
		for _, d := range append(doc.Manifests, doc.Layers...) {
			checkCode(t, d.check())
			if d.check() == nil && !fs.ValidPath(blobFile("", d.Digest)) {
				t.Errorf("digest %q leads to %q", d.Digest, blobFile("", d.Digest))
			}
		}
	})
}

// FuzzRedirect reads Pulp's metadata of any bytes.
func FuzzRedirect(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := parseRedirect("metadata", data)
		checkCode(t, err)
		if err == nil && (r.RegistryID == "" || r.Version < 1 || len(r.Tags) > maxItems) {
			t.Errorf("accepted %+v", r)
		}
	})
}

// FuzzSchema1 reads manifests of schema 1 of any bytes. What is accepted is a chain.
func FuzzSchema1(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		digests, documents, err := parseSchema1("manifest", data)
		checkCode(t, err)
		if err != nil {
			return
		}
		if len(digests) == 0 || len(digests) != len(documents) || documents[len(documents)-1].Parent != "" {
			t.Errorf("accepted %v, %v", digests, documents)
		}
		for _, d := range digests {
			if !fs.ValidPath("blobs/" + string(d)) {
				t.Errorf("accepted %q", d)
			}
		}
	})
}

// FuzzContentRange reads the answers to a request for the rest of a download.
func FuzzContentRange(f *testing.F) {
	f.Fuzz(func(t *testing.T, header string) {
		d := &download{url: &url.URL{Host: "registry.example.com"}, offset: 7, total: 10}
		err := d.acceptRest(&http.Response{Header: http.Header{"Content-Range": {header}}})
		checkCode(t, err)
		if err == nil && !strings.HasPrefix(header, "bytes 7-") && !strings.HasPrefix(header, "bytes +7-") {
			t.Errorf("accepted %q", header)
		}
	})
}
