package registry

import (
	"context"
	"errors"
	"time"

	"github.com/opencontainers/go-digest"

	"regcred.dev"
)

// How links go that nothing in their repository reaches any more.
//
// Every push says in a link's "at" that it relies on it, unless that was said within
// the patience (putLink, rely). A link is removed where it is not reached, was not
// relied on for twice the patience before the listing began, and still has the
// version that says so. So what a push found that is under way, whose steps lie
// within the patience, is either young or reached or changed.
//
// Manifests go first, indexes before what is in them, and blobs only where no
// manifest of the repository was changed meanwhile: a manifest that somebody began to
// rely on again needs its blobs, which nobody said. What stays for this is removed by
// a later run. A manifest that is there is complete at any moment.

// errReliedOn says that somebody began to rely on a manifest that was to be removed.
var errReliedOn = errors.New("a manifest is relied on again")

// cutoff returns since when a link has to be relied on to be young, by how long
// untagged manifests stay.
func (s *Storage) cutoff(began time.Time, untagged time.Duration) time.Time {
	return began.Add(-max(untagged, 2*s.patience))
}

// collectUntagged removes the links of a repository that nothing reaches.
// Errors: Corrupt where a tag or manifest is damaged; nothing is then removed.
func (c *collector) collectUntagged(ctx context.Context, repo string, untagged time.Duration) error {
	r, err := c.s.reachOf(ctx, repo, c.s.cutoff(c.began, untagged))
	if err != nil {
		return err
	}
	for _, indexes := range []bool{true, false} {
		err := forEach(ctx, withoutError(r.manifests.unmarked()), func(ctx context.Context, d digest.Digest) error {
			return c.removeManifest(ctx, r, d, indexes)
		})
		if errors.Is(err, errReliedOn) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return forEach(ctx, withoutError(r.blobs.unmarked()), func(ctx context.Context, d digest.Digest) error {
		_, err := c.removeLink(ctx, r, blobKey(repo, d), &c.result.Blobs)
		return err
	})
}

// removeManifest removes the link of an index, or of another manifest, and what
// points at it. Errors: errReliedOn.
func (c *collector) removeManifest(ctx context.Context, r *reach, d digest.Digest, indexes bool) error {
	key := manifestKey(r.repo, d)
	l, condition, err := c.s.findLink(ctx, key)
	if err != nil || condition.Absent() || isIndex(l.MediaType) != indexes {
		return err
	}
	removed, err := c.removeLink(ctx, r, key, &c.result.Manifests)
	switch {
	case err != nil:
		return err
	case !removed:
		return errReliedOn
	case c.DryRun:
		return nil
	}
	return c.s.dropEntries(ctx, r.repo, l.describe(d), c.s.dropLost)
}

// removeLink removes a link that is old still, counts it, and reports whether it is
// gone.
func (c *collector) removeLink(ctx context.Context, r *reach, key string, count *Amount) (bool, error) {
	l, condition, err := c.s.findLink(ctx, key)
	if err != nil || condition.Absent() {
		return err == nil, err
	}
	if old, err := r.old(ctx, key, l); err != nil || !old {
		return false, err
	}
	if !c.DryRun {
		if err := c.s.blobs.Delete(ctx, key, condition); err != nil {
			return false, ignore(regcred.Stale, err)
		}
		if err := c.s.release(ctx, r.repo, l.charge()); err != nil {
			return true, err
		}
	}
	c.count(count, l.Size)
	return true, nil
}
