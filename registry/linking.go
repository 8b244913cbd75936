package registry

import (
	"cmp"
	"context"
	"time"

	"cuelabs.dev/go/oci/ociregistry"
	"github.com/opencontainers/go-digest"

	"regcred.dev"
)

// patience is how long the steps of one push may lie apart: from when it finds or
// stores what it refers to until a tag is written. What it relied on is safe from
// collection for that long.
const patience = 12 * time.Hour

// fresh reports whether a link was written or relied on within the patience, so
// that it need not be written again.
func (s *Storage) fresh(l link, now time.Time) bool { return now.Sub(l.At) < s.patience }

// putLink makes content one of the repository's, or says so anew where that was
// said long ago. A link that is damaged is replaced. It returns what it wrote, the
// zero time where nothing had to be.
// Errors: Denied over the quota; Unavailable where others go on changing it.
func (s *Storage) putLink(ctx context.Context, repo, key string, l link) (time.Time, error) {
	for range linkTries {
		now := time.Now().UTC()
		found, condition, err := s.findLink(ctx, key)
		if err != nil {
			return time.Time{}, err
		}
		same := found.MediaType == l.MediaType && found.Size == l.Size && found.URL == l.URL
		if condition.Version() != "" && same && s.fresh(found, now) {
			return time.Time{}, nil
		}
		l.At = now
		if err = s.putCharged(ctx, repo, key, l, found, condition); !raced(err) {
			return now, err
		}
	}
	return time.Time{}, regcred.Errorf(regcred.Unavailable, "others go on changing what %s has: try again", repo)
}

// putCharged puts a link in place of another one, or of none, if the repository may
// hold so much. Errors: Denied over the quota; Exists or Stale where the condition does
// not hold.
func (s *Storage) putCharged(ctx context.Context, repo, key string, l, old link, c Condition) error {
	data, err := encodeJSON(l)
	if err != nil {
		return err
	}
	more := l.charge() - old.charge()
	if more > 0 {
		if err := s.reserve(ctx, repo, more); err != nil {
			return err
		}
	}
	if err := s.blobs.Put(ctx, key, data, c); err != nil {
		if more > 0 && raced(err) {
			return cmp.Or(s.release(ctx, repo, more), err)
		}
		return err // whether it is written nobody knows
	}
	return s.release(ctx, repo, max(-more, 0))
}

// deleteLink makes content none of the repository's.
func (s *Storage) deleteLink(ctx context.Context, repo, key string) error {
	for range linkTries {
		l, condition, err := s.findLink(ctx, key)
		if err != nil || condition.Absent() {
			return err
		}
		err = s.blobs.Delete(ctx, key, condition)
		if err == nil {
			return s.release(ctx, repo, l.charge())
		}
		if !raced(err) {
			return err
		}
	}
	return regcred.Errorf(regcred.Unavailable, "others go on changing what %s has: try again", repo)
}

// findLink reads a link, and returns the condition under which it is still that.
// One that is not there, or is damaged, is the zero link.
func (s *Storage) findLink(ctx context.Context, key string) (l link, c Condition, err error) {
	version, err := s.readJSON(ctx, key, &l)
	if err == nil {
		return l, IfVersion(version), nil
	}
	switch regcred.CodeOf(err) {
	case regcred.NotFound:
		return link{}, IfAbsent, nil
	case regcred.Corrupt:
		return link{}, Condition{}, nil
	}
	return link{}, Condition{}, err
}

// raced reports whether a conditional write came too late.
func raced(err error) bool {
	code := regcred.CodeOf(err)
	return err != nil && (code == regcred.Exists || code == regcred.Stale)
}

// linkContent makes content that is stored one of the repository's. The caller
// called reprieve and looked for the content after that.
//
// The link goes again where the content went while it was written: condemn.go says
// when that can be.
// Errors: those of putLink; Unavailable where the content went.
func (s *Storage) linkContent(ctx context.Context, repo, key string, l link, d digest.Digest) error {
	at, err := s.putLink(ctx, repo, key, l)
	if err != nil {
		return err
	}
	stays, err := s.stays(ctx, d, l.Size)
	if err != nil || stays {
		return err
	}
	if err := s.unlink(ctx, repo, key, at); err != nil {
		return err
	}
	return errBeingDeleted(d)
}

// unlink takes back a link that was written at a time.
func (s *Storage) unlink(ctx context.Context, repo, key string, at time.Time) error {
	found, condition, err := s.findLink(ctx, key)
	if err != nil || at.IsZero() || !found.At.Equal(at) {
		return err
	}
	if err := s.blobs.Delete(ctx, key, condition); err != nil {
		return ignore(regcred.Stale, err)
	}
	return s.release(ctx, repo, found.charge())
}

// linkBlob makes a blob whose content is stored one of the repository's. See
// linkContent.
func (s *Storage) linkBlob(ctx context.Context, repo string, desc ociregistry.Descriptor) error {
	if err := s.linkContent(ctx, repo, blobKey(repo, desc.Digest), link{Size: desc.Size}, desc.Digest); err != nil {
		return err
	}
	return s.putName(ctx, repo)
}

// putName makes a repository exist. It is called after a link of it is written:
// whoever removes the name looks for links after that.
func (s *Storage) putName(ctx context.Context, repo string) error {
	return ignore(regcred.Exists, s.blobs.Put(ctx, nameKey(repo), nil, IfAbsent))
}

// rely reads a link that something else will rest upon, and sees to it that the
// link stays for as long as that may take.
// Errors: those of readLink.
func (s *Storage) rely(ctx context.Context, repo string, d digest.Digest, key func(string, digest.Digest) string, unknown error) (link, error) {
	for range linkTries {
		l, err := s.readLink(ctx, repo, d, key, unknown)
		if err != nil || s.fresh(l, time.Now()) {
			return l, err
		}
		done, err := s.refresh(ctx, key(repo, d))
		if err != nil || done {
			return l, err
		}
	}
	return link{}, regcred.Errorf(regcred.Unavailable, "others go on changing %s of %s: try again", d, repo)
}

// refresh writes a link anew, and reports whether it was still there to be.
func (s *Storage) refresh(ctx context.Context, key string) (bool, error) {
	l, condition, err := s.findLink(ctx, key)
	if err != nil || condition.Version() == "" {
		return false, err
	}
	l.At = time.Now().UTC()
	data, err := encodeJSON(l)
	if err != nil {
		return false, err
	}
	err = s.blobs.Put(ctx, key, data, condition)
	return err == nil, ignore(regcred.Stale, err)
}
