package registry

import (
	"context"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/opencontainers/go-digest"

	"regcred.dev"
)

// ProblemKind says what is wrong.
type ProblemKind string

// What Check finds.
const (
	// ContentMissing: a repository links to content that is not there.
	ContentMissing ProblemKind = "content-missing"
	// ContentDamaged: content has another size than a link says, or, by a deep check,
	// another digest than its key.
	ContentDamaged ProblemKind = "content-damaged"
	// ObjectDamaged: a link, tag or manifest cannot be read.
	ObjectDamaged ProblemKind = "object-damaged"
	// ManifestIncomplete: a repository has a manifest, but not what that refers to.
	ManifestIncomplete ProblemKind = "manifest-incomplete"
	// Dangling: a tag, an entry in a list of referrers or in the index of v1 points at
	// a manifest that the repository does not have.
	Dangling ProblemKind = "dangling"
	// Unnamed: a repository has content, but is in no list. Collect repairs it.
	Unnamed ProblemKind = "unnamed"
	// Garbage: content that no repository links. Collect deletes it; that of a push
	// under way is garbage for a moment.
	Garbage ProblemKind = "garbage"
)

// Harmless reports whether nothing is lost: Collect sees to it.
func (k ProblemKind) Harmless() bool { return k == Garbage || k == Unnamed }

// Problem is a difference between what the registry's objects say and what there is.
type Problem struct {
	Kind       ProblemKind   `json:"kind"`
	Repository string        `json:"repository,omitempty"`
	Digest     digest.Digest `json:"digest,omitempty"` // of the content or manifest
	Bytes      int64         `json:"bytes,omitempty"`  // of garbage
	Key        string        `json:"key"`              // of the object
	Message    string        `json:"message"`          // what is wrong, and what helps
}

// CheckOptions say how Check goes about it. The zero value is useful.
type CheckOptions struct {
	// Deep reads all content, and compares its digests.
	Deep bool
	// Meter tells how far it is; nil for nobody who asks.
	Meter *Meter
}

