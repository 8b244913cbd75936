package archive

import (
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"regcred.dev"
)

// document is a manifest or an index, as far as publishing reads it.
type document struct {
	SchemaVersion int              `json:"schemaVersion"`
	MediaType     string           `json:"mediaType"`
	Manifests     list[descriptor] `json:"manifests"`
	Config        *descriptor      `json:"config"`
	Layers        list[descriptor] `json:"layers"`
	Subject       *descriptor      `json:"subject"`
}

// descriptor is an OCI descriptor without the fields that publishing does not
// read, so that a hostile document cannot fill memory with them.
type descriptor struct {
	MediaType   string        `json:"mediaType"`
	Digest      digest.Digest `json:"digest"`
	Size        int64         `json:"size"`
	Platform    *platform     `json:"platform"`
	Annotations annotations   `json:"annotations"`
}

// platform is what an image runs on.
type platform struct {
	OS           string `json:"os"`
	OSVersion    string `json:"os.version"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant"`
}

func (p *platform) oci() *ocispec.Platform {
	if p == nil || p.OS == "" && p.Architecture == "" {
		return nil
	}
	return &ocispec.Platform{OS: p.OS, OSVersion: p.OSVersion, Architecture: p.Architecture, Variant: p.Variant}
}

// annotations are those that mean something here.
type annotations struct {
	// ImageName is the full reference, written by containerd, Docker and
	// BuildKit.
	ImageName string `json:"io.containerd.image.name"`
	// RefName is a tag, or in some tools a full reference.
	RefName string `json:"org.opencontainers.image.ref.name"`
	// Attestation and AttestationOf are BuildKit's: the kind of an attestation,
	// and the digest of the manifest that it is for.
	Attestation   string        `json:"vnd.docker.reference.type"`
	AttestationOf digest.Digest `json:"vnd.docker.reference.digest"`
	// Kind is cosign's, in what `cosign save` writes.
	Kind string `json:"kind"`
}

func (a annotations) name() string {
	if a.ImageName != "" {
		return a.ImageName
	}
	return a.RefName
}

func (d descriptor) check() error {
	if err := checkDigest(d.Digest); err != nil {
		return err
	}
	if d.Size < 0 {
		return regcred.Errorf(regcred.Invalid, "%s has the size %d", d.Digest, d.Size)
	}
	return nil
}

// oci returns the descriptor with what an index that is made anew keeps of it.
func (d descriptor) oci() ocispec.Descriptor {
	o := ocispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size, Platform: d.Platform.oci()}
	if d.Annotations.Attestation != "" {
		o.Annotations = map[string]string{
			"vnd.docker.reference.type":   d.Annotations.Attestation,
			"vnd.docker.reference.digest": string(d.Annotations.AttestationOf),
		}
	}
	return o
}
