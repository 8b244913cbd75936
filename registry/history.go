package registry

import (
	"context"
	"io"
	"slices"
	"time"

	"cuelabs.dev/go/oci/ociregistry"
	"github.com/opencontainers/go-digest"

	"regcred.dev"
)

// DefaultHistory is how many manifests are remembered that a tag pointed at before.
const DefaultHistory = 20

// TagVersion is a manifest that a tag points at, or pointed at before.
type TagVersion struct {
	Digest    digest.Digest `json:"digest"`
	MediaType string        `json:"mediaType"`
	Size      int64         `json:"size"`
	// WrittenAt is when the tag was pointed at it; zero where that is not known.
	WrittenAt time.Time `json:"writtenAt,omitzero"`
	// ReplacedAt is when the tag was moved on or deleted; zero where the tag points at
	// it.
	ReplacedAt time.Time `json:"replacedAt,omitzero"`
	// Available says that the repository still has the manifest.
	Available bool `json:"available"`
}

// history is what is stored of a tag's past, the last manifest first:
//
//	repositories/REPO/history/TAG   {"earlier":[{..}]}
//
// It is written before the tag, so that nothing is forgotten by a kill between the
// two; a manifest can then be in it that the tag points at still.
type history struct {
	Earlier []earlier `json:"earlier"`
}

type earlier struct {
	pointer
	ReplacedAt time.Time `json:"replacedAt"`
}

func historyPrefix(repo string) string { return repositoryPrefix(repo) + "history/" }

// remember notes what a tag points at, which is about to be moved or deleted.
func (s *Storage) remember(ctx context.Context, repo, tag string, old pointer) error {
	most := DefaultHistory
	if keep := s.policy.For(repo).Keep; keep != nil && keep.History != 0 {
		most = keep.History
	}
	if most < 0 {
		return nil
	}
	key := historyPrefix(repo) + tag
	for range tagTries {
		h, condition, err := s.findHistory(ctx, key)
		if err != nil {
			return err
		}
		h.Earlier = slices.DeleteFunc(h.Earlier, func(e earlier) bool { return e.Write == old.Write })
		h.Earlier = slices.Insert(h.Earlier, 0, earlier{old, time.Now().UTC()})
		h.Earlier = h.Earlier[:min(most, len(h.Earlier))]
		data, err := encodeJSON(h)
		if err != nil {
			return err
		}
		if err = s.blobs.Put(ctx, key, data, condition); !raced(err) {
			return err
		}
	}
	return errTagContended(repo, tag)
}

// findHistory reads a tag's past, and returns the condition under which it is still
// that. One that is damaged is empty.
func (s *Storage) findHistory(ctx context.Context, key string) (h history, c Condition, err error) {
	version, err := s.readJSON(ctx, key, &h)
	switch {
	case err == nil:
		return h, IfVersion(version), nil
	case regcred.CodeOf(err) == regcred.NotFound:
		return history{}, IfAbsent, nil
	case regcred.CodeOf(err) == regcred.Corrupt:
		return history{}, Condition{}, nil
	}
	return history{}, Condition{}, err
}

// TagHistory returns the manifests that a tag points at and pointed at before, the
// last one first. A tag that was deleted has a history too.
// Errors: ErrNameInvalid; ErrManifestUnknown where there never was such a tag;
// ErrNameUnknown.
func (s *Storage) TagHistory(ctx context.Context, repo, tag string) ([]TagVersion, error) {
	if err := checkRepository(repo); err != nil {
		return nil, err
	}
	if checkTag(tag) != nil {
		return nil, s.unknown(ctx, repo, ociregistry.ErrManifestUnknown)
	}
	current, _, err := s.findTag(ctx, repo, tag)
	if err != nil {
		return nil, err
	}
	h, _, err := s.findHistory(ctx, historyPrefix(repo)+tag)
	if err != nil {
		return nil, err
	}
	var list []TagVersion
	if current.Digest != "" {
		list = append(list, current.version())
	}
	for _, e := range h.Earlier {
		if e.Write == current.Write {
			continue // whoever was about to move the tag was killed
		}
		v := e.version()
		v.ReplacedAt = e.ReplacedAt
		list = append(list, v)
	}
	if len(list) == 0 {
		return nil, s.unknown(ctx, repo, ociregistry.ErrManifestUnknown)
	}
	for i := range list {
		if list[i].Available, err = s.hasManifest(ctx, repo, list[i].Digest); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func (p pointer) version() TagVersion {
	return TagVersion{Digest: p.Digest, MediaType: p.MediaType, Size: p.Size, WrittenAt: p.At}
}

// Rollback points a tag at a manifest that it pointed at before, or where d is "" at
// the last one that is still there. It is a push of that manifest like any other: in
// the history, it comes last again.
// Errors: those of TagHistory and PushManifestAs; NotFound where the tag never pointed
// at the manifest, as far as is remembered, or the repository no longer has it.
func (s *Storage) Rollback(ctx context.Context, repo, tag string, d digest.Digest) (ociregistry.Descriptor, error) {
	none := ociregistry.Descriptor{}
	list, err := s.TagHistory(ctx, repo, tag)
	if err != nil {
		return none, err
	}
	i := rollbackTo(list, d)
	if i < 0 {
		return none, regcred.Errorf(regcred.NotFound, "nothing is remembered that tag %s of %s can be rolled back to: push the image again", tag, repo)
	}
	r, err := s.GetManifest(ctx, repo, list[i].Digest)
	if isUnknown(err) {
		return none, regcred.Errorf(regcred.NotFound, "%s no longer has manifest %s, which tag %s pointed at: push it again", repo, list[i].Digest, tag)
	}
	if err != nil {
		return none, err
	}
	defer r.Close()
	data, err := io.ReadAll(r) // it was checked to be small
	if err != nil {
		return none, err
	}
	desc := r.Descriptor()
	return s.PushManifestAs(ctx, repo, desc.Digest, []string{tag}, data, desc.MediaType)
}

// rollbackTo returns which version to roll back to: that of a digest, or where there
// is none the last that is available and not what the tag points at; -1 for none.
func rollbackTo(list []TagVersion, d digest.Digest) int {
	var current digest.Digest
	if list[0].ReplacedAt.IsZero() {
		current = list[0].Digest
	}
	return slices.IndexFunc(list, func(v TagVersion) bool {
		if d != "" {
			return v.Digest == d
		}
		return v.Available && v.Digest != current
	})
}
