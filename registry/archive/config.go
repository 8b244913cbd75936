package archive

import (
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"regcred.dev"
)

// imageConfig is the part of an image's config that publishing needs, the same
// in Docker's and OCI's configs:
// https://github.com/opencontainers/image-spec/blob/v1.1.1/config.md
type imageConfig struct {
	platform
	RootFS struct {
		DiffIDs list[digest.Digest] `json:"diff_ids"`
	} `json:"rootfs"`
}

// diffIDs returns the digests of the n layers' uncompressed tars.
func (c imageConfig) diffIDs(file string, n int) ([]digest.Digest, error) {
	ids := c.RootFS.DiffIDs
	if len(ids) != n {
		return nil, regcred.Errorf(regcred.Corrupt, "config %q lists %d layers, the manifest %d: the archive is damaged, write it again", file, len(ids), n)
	}
	for _, id := range ids {
		if err := checkDigest(id); err != nil {
			return nil, fmt.Errorf("config %q: %w", file, err)
		}
	}
	return ids, nil
}

// checkDigest accepts the digests that can be verified: sha256 and sha512.
func checkDigest(d digest.Digest) error {
	if err := d.Validate(); err != nil {
		return regcred.Errorf(regcred.Invalid, "%.100q is no digest: %w", string(d), err)
	}
	if a := d.Algorithm(); a != digest.SHA256 && a != digest.SHA512 {
		return regcred.Errorf(regcred.Invalid, "digest %s: only sha256 and sha512 are supported", d)
	}
	return nil
}

func platformString(p *ocispec.Platform) string {
	if p == nil || p.OS == "" || p.OS == "unknown" {
		return "" // attestations are listed as unknown/unknown
	}
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}
