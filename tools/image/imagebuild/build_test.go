package imagebuild_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"debug/elf"
	"encoding/pem"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"regcred.dev/tools/image/imagebuild"
)

// TestReproducible builds the image once more, elsewhere and in another environment.
func TestReproducible(t *testing.T) {
	first := build(t)
	from, err := source()
	must(t, err)
	elsewhere := filepath.Join(t.TempDir(), "a", "longer", "path")
	must(t, copySource(from, elsewhere))
	t.Setenv("GOFLAGS", "-tags=integration -ldflags=-X=main.x=y")
	t.Setenv("CGO_ENABLED", "1")
	t.Setenv("GOAMD64", "v3")
	t.Setenv("TZ", "Asia/Kathmandu")
	second, err := imagebuild.Build(t.Context(), imagebuild.Options{
		Source: elsewhere, Out: t.TempDir(), Architectures: []string{runtime.GOARCH}, Created: created,
	})
	must(t, err)
	if first.Digest != second.Digest {
		t.Errorf("the image is %s, and then %s", first.Digest, second.Digest)
	}
	if diff := cmp.Diff(hashes(t, first), hashes(t, second)); diff != "" {
		t.Error(diff)
	}
}

// hashes returns those of all files that were written.
func hashes(t *testing.T, built imagebuild.Result) map[string]string {
	t.Helper()
	sums := map[string]string{}
	out := filepath.Dir(built.Layout)
	must(t, filepath.WalkDir(out, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		sums[strings.TrimPrefix(path, out)] = fmt.Sprintf("%v %x", d.Type(), sha256.Sum256(data))
		return err
	}))
	return sums
}

// TestFiles lists what is in the image.
func TestFiles(t *testing.T) {
	c := read(t, build(t).Layout, runtime.GOARCH)
	var got []string
	for _, layer := range c.layers {
		for _, name := range slices.Sorted(maps.Keys(layer)) {
			h := layer[name].header
			got = append(got, fmt.Sprintf("%s %d:%d %s", h.FileInfo().Mode(), h.Uid, h.Gid, name))
			if !h.ModTime.Equal(time.Unix(0, 0)) {
				t.Errorf("%s is of %s", name, h.ModTime)
			}
		}
	}
	want := []string{
		"drwx------ 65532:65532 data/",
		"drwxr-xr-x 0:0 etc/",
		"-rw-r--r-- 0:0 etc/group",
		"-rw-r--r-- 0:0 etc/passwd",
		"drwxr-xr-x 0:0 etc/ssl/",
		"drwxr-xr-x 0:0 etc/ssl/certs/",
		"-rw-r--r-- 0:0 etc/ssl/certs/ca-certificates.crt",
		"dtrwxrwxrwx 0:0 tmp/",
		"-rwxr-xr-x 0:0 docker-credential-regcred",
		"-rwxr-xr-x 0:0 regcred",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, name := range []string{"docker-credential-regcred", "regcred"} {
		checkStatic(t, name, c.layers[1][name].body)
	}
}

// checkStatic sees that a program needs no libraries, nor a loader.
func checkStatic(t *testing.T, name string, program []byte) {
	t.Helper()
	f, err := elf.NewFile(bytes.NewReader(program))
	must(t, err)
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("%s is linked dynamically: it has a segment %s", name, p.Type)
		}
	}
}

// TestConfig says how the image runs.
func TestConfig(t *testing.T) {
	got := read(t, build(t).Layout, runtime.GOARCH).config
	got.RootFS.DiffIDs, got.History = nil, nil
	want := ocispec.Image{
		Created:  &created,
		Platform: ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH},
		Config: ocispec.ImageConfig{
			User:         "65532:65532",
			ExposedPorts: map[string]struct{}{"8440/tcp": {}},
			Env:          []string{"PATH=/", "REGCRED_DATA_DIR=/data"},
			Entrypoint:   []string{"/regcred"},
			Cmd:          []string{"start"},
			Volumes:      map[string]struct{}{"/data": {}},
			WorkingDir:   "/",
			Labels: map[string]string{
				"org.opencontainers.image.title":       "regcred",
				"org.opencontainers.image.description": "Keeps every workload's access to its container images working",
				"org.opencontainers.image.licenses":    "Apache-2.0",
				"org.opencontainers.image.created":     "2026-02-03T04:05:06Z",
				"org.opencontainers.image.version":     "devel",
			},
		},
		RootFS: ocispec.RootFS{Type: "layers"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestRoots reads the root certificates as Go does.
func TestRoots(t *testing.T) {
	rest := read(t, build(t).Layout, runtime.GOARCH).layers[0]["etc/ssl/certs/ca-certificates.crt"].body
	names := map[string]bool{}
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		must(t, err)
		if !c.IsCA {
			t.Errorf("%s is no authority", c.Subject)
		}
		names[c.Subject.CommonName] = true
	}
	if len(rest) > 0 {
		t.Errorf("%d bytes follow that are no certificate", len(rest))
	}
	// Those of Amazon, Google, Microsoft, GitHub, and of most others.
	for _, name := range []string{
		"Amazon Root CA 1", "GTS Root R1", "DigiCert Global Root G2", "Microsoft RSA Root Certificate Authority 2017",
		"USERTrust RSA Certification Authority", "ISRG Root X1",
	} {
		if !names[name] {
			t.Errorf("%s is not among the %d roots", name, len(names))
		}
	}
	if names["Izenpe.com"] {
		t.Error("a root is there whose newer certificates are not trusted")
	}
}

func TestSourceDate(t *testing.T) {
	for value, want := range map[string]time.Time{"": {}, "0": time.Unix(0, 0).UTC(), "1770091506": created} {
		if got, err := imagebuild.SourceDate(value); err != nil || !got.Equal(want) {
			t.Errorf("%q is %v, %v, want %v", value, got, err, want)
		}
	}
	for _, value := range []string{"-1", "now", "1e9", " 1"} {
		if got, err := imagebuild.SourceDate(value); err == nil || !strings.Contains(err.Error(), "SOURCE_DATE_EPOCH") {
			t.Errorf("%q is %v, %v", value, got, err)
		}
	}
}

// TestRefused builds nothing, and leaves nothing behind.
func TestRefused(t *testing.T) {
	for _, test := range []struct {
		options imagebuild.Options
		want    string
	}{
		{imagebuild.Options{Name: "Not A Name"}, `image name "Not A Name"`},
		{imagebuild.Options{Name: "a@sha256:" + strings.Repeat("0", 64)}, "under a tag, not a digest"},
		{imagebuild.Options{Architectures: []string{"z80"}}, `architecture "z80"`},
		{imagebuild.Options{Source: t.TempDir()}, "go build for"},
	} {
		test.options.Out = t.TempDir()
		_, err := imagebuild.Build(t.Context(), test.options)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("it says %v, want %q", err, test.want)
		}
		left, err := os.ReadDir(test.options.Out)
		if err != nil || len(left) > 0 {
			t.Errorf("it left %v, %v", left, err)
		}
	}
}