// Check compares the registry's objects with each other, both ways, and yields what
// does not fit. It may run beside pushes, and changes nothing. Memory is 32 bytes for
// each content.
// After an error, which is one of the Blobs, it ends.
func (s *Storage) Check(ctx context.Context, o CheckOptions) iter.Seq2[Problem, error] {
	return func(yield func(Problem, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		c := &checker{CheckOptions: o, s: s, found: make(chan Problem)}
		failed := make(chan error, 1)
		go func() {
			defer close(c.found)
			failed <- c.run(ctx)
		}()
		for p := range c.found {
			if !yield(p, nil) {
				cancel()
				for range c.found { // until the last of it has ended
				}
				return
			}
		}
		if err := <-failed; err != nil {
			yield(Problem{}, fmt.Errorf("checking the registry: %w", err))
		}
	}
}

// checker is one run of Check.
type checker struct {
	CheckOptions
	s       *Storage
	found   chan Problem
	content digestSet // marked where it has a link
	bytes   int64     // of content
}

func (c *checker) report(ctx context.Context, p Problem, format string, args ...any) {
	p.Message = fmt.Sprintf(format, args...)
	select {
	case c.found <- p:
	case <-ctx.Done():
	}
}

func (c *checker) run(ctx context.Context) error {
	steps := []step{
		{"listing what is stored", c.listContent},
		{"listing what repositories have", c.markLinked},
		{"comparing the two", c.repositories},
		{"looking at the index of v1", c.v1},
		{"looking for what no repository has", c.garbage},
	}
	if c.Deep {
		steps = append(steps, step{"reading all content", c.contents})
	}
	return c.Meter.run(ctx, steps...)
}

func (c *checker) listContent(ctx context.Context) error {
	for info, err := range metered(c.Meter, c.s.blobs.List(ctx, contentPrefix, "")) {
		if err != nil {
			return err
		}
		if d, ok := parseContentKey(info.Key); ok {
			c.bytes += info.Size
			if err := c.content.add(d); err != nil {
				return err
			}
		}
	}
	return nil
}

// markLinked marks content that has links, and looks for repositories without names.
func (c *checker) markLinked(ctx context.Context) error {
	last := ""
	for info, err := range metered(c.Meter, c.s.blobs.List(ctx, repositoriesPrefix, "")) {
		if err != nil {
			return err
		}
		repo, d, ok := parseLinkKey(info.Key)
		if !ok {
			continue
		}
		c.content.mark(d)
		if repo == last {
			continue
		}
		last = repo
		_, err := c.s.blobs.Stat(ctx, nameKey(repo))
		if err != nil && regcred.CodeOf(err) == regcred.NotFound {
			c.report(ctx, Problem{Kind: Unnamed, Repository: repo, Key: nameKey(repo)}, "%s has content and no name: collect garbage to restore it", repo)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// repositories checks every object of every repository.
func (c *checker) repositories(ctx context.Context) error {
	return forEach(ctx, metered(c.Meter, c.s.blobs.List(ctx, repositoriesPrefix, "")), func(ctx context.Context, info Info) error {
		segment, rest, _ := strings.Cut(strings.TrimPrefix(info.Key, repositoriesPrefix), "/")
		repo, ok := unescapeRepository(segment)
		if !ok {
			return nil
		}
		kind, path, _ := strings.Cut(rest, "/")
		p := Problem{Repository: repo, Key: info.Key}
		switch kind {
		case "blobs", "manifests":
			d, ok := parseDigestPath(path)
			if !ok {
				return nil
			}
			p.Digest = d
			return c.link(ctx, p, kind == "manifests")
		case "tags":
			return c.tag(ctx, p, path)
		case "referrers":
			_, referrer, ok := parseReferral(path)
			if !ok {
				return nil
			}
			p.Digest = referrer
			return c.pointer(ctx, p, "the list of referrers")
		}
		return nil
	})
}

// link checks a link against the content that it is for.
func (c *checker) link(ctx context.Context, p Problem, isManifest bool) error {
	l, condition, err := c.s.findLink(ctx, p.Key)
	switch {
	case err != nil || condition.Absent():
		return err
	case condition.Version() == "":
		p.Kind = ObjectDamaged
		c.report(ctx, p, "what %s says about %s is damaged: push that again", p.Repository, p.Digest)
		return nil
	case l.URL != "":
		return nil
	}
	info, err := c.s.blobs.Stat(ctx, contentKey(p.Digest))
	if err != nil {
		if regcred.CodeOf(err) != regcred.NotFound {
			return err
		}
		if _, now, err := c.s.findLink(ctx, p.Key); err != nil || now.Version() != condition.Version() {
			return err // removed meanwhile
		}
		p.Kind = ContentMissing
		c.report(ctx, p, "the content of %s in %s is lost: push it again", p.Digest, p.Repository)
		return nil
	}
	if info.Size != l.Size {
		p.Kind = ContentDamaged
		c.report(ctx, p, "the content of %s in %s has %d bytes, not %d: push it again", p.Digest, p.Repository, info.Size, l.Size)
		return nil
	}
	if isManifest {
		return c.manifest(ctx, p, l)
	}
	return nil
}

// manifest checks that a repository has what a manifest refers to.
func (c *checker) manifest(ctx context.Context, p Problem, l link) error {
	data, _, err := c.s.blobs.Read(ctx, contentKey(p.Digest))
	if err != nil {
		return ignore(regcred.NotFound, err)
	}
	if m, err := parseManifest(data, l.MediaType); err == nil && p.Digest.Algorithm().FromBytes(data) == p.Digest {
		return c.references(ctx, p, m)
	}
	p.Kind = ObjectDamaged
	c.report(ctx, p, "manifest %s of %s is damaged: push it again", p.Digest, p.Repository)
	return nil
}

func (c *checker) references(ctx context.Context, p Problem, m manifest) error {
	for _, d := range m.references() {
		key := blobKey
		if isImage(d.MediaType) || isIndex(d.MediaType) {
			key = manifestKey
		}
		_, err := c.s.blobs.Stat(ctx, key(p.Repository, d.Digest))
		if err == nil {
			continue
		}
		if regcred.CodeOf(err) != regcred.NotFound {
			return err
		}
		p.Kind = ManifestIncomplete
		c.report(ctx, p, "manifest %s of %s needs %s, which %[2]s does not have: push that again", p.Digest, p.Repository, d.Digest)
	}
	return nil
}

// tag checks what a tag points at.
func (c *checker) tag(ctx context.Context, p Problem, tag string) error {
	found, condition, err := c.s.findTag(ctx, p.Repository, tag)
	if err != nil || condition.Absent() {
		return err
	}
	if condition.Version() == "" {
		p.Kind = ObjectDamaged
		c.report(ctx, p, "tag %s of %s is damaged: push it again, or roll it back", tag, p.Repository)
		return nil
	}
	p.Digest = found.Digest
	return c.pointer(ctx, p, "tag "+tag)
}

// pointer checks that the repository has the manifest that an object points at.
func (c *checker) pointer(ctx context.Context, p Problem, what string) error {
	ok, err := c.s.hasManifest(ctx, p.Repository, p.Digest)
	if ok || err != nil {
		return err
	}
	if _, err := c.s.blobs.Stat(ctx, p.Key); err != nil {
		return ignore(regcred.NotFound, err) // removed meanwhile
	}
	p.Kind = Dangling
	c.report(ctx, p, "%s of %s points at %s, which %[2]s does not have: push that again, or delete it", what, p.Repository, p.Digest)
	return nil
}

// v1 checks the index of images of v1.
func (c *checker) v1(ctx context.Context) error {
	return forEach(ctx, metered(c.Meter, c.s.blobs.List(ctx, v1IndexPrefix, "")), func(ctx context.Context, info Info) error {
		_, rest, _ := strings.Cut(strings.TrimPrefix(info.Key, v1IndexPrefix), "/")
		ref, ok := parseV1Key(rest)
		if !ok {
			return nil
		}
		return c.pointer(ctx, Problem{Repository: ref.Repository, Digest: ref.Manifest, Key: info.Key}, "the index of v1")
	})
}

// garbage looks for content without links.
func (c *checker) garbage(ctx context.Context) error {
	for d := range c.content.unmarked() {
		c.Meter.object()
		info, err := c.s.blobs.Stat(ctx, contentKey(d))
		if err := ignore(regcred.NotFound, err); err != nil {
			return err
		}
		if info.Key != "" {
			c.report(ctx, Problem{Kind: Garbage, Digest: d, Bytes: info.Size, Key: info.Key}, "no repository has %s: collecting garbage deletes it", d)
		}
	}
	return nil
}

// contents reads all content.
func (c *checker) contents(ctx context.Context) error {
	c.Meter.total(c.bytes)
	return forEach(ctx, metered(c.Meter, c.s.blobs.List(ctx, contentPrefix, "")), func(ctx context.Context, info Info) error {
		d, ok := parseContentKey(info.Key)
		if !ok {
			return nil
		}
		return c.hash(ctx, d)
	})
}

// hash reads content and compares its digest.
func (c *checker) hash(ctx context.Context, d digest.Digest) error {
	object, err := c.s.blobs.Get(ctx, contentKey(d))
	if err != nil {
		return ignore(regcred.NotFound, err)
	}
	defer object.Close()
	found, err := d.Algorithm().FromReader(checkedReader{ctx, c.Meter, object})
	if err == nil && found != d {
		c.report(ctx, Problem{Kind: ContentDamaged, Digest: d, Key: contentKey(d)}, "the content of %s has another digest: remove the object %s from the storage, then push it again", d, contentKey(d))
	}
	return err
}

// checkedReader is a reader that ends with its context, and says how far it is.
type checkedReader struct {
	ctx   context.Context // of the call that reads it
	meter *Meter
	io.Reader
}

func (r checkedReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := r.Reader.Read(p)
	r.meter.read(n)
	return n, err
}
