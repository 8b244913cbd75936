//go:build integration

package imagebuild_test

import (
	"bytes"
	"debug/elf"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"regcred.dev/tools/image/imagebuild"
)

// TestSkopeo builds the image from a git checkout for every architecture, publishes it
// to the registry that it holds, and pulls it from there with skopeo.
//
// A skopeo that is missing fails the test, unless REGCRED_WITHOUT names it.
func TestSkopeo(t *testing.T) {
	if slices.Contains(strings.Fields(os.Getenv("REGCRED_WITHOUT")), "skopeo") {
		t.Skip("REGCRED_WITHOUT names skopeo")
	}
	from, revision := checkout(t)
	built, err := imagebuild.Build(t.Context(), imagebuild.Options{Source: from, Out: t.TempDir(), Name: "example.com/acme/regcred:1"})
	must(t, err)
	s := serve(t, program(t, read(t, built.Layout, runtime.GOARCH)))
	if got := s.regcred(t, "version"); got != "regcred "+built.Version+"\n" || !strings.Contains(got, revision[:12]) {
		t.Errorf("it is %q, of %s, built from %s", got, built.Version, revision)
	}
	s.regcred(t, "publish", built.Archive)

	login := filepath.Join(t.TempDir(), "auth.json")
	skopeo(t, s.token, "login", "--authfile="+login, "--tls-verify=false", "--username=any", "--password-stdin", s.host)
	pulled := filepath.Join(t.TempDir(), "pulled")
	skopeo(t, "", "copy", "--all", "--insecure-policy", "--authfile="+login, "--src-tls-verify=false",
		"docker://"+s.host+"/acme/regcred:1", "oci:"+pulled)
	if got := rootOf(t, pulled); got != built.Digest {
		t.Errorf("skopeo pulled %s, not %s", got, built.Digest)
	}
	for arch, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		c := read(t, pulled, arch)
		for name, file := range c.layers[1] {
			f, err := elf.NewFile(bytes.NewReader(file.body))
			must(t, err)
			if f.Machine != machine {
				t.Errorf("%s of %s is for %s", name, arch, f.Machine)
			}
		}
		labels := c.config.Config.Labels
		if labels[ocispec.AnnotationRevision] != revision || labels[ocispec.AnnotationVersion] != built.Version || !c.config.Created.Equal(created) {
			t.Errorf("%s: it is of %v, with the labels %v", arch, c.config.Created, labels)
		}
	}
	// The other form, as those read it that know no layouts.
	loaded := filepath.Join(t.TempDir(), "loaded")
	skopeo(t, "", "copy", "--insecure-policy", "docker-archive:"+built.Archive+":example.com/acme/regcred:1", "oci:"+loaded+":1")
	regcred := program(t, read(t, pulled, runtime.GOARCH))
	if got, err := exec.Command(regcred, "version").Output(); err != nil || string(got) != "regcred "+built.Version+"\n" {
		t.Errorf("pulled, it says %q, %v", got, err)
	}
}

// checkout makes a git checkout of the source, with one commit.
func checkout(t *testing.T) (dir, revision string) {
	t.Helper()
	from, err := source()
	must(t, err)
	dir = filepath.Join(t.TempDir(), "checkout")
	must(t, copySource(from, dir))
	git := func(args ...string) string {
		cmd := exec.Command("git", append([]string{"-C", dir}, args...)...)
		when := created.Format(time.RFC3339)
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_SYSTEM="+os.DevNull, "GIT_COMMITTER_DATE="+when,
			"GIT_AUTHOR_NAME=test", "GIT_AUTHOR_EMAIL=test@example.com", "GIT_COMMITTER_NAME=test", "GIT_COMMITTER_EMAIL=test@example.com")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	git("init", "--quiet")
	git("add", "--all")
	git("commit", "--quiet", "--message=test")
	return dir, git("rev-parse", "HEAD")
}

func skopeo(t *testing.T, stdin string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "skopeo", args...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("skopeo %v: %v\n%s", args, err, out)
	}
}

// rootOf returns the digest of a layout's only image.
func rootOf(t *testing.T, layout string) digest.Digest {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(layout, ocispec.ImageIndexFile))
	must(t, err)
	var index ocispec.Index
	must(t, json.Unmarshal(data, &index))
	return index.Manifests[0].Digest
}
