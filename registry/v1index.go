package registry

import (
	"context"
	"iter"
	"strings"

	"cuelabs.dev/go/oci/ociregistry"
	"github.com/opencontainers/go-digest"

	"regcred.dev/registry/dockerv1"
)

// V1Ref says where an image of Docker's first protocol can be had.
type V1Ref struct {
	Repository string
	// Manifest is the artifact (dockerv1.Companion) whose chain has the image.
	Manifest digest.Digest
}

// V1Image yields the artifacts that have an image of v1 in their chain, by its id: a
// layer that many images share has many. They are in the order of their keys: by
// repository, with "+" for "/", and then by digest. Who may see which repository,
// Storage does not know. An id that is unknown has none.
// Errors: Invalid where id is no id.
func (s *Storage) V1Image(ctx context.Context, id string) iter.Seq2[V1Ref, error] {
	return func(yield func(V1Ref, error) bool) {
		if err := dockerv1.CheckID(id); err != nil {
			yield(V1Ref{}, err)
			return
		}
		for info, err := range s.blobs.List(ctx, v1Prefix(id), "") {
			if err != nil {
				yield(V1Ref{}, err)
				return
			}
			ref, ok := parseV1Key(strings.TrimPrefix(info.Key, v1Prefix(id)))
			if ok && !yield(ref, nil) {
				return
			}
		}
	}
}

// parseV1Key reads REPO/ALG/HEX.
func parseV1Key(rest string) (V1Ref, bool) {
	segment, path, _ := strings.Cut(rest, "/")
	repo, ok := unescapeRepository(segment)
	d, isDigest := parseDigestPath(path)
	return V1Ref{Repository: repo, Manifest: d}, ok && isDigest
}

// v1Keys returns the keys by which a manifest is found as the artifact of an image
// of v1: none for any other manifest.
func v1Keys(repo string, data []byte, m manifest, desc ociregistry.Descriptor) []string {
	if m.ArtifactType != dockerv1.ArtifactType || isIndex(desc.MediaType) {
		return nil
	}
	companion, err := dockerv1.ParseCompanion(data)
	if err != nil {
		return nil // an artifact of somebody's own making: nobody could be served from it
	}
	var keys []string
	for _, img := range companion.Images {
		keys = append(keys, v1Prefix(img.ID)+escapeRepository(repo)+"/"+digestPath(desc.Digest))
	}
	return keys
}

// indexV1 makes the images of v1 findable that an artifact has.
func (s *Storage) indexV1(ctx context.Context, repo string, data []byte, m manifest, desc ociregistry.Descriptor) error {
	bare := ociregistry.Descriptor{MediaType: desc.MediaType, Digest: desc.Digest, Size: desc.Size}
	for _, key := range v1Keys(repo, data, m, desc) {
		if err := s.putPointer(ctx, key, bare); err != nil {
			return err
		}
	}
	return nil
}

const v1IndexPrefix = "v1/"

func v1Prefix(id string) string { return v1IndexPrefix + id + "/" }
