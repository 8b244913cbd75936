package keyring_test

import (
	"testing"

	"pgregory.net/rapid"

	"regcred.dev"
	"regcred.dev/keyring"
)

// TestWholeHost holds that all images of a host resolve alike where WholeHost says so,
// however Docker Hub's are written.
func TestWholeHost(t *testing.T) {
	locations := []string{
		"registry.example.com", "registry.example.com/team", "registry.example.com/team/app", "example.com",
		"registry.example.com:5000/team", "docker.io", "docker.io/library", "docker.io/team", "",
	}
	paths := []string{"team", "team/app", "team/app/x", "teams", "library/nginx", "v2/x"}
	scopes := []regcred.Scope{foundation, org, space, regcred.OrgScope("other")}
	whole := 0
	rapid.Check(t, func(r *rapid.T) {
		var list []credential
		for i := range rapid.IntRange(0, 5).Draw(r, "credentials") {
			list = append(list, credential{
				guid: string(rune('a' + i)), scope: rapid.SampledFrom(scopes).Draw(r, "scope"),
				location: rapid.SampledFrom(locations).Draw(r, "location"),
			})
		}
		b := book(t, list...)
		s := rapid.SampledFrom(scopes).Draw(r, "of")
		for _, host := range []string{"registry.example.com", "registry.example.com:5000", "a.registry.example.com", "docker.io", "example.com"} {
			if !b.Keyring(s).WholeHost(host) {
				continue
			}
			whole++
			for _, path := range paths {
				if got, want := found(t, b, s, host+"/"+path), found(t, b, s, host+"/other"); got != want {
					r.Fatalf("%s/%s resolves to %q, %s/other to %q", host, path, got, host, want)
				}
				if host == "docker.io" && found(t, b, s, path) != found(t, b, s, host+"/"+path) {
					r.Fatalf("%s resolves otherwise than docker.io/%s", path, path)
				}
			}
		}
	})
	if whole == 0 {
		t.Error("no host was whole")
	}
	if new(keyring.Book).Keyring(foundation).WholeHost("x.example.com") != true {
		t.Error("an empty book tells images apart")
	}
}
