package registry

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"regcred.dev"
)

// CollectOptions say how Collect goes about it. The zero value is useful.
type CollectOptions struct {
	// Grace is how long content stays after it was found without links, and after it
	// was stored. It has to be longer than a push may take from looking for content to
	// linking it, those that wait for a slow disk or network included. 0 is a day.
	Grace time.Duration
	// DryRun only says what would be done.
	DryRun bool
	// Force goes on where more than half of all content has no links, which otherwise
	// is an error: it looks like links that were lost.
	Force bool
	// Meter tells how far it is; nil for nobody who asks.
	Meter *Meter
}

const defaultGrace = 24 * time.Hour

// Amount is a number of objects, and the bytes of content they are for.
type Amount struct {
	Count int   `json:"count"`
	Bytes int64 `json:"bytes"`
}

// Collection says what Collect did, or would do.
type Collection struct {
	// Content is all that is stored, Links are those of all repositories to it.
	Content Amount `json:"content"`
	Links   int    `json:"links"`
	// Dropped is how many tags retention dropped; Tags are the first MaxDroppedTags of
	// them, as REPOSITORY:TAG.
	Dropped int      `json:"dropped"`
	Tags    []string `json:"tags,omitempty"`
	// Manifests and Blobs are the links that were removed from repositories, since
	// nothing there reached them (Retention.Untagged).
	Manifests Amount `json:"manifests"`
	Blobs     Amount `json:"blobs"`
	// Condemned is content that was found without links by this run, Waiting what an
	// earlier one found less than the grace period ago, and Spared what got a link
	// since.
	Condemned Amount `json:"condemned"`
	Waiting   int    `json:"waiting"`
	Spared    int    `json:"spared"`
	// Deleted is content that was deleted.
	Deleted Amount `json:"deleted"`
	// Skipped are repositories where something is damaged, so that their links were
	// left alone, and why.
	Skipped map[string]string `json:"skipped,omitempty"`
}

// MaxDroppedTags is how many tags a Collection names.
const MaxDroppedTags = 1000

// collector is one run of Collect.
type collector struct {
	CollectOptions
	s     *Storage
	began time.Time

	content digestSet               // marked where it has a link
	unnamed map[string]bool         // repositories that have links
	pulls   map[countedAs]time.Time // when tags were last pulled; nil until it is asked for

	mu     sync.Mutex
	result Collection
}

// Collect removes what the registry no longer needs: links that nothing in their
// repository reaches, as the policy says; then content without links, which takes two
// runs that are the grace period apart. It may run beside pushes and pulls, and in
// several processes.
//
// Call it every few hours. What was done before an error stays done and is in the
// result.
//
// Errors: Invalid for a negative Grace; Denied as Force says; those of the Blobs.
func (s *Storage) Collect(ctx context.Context, o CollectOptions) (Collection, error) {
	if o.Grace < 0 {
		return Collection{}, regcred.Errorf(regcred.Invalid, "the grace period must not be negative")
	}
	if o.Grace == 0 {
		o.Grace = defaultGrace
	}
	c := &collector{CollectOptions: o, s: s, began: time.Now(), unnamed: map[string]bool{}}
	err := o.Meter.run(ctx,
		step{"looking for what repositories need", c.repositories},
		step{"looking for entries that point at nothing", c.dropDangling},
		step{"listing what is stored", c.listContent},
		step{"listing what repositories have", c.markLinked},
		step{"comparing the two", c.checkMarks},
		step{"deleting what was found before", c.sweep},
		step{"marking what no repository has", c.condemn},
		step{"looking for repositories without a name", c.restoreNames},
		step{"counting for quotas", c.recount},
		step{"adding up old statistics", c.statistics},
	)
	if err != nil {
		return c.result, fmt.Errorf("collecting garbage of the registry: %w", err)
	}
	return c.result, nil
}

