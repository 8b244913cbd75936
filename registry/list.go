package registry

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"

	"cuelabs.dev/go/oci/ociregistry"
	"github.com/opencontainers/go-digest"

	"regcred.dev"
)

// Repositories implements ociregistry.Interface. It reads all names, since their
// order is not that of the keys.
func (s *Storage) Repositories(ctx context.Context, startAfter string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		var names []string
		for info, err := range s.blobs.List(ctx, namesPrefix, "") {
			if err != nil {
				yield("", err)
				return
			}
			name, ok := unescapeRepository(strings.TrimPrefix(info.Key, namesPrefix))
			if ok && name > startAfter {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		for _, name := range names {
			if !yield(name, nil) {
				return
			}
		}
	}
}

// Tags implements ociregistry.Interface. Errors: ErrNameUnknown.
func (s *Storage) Tags(ctx context.Context, repo, startAfter string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if err := s.checkExists(ctx, repo); err != nil {
			yield("", err)
			return
		}
		prefix := tagsPrefix(repo)
		for info, err := range s.blobs.List(ctx, prefix, prefix+startAfter) {
			if !yield(strings.TrimPrefix(info.Key, prefix), err) || err != nil {
				return
			}
		}
	}
}

// Referrers implements ociregistry.Interface. A repository or subject that does
// not exist has none. The descriptors are in the order of their digests.
// Errors: ErrNameInvalid, ErrDigestInvalid.
func (s *Storage) Referrers(ctx context.Context, repo string, subject digest.Digest, artifactType string) iter.Seq2[ociregistry.Descriptor, error] {
	return func(yield func(ociregistry.Descriptor, error) bool) {
		if err := errors.Join(checkRepository(repo), checkDigest(subject)); err != nil {
			yield(ociregistry.Descriptor{}, err)
			return
		}
		for info, err := range s.blobs.List(ctx, referrersPrefix(repo, subject), "") {
			var desc ociregistry.Descriptor
			if err == nil {
				_, err = s.readJSON(ctx, info.Key, &desc)
			}
			if err != nil && regcred.CodeOf(err) == regcred.NotFound {
				continue // deleted meanwhile
			}
			if err == nil && artifactType != "" && desc.ArtifactType != artifactType {
				continue
			}
			if !yield(desc, err) || err != nil {
				return
			}
		}
	}
}

// checkExists returns ErrNameUnknown where there is no such repository.
func (s *Storage) checkExists(ctx context.Context, repo string) error {
	if err := checkRepository(repo); err != nil {
		return err
	}
	return s.unknown(ctx, repo, nil)
}

// isUnknown reports whether an error says that something is not there.
func isUnknown(err error) bool {
	return errors.Is(err, ociregistry.ErrBlobUnknown) || errors.Is(err, ociregistry.ErrManifestUnknown) ||
		errors.Is(err, ociregistry.ErrNameUnknown)
}
