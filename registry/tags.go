package registry

import (
	"context"
	"errors"
	"path"
	"slices"

	"cuelabs.dev/go/oci/ociregistry"
	"github.com/opencontainers/go-digest"

	"regcred.dev"
)

// tagTries bounds how often a tag is written again that others move at the same
// time. One of them wins each time.
const tagTries = 100

// matchTag reports whether a tag matches any of some patterns, as path.Match has
// them. One that is malformed matches nothing.
func matchTag(patterns []string, tag string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		ok, err := path.Match(pattern, tag)
		return ok && err == nil
	})
}

// immutable reports whether a tag stays what it is.
func (r Rule) immutable(tag string) bool { return matchTag(r.Immutable, tag) }

func errImmutable(repo, tag string) error {
	return regcred.Errorf(regcred.Denied, "tag %s of %s is immutable: it can neither be moved nor deleted; push under another tag", tag, repo)
}

func errHeld(repo, tag string, d digest.Digest) error {
	return regcred.Errorf(regcred.Denied, "%s of %s cannot be deleted: tag %s needs it, which is immutable", d, repo, tag)
}

func errTagContended(repo, tag string) error {
	return regcred.Errorf(regcred.Unavailable, "others go on moving tag %s of %s: try again", tag, repo)
}

// findTag reads a tag, and returns the condition under which it is still that. One
// that is not there, or is damaged, is the zero pointer.
func (s *Storage) findTag(ctx context.Context, repo, tag string) (p pointer, c Condition, err error) {
	version, err := s.readJSON(ctx, tagsPrefix(repo)+tag, &p)
	switch {
	case err == nil && checkDigest(p.Digest) == nil:
		return p, IfVersion(version), nil
	case err == nil, regcred.CodeOf(err) == regcred.Corrupt:
		return pointer{}, Condition{}, nil
	case regcred.CodeOf(err) == regcred.NotFound:
		return pointer{}, IfAbsent, nil
	}
	return pointer{}, Condition{}, err
}

// checkMove returns Denied where a tag is immutable and points at something else.
func (s *Storage) checkMove(ctx context.Context, repo, tag string, d digest.Digest) error {
	if !s.policy.For(repo).immutable(tag) {
		return nil
	}
	old, _, err := s.findTag(ctx, repo, tag)
	if err == nil && old.Digest != "" && old.Digest != d {
		return errImmutable(repo, tag)
	}
	return err
}

// moveTag points a tag at a manifest, and remembers what it pointed at before.
// Errors: Denied where it is immutable and points at something else; Unavailable
// where others go on moving it.
func (s *Storage) moveTag(ctx context.Context, repo, tag string, desc ociregistry.Descriptor) error {
	data, err := encodePointer(desc)
	if err != nil {
		return err
	}
	for range tagTries {
		old, condition, err := s.findTag(ctx, repo, tag)
		if err != nil {
			return err
		}
		if old.Digest != "" && old.Digest != desc.Digest {
			if s.policy.For(repo).immutable(tag) {
				return errImmutable(repo, tag)
			}
			if err := s.remember(ctx, repo, tag, old); err != nil {
				return err
			}
		}
		if err = s.blobs.Put(ctx, tagsPrefix(repo)+tag, data, condition); !raced(err) {
			return err
		}
	}
	return errTagContended(repo, tag)
}

// dropTag deletes a tag and remembers what it pointed at, unless the disk is full: what
// makes room must not need any. Errors: Stale where it was moved meanwhile.
func (s *Storage) dropTag(ctx context.Context, repo, tag string, old pointer, condition Condition) error {
	if old.Digest != "" {
		if err := s.remember(ctx, repo, tag, old); err != nil && !errors.Is(err, ErrNoSpace) {
			return err
		}
	}
	return s.blobs.Delete(ctx, tagsPrefix(repo)+tag, condition)
}

// checkHeld returns Denied where an immutable tag points at something, or needs it.
func (s *Storage) checkHeld(ctx context.Context, repo string, d digest.Digest) error {
	rule := s.policy.For(repo)
	if len(rule.Immutable) == 0 {
		return nil
	}
	seen := map[digest.Digest]bool{}
	for tag, err := range s.Tags(ctx, repo, "") {
		if err != nil {
			return err
		}
		if !rule.immutable(tag) {
			continue
		}
		p, _, err := s.findTag(ctx, repo, tag)
		if err != nil {
			return err
		}
		held, err := s.needs(ctx, repo, p.Digest, d, seen)
		if err != nil {
			return err
		}
		if held {
			return errHeld(repo, tag, d)
		}
	}
	return nil
}

// needs reports whether a manifest is wanted, or needs it, and notes what it has
// seen. A manifest that is lost or damaged needs nothing.
func (s *Storage) needs(ctx context.Context, repo string, root, wanted digest.Digest, seen map[digest.Digest]bool) (bool, error) {
	for next := []digest.Digest{root}; len(next) > 0; {
		d := next[0]
		next = next[1:]
		if d == wanted {
			return true, nil
		}
		if d == "" || seen[d] {
			continue
		}
		seen[d] = true
		if ok, err := s.hasManifest(ctx, repo, d); !ok || err != nil {
			if err != nil {
				return false, err
			}
			continue // a blob
		}
		refs, err := s.referencesOf(ctx, repo, d)
		if err := ignore(regcred.Corrupt, err); err != nil {
			return false, err
		}
		next = append(next, refs...)
	}
	return false, nil
}
