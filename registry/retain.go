package registry

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"regcred.dev"
)

// taggedAt is what retention goes by.
type taggedAt struct {
	tag       string
	writtenAt time.Time
	pulledAt  time.Time // zero: never, or not lately
	// orphan says that it was attached to a manifest that is gone: it is none of the
	// last tags.
	orphan bool
}

// selects reports whether the retention says anything about tags. One that does not
// keeps them all.
func (r Retention) selects() bool { return r.Last > 0 || r.Within > 0 || len(r.Tags) > 0 }

// drops returns the tags that the retention does not keep at a time.
func (r Retention) drops(tags []taggedAt, now time.Time) []string {
	if !r.selects() {
		return nil
	}
	tags = slices.Clone(tags)
	slices.SortFunc(tags, func(a, b taggedAt) int {
		return cmp.Or(b.writtenAt.Compare(a.writtenAt), cmp.Compare(a.tag, b.tag))
	})
	var drop []string
	counted := 0
	for _, t := range tags {
		last := !t.orphan && counted < r.Last
		if !t.orphan {
			counted++
		}
		recent := r.Within > 0 && (now.Sub(t.writtenAt) <= r.Within || now.Sub(t.pulledAt) <= r.Within)
		if !last && !recent && !matchTag(r.Tags, t.tag) {
			drop = append(drop, t.tag)
		}
	}
	return drop
}

// retain drops the tags of a repository that its rule does not keep. Immutable tags
// stay, and count for nothing; so do those that are attached to a manifest, for as long
// as the repository has that.
func (c *collector) retain(ctx context.Context, repo string, rule Rule) error {
	if !rule.Keep.selects() {
		return nil
	}
	tags, err := c.s.tagTimes(ctx, repo, rule)
	if err != nil {
		return err
	}
	if rule.Keep.Within > 0 {
		if err := c.readPulls(ctx); err != nil {
			return err
		}
		for i := range tags {
			tags[i].pulledAt = c.pulls[countedAs{repo, tags[i].tag}]
		}
	}
	for _, tag := range rule.Keep.drops(tags, c.began) {
		if err := c.dropTag(ctx, repo, tag); err != nil {
			return err
		}
	}
	return nil
}

// readPulls reads when tags were last pulled, as far back as any rule asks.
func (c *collector) readPulls(ctx context.Context) error {
	if c.pulls != nil {
		return nil
	}
	var within time.Duration
	for _, rule := range c.s.policy {
		if rule.Keep != nil {
			within = max(within, rule.Keep.Within)
		}
	}
	list, err := c.s.Statistics(ctx, c.began.Add(-within), c.began)
	if err != nil {
		return err
	}
	c.pulls = map[countedAs]time.Time{}
	for _, s := range list {
		c.pulls[countedAs{s.Repository, s.Tag}] = s.LastPulledAt
	}
	return nil
}

// dropTag deletes a tag that was not written since the run began.
func (c *collector) dropTag(ctx context.Context, repo, tag string) error {
	old, condition, err := c.s.findTag(ctx, repo, tag)
	if err != nil || condition.Version() == "" || old.At.After(c.began) {
		return err
	}
	if !c.DryRun {
		if err := c.s.dropTag(ctx, repo, tag, old, condition); err != nil {
			return ignore(regcred.Stale, err)
		}
	}
	if c.result.Dropped++; c.result.Dropped <= MaxDroppedTags {
		c.result.Tags = append(c.result.Tags, repo+":"+tag)
	}
	return nil
}

// attachedTo returns the manifest that what a tag points at is attached to, by the form
// of the tag: sha256-HEX, the "referrers tag schema" of the OCI distribution
// specification, or with an ending such as .sig, as cosign has it.
func attachedTo(tag string) (digest.Digest, bool) {
	name, _, _ := strings.Cut(tag, ".")
	algorithm, hex, _ := strings.Cut(name, "-")
	d := digest.NewDigestFromEncoded(digest.Algorithm(algorithm), hex)
	return d, isDigest(d)
}

// tagTimes returns when the tags of a repository were written, but for immutable,
// attached and damaged ones.
func (s *Storage) tagTimes(ctx context.Context, repo string, rule Rule) ([]taggedAt, error) {
	var mu sync.Mutex
	var tags []taggedAt
	prefix := tagsPrefix(repo)
	err := forEach(ctx, s.blobs.List(ctx, prefix, ""), func(ctx context.Context, info Info) error {
		tag := strings.TrimPrefix(info.Key, prefix)
		if rule.immutable(tag) {
			return nil
		}
		subject, attached := attachedTo(tag)
		if attached {
			if has, err := s.hasManifest(ctx, repo, subject); has || err != nil {
				return err
			}
		}
		p, condition, err := s.findTag(ctx, repo, tag)
		if err != nil || condition.Version() == "" {
			return err
		}
		if p.At.IsZero() {
			p.At = info.ModifiedAt
		}
		mu.Lock()
		defer mu.Unlock()
		tags = append(tags, taggedAt{tag: tag, writtenAt: p.At, orphan: attached})
		return nil
	})
	return tags, err
}