// repositories collects in each repository what its policy does not keep.
func (c *collector) repositories(ctx context.Context) error {
	for repo, err := range metered(c.Meter, c.s.Repositories(ctx, "")) {
		if err != nil {
			return err
		}
		rule := c.s.policy.For(repo)
		if rule.Keep == nil {
			continue
		}
		if err := c.retain(ctx, repo, rule); err != nil {
			return err
		}
		if rule.Keep.Untagged == 0 {
			continue
		}
		err := c.collectUntagged(ctx, repo, rule.Keep.Untagged)
		if err != nil && regcred.CodeOf(err) == regcred.Corrupt {
			c.skip(repo, err)
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// dropDangling removes entries in lists of referrers and in the index of v1 whose
// manifest is gone: whoever removed it was killed before its next step.
func (c *collector) dropDangling(ctx context.Context) error {
	if c.DryRun {
		return nil
	}
	drop := func(ctx context.Context, repo string, d digest.Digest, key string) error {
		if ok, err := c.s.hasManifest(ctx, repo, d); ok || err != nil {
			return err
		}
		return c.s.dropLost(ctx, repo, d, key)
	}
	err := forEach(ctx, metered(c.Meter, c.s.blobs.List(ctx, v1IndexPrefix, "")), func(ctx context.Context, info Info) error {
		_, rest, _ := strings.Cut(strings.TrimPrefix(info.Key, v1IndexPrefix), "/")
		if ref, ok := parseV1Key(rest); ok {
			return drop(ctx, ref.Repository, ref.Manifest, info.Key)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return forEach(ctx, metered(c.Meter, c.s.blobs.List(ctx, repositoriesPrefix, "")), func(ctx context.Context, info Info) error {
		segment, rest, _ := strings.Cut(strings.TrimPrefix(info.Key, repositoriesPrefix), "/")
		repo, isRepo := unescapeRepository(segment)
		path, isReferral := strings.CutPrefix(rest, "referrers/")
		if _, referrer, ok := parseReferral(path); ok && isRepo && isReferral {
			return drop(ctx, repo, referrer, info.Key)
		}
		return nil
	})
}

func (c *collector) skip(repo string, err error) {
	if c.result.Skipped == nil {
		c.result.Skipped = map[string]string{}
	}
	c.result.Skipped[repo] = regcred.MessageOf(err)
}

// listContent is the first half of C1. What is stored after it is no garbage.
func (c *collector) listContent(ctx context.Context) error {
	for info, err := range metered(c.Meter, c.s.blobs.List(ctx, contentPrefix, "")) {
		if err != nil {
			return err
		}
		d, ok := parseContentKey(info.Key)
		if !ok {
			continue // nothing of ours
		}
		if err := c.content.add(d); err != nil {
			return err
		}
		c.count(&c.result.Content, info.Size)
	}
	return nil
}

// markLinked is the second half of C1, and of C2.
func (c *collector) markLinked(ctx context.Context) error {
	for info, err := range metered(c.Meter, c.s.blobs.List(ctx, repositoriesPrefix, "")) {
		if err != nil {
			return err
		}
		repo, d, ok := parseLinkKey(info.Key)
		if !ok {
			continue
		}
		c.content.mark(d)
		c.unnamed[repo] = true
		c.result.Links++
	}
	return nil
}

// checkMarks refuses to believe that much has become garbage.
func (c *collector) checkMarks(context.Context) error {
	const few = 100
	unlinked := 0
	for range c.content.unmarked() {
		unlinked++
	}
	if !c.Force && unlinked >= few && unlinked > c.content.len()/2 {
		return regcred.Errorf(regcred.Denied,
			"%d of %d stored contents have no link, which looks like links that were lost: check the storage, and use force if it is right", unlinked, c.content.len())
	}
	return nil
}

// sweep is C2 and C3, for what earlier runs condemned.
func (c *collector) sweep(ctx context.Context) error {
	return forEach(ctx, metered(c.Meter, c.s.blobs.List(ctx, condemnedPrefix, "")), func(ctx context.Context, info Info) error {
		d, ok := parseDigestPath(strings.TrimPrefix(info.Key, condemnedPrefix))
		if !ok {
			return nil
		}
		m, version, err := c.s.readMarker(ctx, d)
		if err != nil || version == "" {
			return err
		}
		switch m.fate(c.content.has(d) && !c.content.marked(d), c.began, c.Grace, c.s.takeover) {
		case fateNone:
			return nil
		case fateSpared:
			return c.spare(ctx, d, version)
		case fateForgotten:
			return c.forget(ctx, d, version)
		case fateDeleted:
			return c.delete(ctx, d, version)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.result.Waiting++
		return nil
	})
}

// fate is what becomes of content with a marker.
type fate uint8

const (
	fateWaits fate = iota
	fateNone       // it was spared
	fateSpared
	fateForgotten // it was spared long ago
	fateDeleted
)

// fate decides what becomes of content in a run that began at a time, by whether it
// is there and the run saw no link to it. To spare is always safe: content that has no
// link is condemned again.
func (m marker) fate(unlinked bool, began time.Time, grace, takeover time.Duration) fate {
	age := began.Sub(m.At)
	switch {
	case m.State == stateDeleting && age < takeover:
		return fateWaits
	case m.State == stateSpared && age < grace:
		return fateNone
	case m.State == stateSpared:
		return fateForgotten
	case !unlinked:
		return fateSpared
	case m.State == stateCondemned && age < grace:
		return fateWaits
	case m.State != stateCondemned && m.State != stateDeleting: // damaged
		return fateSpared
	}
	return fateDeleted
}

func (c *collector) spare(ctx context.Context, d digest.Digest, version string) error {
	if !c.DryRun {
		if _, err := c.s.putMarker(ctx, d, stateSpared, IfVersion(version)); err != nil {
			return ignore(regcred.Stale, err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.result.Spared++
	return nil
}

// forget removes a marker that is the same as none. Where deletions are not quite
// conditional, it may remove one of content that was condemned anew, which is then
// condemned once more.
func (c *collector) forget(ctx context.Context, d digest.Digest, version string) error {
	if c.DryRun {
		return nil
	}
	return ignore(regcred.Stale, c.s.blobs.Delete(ctx, condemnedKey(d), IfVersion(version)))
}

func (c *collector) delete(ctx context.Context, d digest.Digest, version string) error {
	info, err := c.s.blobs.Stat(ctx, contentKey(d))
	if err := ignore(regcred.NotFound, err); err != nil {
		return err
	}
	deleted := true
	if !c.DryRun {
		if deleted, err = c.s.deleteContent(ctx, d, version); err != nil {
			return err
		}
	}
	if deleted && info.Key != "" {
		c.count(&c.result.Deleted, info.Size)
	}
	return nil
}

// condemn is the end of C1.
func (c *collector) condemn(ctx context.Context) error {
	return forEach(ctx, metered(c.Meter, withoutError(c.content.unmarked())), func(ctx context.Context, d digest.Digest) error {
		info, err := c.s.blobs.Stat(ctx, contentKey(d))
		if err != nil || c.began.Sub(info.ModifiedAt) < c.Grace {
			return ignore(regcred.NotFound, err)
		}
		var condemned bool
		if c.DryRun {
			m, version, readErr := c.s.readMarker(ctx, d)
			condemned, err = version == "" || m.State == stateSpared, readErr
		} else {
			condemned, err = c.s.condemn(ctx, d)
		}
		if condemned && err == nil {
			c.count(&c.result.Condemned, info.Size)
		}
		return err
	})
}

// restoreNames names repositories that have links and no name: who pushed to them, or
// who removed the name, was killed before its next step.
func (c *collector) restoreNames(ctx context.Context) error {
	if c.DryRun {
		return nil
	}
	for repo, err := range c.s.Repositories(ctx, "") {
		if err != nil {
			return err
		}
		delete(c.unnamed, repo)
	}
	for repo := range maps.Keys(c.unnamed) {
		if err := c.s.putName(ctx, repo); err != nil {
			return err
		}
	}
	return nil
}

func (c *collector) count(a *Amount, size int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a.Count++
	a.Bytes += size
}
