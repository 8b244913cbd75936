package registry

import (
	"strings"
	"testing"

	"cuelabs.dev/go/oci/ociregistry/ociref"
	"github.com/opencontainers/go-digest"
	"pgregory.net/rapid"
)

// TestGrammar compares what is a name with the regular expressions of ociref and
// go-digest.
func TestGrammar(t *testing.T) {
	for _, name := range []string{
		"", "a", "A", "a/b", "a//b", "/a", "a/", "a.b", "a..b", "a._b", "a_b", "a__b", "a___b", "a-b", "a---b", "a-", "-a",
		"a._", "a/_b", "a\n", "ä", "a b", "a/b-/c", "0/9", strings.Repeat("a", 300),
		"latest", "V1.2_3-x", "_x", ".x", "-x", strings.Repeat("x", 128), strings.Repeat("x", 129),
		digest.FromString("").String(), digest.SHA512.FromString("").String(), digest.SHA384.FromString("").String(),
		strings.ToUpper(digest.FromString("").String()), digest.FromString("").String() + "0", "sha256:", "sha512:" + digest.FromString("").Encoded(), ":", "sha256",
	} {
		compareGrammar(t, name)
	}
	rapid.Check(t, func(rt *rapid.T) {
		compareGrammar(rt, rapid.StringOf(rapid.SampledFrom([]rune("ab9Z._-/:\n~"))).Draw(rt, "name"))
	})
}

func FuzzGrammar(f *testing.F) {
	f.Add("a/b-c")
	f.Add(digest.FromString("").String())
	f.Fuzz(func(t *testing.T, name string) { compareGrammar(t, name) })
}

func compareGrammar(t rapid.TB, name string) {
	t.Helper()
	if got, want := isRepository(name), ociref.IsValidRepository(name); got != want {
		t.Errorf("isRepository(%q) = %v", name, got)
	}
	if got, want := isTag(name), name != "" && ociref.IsValidTag(name); got != want {
		t.Errorf("isTag(%q) = %v", name, got)
	}
	d := digest.Digest(name)
	if got, want := isDigest(d), d.Validate() == nil && d.Algorithm() != digest.SHA384; got != want {
		t.Errorf("isDigest(%q) = %v", name, got)
	}
}
