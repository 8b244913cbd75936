package registry_test

import (
	"errors"
	"fmt"
	"testing"

	"cuelabs.dev/go/oci/ociregistry"

	"regcred.dev"
	"regcred.dev/registry"
)

func TestPlain(t *testing.T) {
	s := openStorage(t, t.TempDir())
	pushImageOf(t, s, "acme/app", "1", "config", "layer")
	resolve := func(repo, tag string) error { _, err := s.ResolveTag(t.Context(), repo, tag); return err }
	for _, test := range []struct {
		err  error
		want string
	}{
		{resolve("acme/app", "1"), ""},
		{resolve("acme/app", "2"), "not-found x: the repository has no such tag or manifest"},
		{resolve("acme/none", "1"), "not-found x: the registry has no such repository"},
		{resolve("Acme", "1"), "invalid x: this is no name of a repository: write one such as acme/app, without a registry's host"},
		{s.DeleteManifest(t.Context(), "acme/app", "sha256:1"), "invalid x: this is no digest: write one such as sha256: and 64 hexadecimal digits"},
		{fmt.Errorf("so: %w", ociregistry.ErrBlobUnknown), "not-found x: the repository has no such blob"},
		{regcred.Errorf(regcred.Denied, "no"), "denied no"},
		{errors.New("the disk is full"), "internal the disk is full"},
	} {
		got := ""
		if err := registry.Plain(test.err, "x"); err != nil {
			got = regcred.CodeOf(err).String() + " " + err.Error()
		}
		if got != test.want {
			t.Errorf("%v: %q, want %q", test.err, got, test.want)
		}
	}
}
