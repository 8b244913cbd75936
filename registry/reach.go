package registry

import (
	"cmp"
	"context"
	"encoding/json"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"regcred.dev"
)

// reach is what of a repository can be reached: from its tags, from what they pointed
// at until lately, and from manifests that are too young to have a tag yet; through
// indexes to their manifests, through manifests to their blobs, and from every
// manifest to those that refer to it.
type reach struct {
	s    *Storage
	repo string
	// cutoff is when a link has to have been written or relied on to be young.
	cutoff time.Time
	// manifests and blobs are those that the repository has links to; reached is
	// marked.
	mu               sync.Mutex // of their marks
	manifests, blobs digestSet
	referrals        []referral
}

// referral says that a manifest refers to a subject. Both are the repository's.
type referral struct{ subject, referrer digest.Digest }

// reachOf finds what can be reached in a repository.
// Errors: Corrupt where a tag or manifest is damaged, so that nobody can tell.
func (s *Storage) reachOf(ctx context.Context, repo string, cutoff time.Time) (*reach, error) {
	r := &reach{s: s, repo: repo, cutoff: cutoff}
	if err := s.listDigests(ctx, repositoryPrefix(repo)+"manifests/", &r.manifests); err != nil {
		return nil, err
	}
	if err := s.listDigests(ctx, repositoryPrefix(repo)+"blobs/", &r.blobs); err != nil {
		return nil, err
	}
	if err := r.listReferrals(ctx); err != nil {
		return nil, err
	}
	roots, err := r.tagged(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.from(ctx, roots); err != nil {
		return nil, err
	}
	if roots, err = r.young(ctx); err != nil {
		return nil, err
	}
	return r, r.from(ctx, roots)
}

// listDigests adds the digests of keys PREFIX + ALG/HEX to a set.
func (s *Storage) listDigests(ctx context.Context, prefix string, set *digestSet) error {
	for info, err := range s.blobs.List(ctx, prefix, "") {
		if err != nil {
			return err
		}
		if d, ok := parseDigestPath(strings.TrimPrefix(info.Key, prefix)); ok {
			if err := set.add(d); err != nil {
				return err
			}
		}
	}
	return nil
}

// listReferrals reads who refers to whom from the keys.
func (r *reach) listReferrals(ctx context.Context) error {
	prefix := repositoryPrefix(r.repo) + "referrers/"
	for info, err := range r.s.blobs.List(ctx, prefix, "") {
		if err != nil {
			return err
		}
		subject, referrer, ok := parseReferral(strings.TrimPrefix(info.Key, prefix))
		if ok && r.manifests.has(subject) && r.manifests.has(referrer) {
			r.referrals = append(r.referrals, referral{subject, referrer})
		}
	}
	return nil
}

// parseReferral reads ALG/HEX/ALG/HEX.
func parseReferral(rest string) (subject, referrer digest.Digest, ok bool) {
	parts := strings.SplitN(rest, "/", 3)
	if len(parts) < 3 {
		return "", "", false
	}
	subject, ok = parseDigestPath(parts[0] + "/" + parts[1])
	referrer, ok2 := parseDigestPath(parts[2])
	return subject, referrer, ok && ok2
}

// tagged returns what tags point at, and pointed at since the cutoff.
func (r *reach) tagged(ctx context.Context) ([]digest.Digest, error) {
	var roots []digest.Digest
	for info, err := range r.s.blobs.List(ctx, tagsPrefix(r.repo), "") {
		if err != nil {
			return nil, err
		}
		var p pointer
		if _, err := r.s.readJSON(ctx, info.Key, &p); err != nil {
			if regcred.CodeOf(err) == regcred.NotFound {
				continue // deleted meanwhile
			}
			return nil, err
		}
		roots = append(roots, p.Digest)
	}
	return r.remembered(ctx, roots)
}

// remembered adds what tags pointed at since the cutoff.
func (r *reach) remembered(ctx context.Context, roots []digest.Digest) ([]digest.Digest, error) {
	for info, err := range r.s.blobs.List(ctx, historyPrefix(r.repo), "") {
		if err != nil {
			return nil, err
		}
		h, _, err := r.s.findHistory(ctx, info.Key)
		if err != nil {
			return nil, err
		}
		for _, e := range h.Earlier {
			if !e.ReplacedAt.Before(r.cutoff) {
				roots = append(roots, e.Digest)
			}
		}
	}
	return roots, nil
}

// young returns the manifests that are not reached and young.
func (r *reach) young(ctx context.Context) ([]digest.Digest, error) {
	var mu sync.Mutex
	var roots []digest.Digest
	err := forEach(ctx, withoutError(r.manifests.unmarked()), func(ctx context.Context, d digest.Digest) error {
		l, _, err := r.s.findLink(ctx, manifestKey(r.repo, d))
		if err != nil {
			return err
		}
		old, err := r.old(ctx, manifestKey(r.repo, d), l)
		if err == nil && !old {
			mu.Lock()
			roots = append(roots, d)
			mu.Unlock()
		}
		return err
	})
	return roots, err
}

// old reports whether a link is older than the cutoff. One that is gone or damaged is
// not.
func (r *reach) old(ctx context.Context, key string, l link) (bool, error) {
	if !l.At.IsZero() {
		return l.At.Before(r.cutoff), nil
	}
	if l == (link{}) {
		return false, nil
	}
	info, err := r.s.blobs.Stat(ctx, key)
	return err == nil && info.ModifiedAt.Before(r.cutoff), ignore(regcred.NotFound, err)
}

// from marks what can be reached from some manifests.
func (r *reach) from(ctx context.Context, next []digest.Digest) error {
	for len(next) > 0 {
		next = slices.DeleteFunc(next, func(d digest.Digest) bool { return !r.manifests.mark(d) })
		found, err := r.expand(ctx, next)
		if err != nil {
			return err
		}
		for _, f := range r.referrals {
			if r.manifests.marked(f.subject) && !r.manifests.marked(f.referrer) {
				found = append(found, f.referrer)
			}
		}
		next = found
	}
	return nil
}

// expand marks the blobs of some manifests, and returns the manifests in them.
func (r *reach) expand(ctx context.Context, manifests []digest.Digest) ([]digest.Digest, error) {
	var found []digest.Digest
	err := forEach(ctx, withoutError(slices.Values(manifests)), func(ctx context.Context, d digest.Digest) error {
		refs, err := r.s.referencesOf(ctx, r.repo, d)
		if err != nil {
			return err
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, ref := range refs {
			r.blobs.mark(ref)
			if r.manifests.has(ref) && !r.manifests.marked(ref) {
				found = append(found, ref)
			}
		}
		return nil
	})
	return found, err
}

// referencesOf returns the digests that a stored manifest names, but for its subject.
// Errors: Corrupt where it is lost or damaged.
func (s *Storage) referencesOf(ctx context.Context, repo string, d digest.Digest) ([]digest.Digest, error) {
	data, _, err := s.blobs.Read(ctx, contentKey(d))
	if err != nil {
		return nil, lost(repo, d, err)
	}
	var m manifest
	if d.Algorithm().FromBytes(data) != d || json.Unmarshal(data, &m) != nil {
		return nil, regcred.Errorf(regcred.Corrupt, "the stored content of manifest %s of %s is damaged: push it again, or delete it", d, repo)
	}
	m.Subject = nil
	var list []digest.Digest
	for _, desc := range append(m.references(), m.optional()...) {
		list = append(list, desc.Digest)
	}
	return list, nil
}

// workers is how many requests to the storage upkeep has under way.
const workers = 8

// forEach calls do for each of a sequence, some at a time, until one fails.
func forEach[T any](ctx context.Context, all iter.Seq2[T, error], do func(context.Context, T) error) error {
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	for v, err := range all {
		if err != nil {
			group.Go(func() error { return err })
			break
		}
		if groupCtx.Err() != nil {
			break
		}
		group.Go(func() error { return do(groupCtx, v) })
	}
	return cmp.Or(group.Wait(), ctx.Err())
}

// withoutError makes a sequence one that never fails.
func withoutError[T any](all iter.Seq[T]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for v := range all {
			if !yield(v, nil) {
				return
			}
		}
	}
}
