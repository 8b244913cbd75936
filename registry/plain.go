package registry

import (
	"errors"

	"cuelabs.dev/go/oci/ociregistry"

	"regcred.dev"
)

// Plain returns an error of Storage for who speaks no OCI: what is not there is
// NotFound, and what cannot be is Invalid, in words about the name that was asked for,
// such as "acme/app:1.0". Other errors, and none, stay as they are.
func Plain(err error, name string) error {
	for _, p := range []struct {
		oci   error
		code  regcred.Code
		words string
	}{
		{ociregistry.ErrNameUnknown, regcred.NotFound, "the registry has no such repository"},
		{ociregistry.ErrManifestUnknown, regcred.NotFound, "the repository has no such tag or manifest"},
		{ociregistry.ErrBlobUnknown, regcred.NotFound, "the repository has no such blob"},
		{ociregistry.ErrNameInvalid, regcred.Invalid, "this is no name of a repository: write one such as acme/app, without a registry's host"},
		{ociregistry.ErrDigestInvalid, regcred.Invalid, "this is no digest: write one such as sha256: and 64 hexadecimal digits"},
	} {
		if errors.Is(err, p.oci) {
			return regcred.Errorf(p.code, "%s: %s", name, p.words)
		}
	}
	return err
}
