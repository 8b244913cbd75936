package archive

import (
	"bytes"
	"context"
	"io"
	"io/fs"
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
			for m := range img.Root.All() {
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
			if d.check() == nil && !fs.ValidPath(blobFile(d.Digest)) {
				t.Errorf("digest %q leads to %q", d.Digest, blobFile(d.Digest))
			}
		}
	})
}
