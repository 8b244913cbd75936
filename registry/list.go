package registry

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"sync"

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
	return s.ReferrersAfter(ctx, repo, subject, artifactType, "")
}

// ReferrersAfter is Referrers from the first digest that is greater than one. Each entry
// of the list says what its manifest is: that one is not read.
func (s *Storage) ReferrersAfter(ctx context.Context, repo string, subject digest.Digest, artifactType string, after digest.Digest) iter.Seq2[ociregistry.Descriptor, error] {
	return func(yield func(ociregistry.Descriptor, error) bool) {
		if err := errors.Join(checkRepository(repo), checkDigest(subject)); err != nil {
			yield(ociregistry.Descriptor{}, err)
			return
		}
		prefix := referrersPrefix(repo, subject)
		from := ""
		if after != "" {
			from = prefix + strings.Replace(after.String(), ":", "/", 1)
		}
		for entry, err := range readAhead(ctx, s.blobs.List(ctx, prefix, from), s.readReferrer) {
			if err == nil && (entry == nil || artifactType != "" && entry.ArtifactType != artifactType) {
				continue
			}
			if err != nil {
				yield(ociregistry.Descriptor{}, err)
				return
			}
			if !yield(*entry, nil) {
				return
			}
		}
	}
}

// readReferrer reads an entry of a list of referrers; nil is one that was deleted
// meanwhile.
func (s *Storage) readReferrer(ctx context.Context, info Info) (*ociregistry.Descriptor, error) {
	desc, err := recall(ctx, s.cache, info.Key, parseJSON[ociregistry.Descriptor])
	if err != nil {
		return nil, ignore(regcred.NotFound, err)
	}
	return &desc, nil
}

// readAhead yields what read makes of the elements of a sequence, in their order, and
// reads some at a time. After an error it ends.
func readAhead[T, R any](ctx context.Context, all iter.Seq2[T, error], read func(context.Context, T) (R, error)) iter.Seq2[R, error] {
	return func(yield func(R, error) bool) {
		var some []T
		flush := func() bool {
			results, errs := atOnce(ctx, some, read)
			some = some[:0]
			for i := range results {
				if !yield(results[i], errs[i]) || errs[i] != nil {
					return false
				}
			}
			return true
		}
		for v, err := range all {
			if err != nil {
				var none R
				yield(none, err)
				return
			}
			if some = append(some, v); len(some) == workers && !flush() {
				return
			}
		}
		flush()
	}
}

// atOnce reads all of some.
func atOnce[T, R any](ctx context.Context, some []T, read func(context.Context, T) (R, error)) ([]R, []error) {
	results, errs := make([]R, len(some)), make([]error, len(some))
	var wg sync.WaitGroup
	for i, v := range some {
		wg.Go(func() { results[i], errs[i] = read(ctx, v) })
	}
	wg.Wait()
	return results, errs
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
