package archive

import (
	"encoding/json"
	"path"

	"github.com/opencontainers/go-digest"

	"regcred.dev"
	"regcred.dev/registry/dockerv1"
)

// The media types of Docker's "Image Manifest Version 2, Schema 1", signed and not:
// https://distribution.github.io/distribution/spec/deprecated-schema-v1/
const (
	schema1Type         = "application/vnd.docker.distribution.manifest.v1+prettyjws"
	schema1UnsignedType = "application/vnd.docker.distribution.manifest.v1+json"
)

func isSchema1(mediaType string) bool {
	return mediaType == schema1Type || mediaType == schema1UnsignedType
}

// errSchema1 is why an index goes without such a child.
var errSchema1 = regcred.Errorf(regcred.Invalid, "it is a manifest of Docker's schema 1, which clients of today do not pull")

// schema1 is such a manifest, as far as its conversion reads it. It is a chain of v1,
// its own image first, told by digests. Signatures are not looked at: whoever made
// the archive could sign anew, and the layers are checked against their digests.
type schema1 struct {
	SchemaVersion int `json:"schemaVersion"`
	FSLayers      list[struct {
		BlobSum digest.Digest `json:"blobSum"`
	}] `json:"fsLayers"`
	History list[struct {
		V1Compatibility string `json:"v1Compatibility"`
	}] `json:"history"`
}

// parseSchema1 reads a manifest of schema 1. Errors: Invalid, TooLarge.
func parseSchema1(file string, data []byte) (digests []digest.Digest, documents []dockerv1.Document, err error) {
	var m schema1
	if err := decode(file, data, &m); err != nil {
		return nil, nil, err
	}
	if m.SchemaVersion != 1 || len(m.FSLayers) == 0 || len(m.FSLayers) != len(m.History) {
		return nil, nil, regcred.Errorf(regcred.Invalid, "%q is malformed: it is of schema %d, with %d layers and a history of %d", file, m.SchemaVersion, len(m.FSLayers), len(m.History))
	}
	if len(m.FSLayers) > dockerv1.MaxDepth {
		return nil, nil, regcred.Errorf(regcred.Invalid, "%q has %d layers; at most %d are supported", file, len(m.FSLayers), dockerv1.MaxDepth)
	}
	for i, l := range m.FSLayers {
		if err := l.BlobSum.Validate(); err != nil || l.BlobSum.Algorithm() != digest.Canonical {
			return nil, nil, regcred.Errorf(regcred.Invalid, "%q has the layer %.100q, which is no sha256 digest", file, string(l.BlobSum))
		}
		text := []byte(m.History[i].V1Compatibility)
		var own struct {
			ID string `json:"id"`
		}
		if err := json.Unmarshal(text, &own); err != nil {
			return nil, nil, regcred.Errorf(regcred.Invalid, "%q is malformed: in its history: %w", file, err)
		}
		d, err := dockerv1.ParseDocument(own.ID, text)
		if err != nil {
			return nil, nil, err
		}
		digests, documents = append(digests, l.BlobSum), append(documents, d)
	}
	return digests, documents, dockerv1.CheckParents(documents)
}

// schema1 returns the chain that a manifest of schema 1 tells, all of whose layers are
// there.
func (t *treeRepository) schema1(file string, data []byte) ([]chainLink, error) {
	digests, documents, err := parseSchema1(file, data)
	if err != nil {
		return nil, err
	}
	if err := t.count(len(digests)); err != nil {
		return nil, err
	}
	chain := make([]chainLink, len(digests))
	for i, d := range digests {
		b := Blob{file: path.Join(t.dir, "blobs", string(d)), r: t.reader}
		b.Descriptor.MediaType, b.Descriptor.Digest = dockerv1.MediaTypeLayer, d
		if b.Descriptor.Size, err = t.size(b.file); err != nil {
			return nil, err
		}
		chain[i] = chainLink{document: documents[i], layer: b}
	}
	return chain, nil
}
