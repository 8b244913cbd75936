package registry

import (
	"context"
	"encoding/json"
	"io"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"cuelabs.dev/go/oci/ociregistry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"regcred.dev"
)

// RepositoryInfo describes a repository for people.
type RepositoryInfo struct {
	Name      string `json:"name"`
	Tags      int    `json:"tags"`
	Manifests int    `json:"manifests"`
	Blobs     int    `json:"blobs"`
	// Bytes is what the repository holds: all content that it links, each once.
	Bytes int64 `json:"bytes"`
	// Quota is the most that it may hold, in bytes; 0 for any.
	Quota int64 `json:"quota,omitempty"`
	// PushedAt is when a tag was written last; zero without tags.
	PushedAt time.Time `json:"pushedAt,omitzero"`
}

// TagInfo describes a tag for people.
type TagInfo struct {
	Name      string        `json:"name"`
	Digest    digest.Digest `json:"digest"`
	MediaType string        `json:"mediaType"`
	// Bytes is the size of all that the tag needs, each content once.
	Bytes int64 `json:"bytes"`
	// Platforms are those of the image or index: OS/ARCHITECTURE[/VARIANT].
	Platforms []string  `json:"platforms,omitempty"`
	WrittenAt time.Time `json:"writtenAt"`
	// Pulls and PulledAt are by what was counted in the last 90 days.
	Pulls     int64     `json:"pulls,omitempty"`
	PulledAt  time.Time `json:"pulledAt,omitzero"`
	Immutable bool      `json:"immutable,omitempty"`
	// Problem says why not all of this is known: something is lost or damaged.
	Problem string `json:"problem,omitempty"`
}

// statisticsLookback is how far back TagInfo looks.
const statisticsLookback = 90 * 24 * time.Hour

// DescribeRepositories describes the repositories that follow a name. It reads every
// link of them.
func (s *Storage) DescribeRepositories(ctx context.Context, startAfter string) iter.Seq2[RepositoryInfo, error] {
	return func(yield func(RepositoryInfo, error) bool) {
		for repo, err := range s.Repositories(ctx, startAfter) {
			var info RepositoryInfo
			if err == nil {
				info, err = s.DescribeRepository(ctx, repo)
			}
			if !yield(info, err) || err != nil {
				return
			}
		}
	}
}

// DescribeRepository describes a repository. Errors: ErrNameInvalid, ErrNameUnknown.
func (s *Storage) DescribeRepository(ctx context.Context, repo string) (RepositoryInfo, error) {
	info := RepositoryInfo{Name: repo, Quota: s.policy.For(repo).Quota}
	if err := s.checkExists(ctx, repo); err != nil {
		return info, err
	}
	for tag, err := range s.blobs.List(ctx, tagsPrefix(repo), "") {
		if err != nil {
			return info, err
		}
		info.Tags++
		info.PushedAt = later(info.PushedAt, tag.ModifiedAt)
	}
	var manifests, blobs, bytes atomic.Int64
	err := forEach(ctx, s.blobs.List(ctx, repositoryPrefix(repo), ""), func(ctx context.Context, object Info) error {
		if _, _, ok := parseLinkKey(object.Key); !ok {
			return nil
		}
		l, _, err := s.findLink(ctx, object.Key)
		bytes.Add(l.charge())
		if l.MediaType == "" {
			blobs.Add(1)
		} else {
			manifests.Add(1)
		}
		return err
	})
	info.Manifests, info.Blobs, info.Bytes = int(manifests.Load()), int(blobs.Load()), bytes.Load()
	return info, err
}

// DescribeTags describes the tags of a repository, in the order of their names. A tag
// whose manifest is lost or damaged has a Problem. Errors: ErrNameInvalid,
// ErrNameUnknown.
func (s *Storage) DescribeTags(ctx context.Context, repo string) iter.Seq2[TagInfo, error] {
	return func(yield func(TagInfo, error) bool) {
		if err := s.checkExists(ctx, repo); err != nil {
			yield(TagInfo{}, err)
			return
		}
		counted, err := s.countedTags(ctx, repo)
		if err != nil {
			yield(TagInfo{}, err)
			return
		}
		for object, err := range s.blobs.List(ctx, tagsPrefix(repo), "") {
			var info TagInfo
			if err == nil {
				info, err = s.describeTag(ctx, repo, object)
			}
			c := counted[info.Name]
			info.Pulls, info.PulledAt = c.Pulls, c.LastPulledAt
			if !yield(info, err) || err != nil {
				return
			}
		}
	}
}

func (s *Storage) countedTags(ctx context.Context, repo string) (map[string]Counts, error) {
	now := time.Now()
	list, err := s.Statistics(ctx, now.Add(-statisticsLookback), now)
	if err != nil {
		return nil, err
	}
	counted := map[string]Counts{}
	for _, st := range list {
		if st.Repository == repo {
			counted[st.Tag] = st.Counts
		}
	}
	return counted, nil
}

func (s *Storage) describeTag(ctx context.Context, repo string, object Info) (TagInfo, error) {
	tag := strings.TrimPrefix(object.Key, tagsPrefix(repo))
	p, condition, err := s.findTag(ctx, repo, tag)
	info := TagInfo{
		Name: tag, Digest: p.Digest, MediaType: p.MediaType, WrittenAt: object.ModifiedAt,
		Immutable: s.policy.For(repo).immutable(tag),
	}
	if !p.At.IsZero() {
		info.WrittenAt = p.At
	}
	switch {
	case err != nil:
		return info, err
	case condition.Version() == "":
		info.Problem = "the tag is damaged: push it again"
		return info, nil
	}
	w := tagWalk{s: s, repo: repo, seen: map[digest.Digest]bool{}, info: &info}
	err = w.walk(ctx, p.Descriptor)
	if err != nil && (isUnknown(err) || regcred.CodeOf(err) == regcred.Corrupt) {
		info.Problem = regcred.MessageOf(err)
		if isUnknown(err) {
			info.Problem = "a manifest is lost: push it again"
		}
		return info, nil
	}
	return info, err
}

// tagWalk adds up what a tag needs.
type tagWalk struct {
	s    *Storage
	repo string
	seen map[digest.Digest]bool
	info *TagInfo
}

// add counts content once, and reports whether it was not yet.
func (w *tagWalk) add(d ociregistry.Descriptor) bool {
	if w.seen[d.Digest] {
		return false
	}
	w.seen[d.Digest] = true
	w.info.Bytes += d.Size
	return true
}

// walk adds up a manifest and all that it needs, through indexes of any depth: of each
// manifest no more is remembered than where to go on.
func (w *tagWalk) walk(ctx context.Context, root ociregistry.Descriptor) error {
	w.add(root)
	for next := []digest.Digest{root.Digest}; len(next) > 0; {
		d := next[len(next)-1]
		found, err := w.manifest(ctx, d)
		if err != nil {
			return err
		}
		next = append(next[:len(next)-1], found...)
	}
	return nil
}

// manifest adds up what a manifest needs, and returns the manifests among that.
func (w *tagWalk) manifest(ctx context.Context, d digest.Digest) (found []digest.Digest, err error) {
	r, err := w.s.GetManifest(ctx, w.repo, d)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(r) // it was checked to be small
	if err != nil {
		return nil, err
	}
	m, err := parseManifest(data, r.Descriptor().MediaType)
	if err != nil {
		return nil, regcred.Errorf(regcred.Corrupt, "manifest %s is damaged: push it again", d)
	}
	for _, part := range m.references() {
		isManifest := isImage(part.MediaType) || isIndex(part.MediaType)
		if isManifest {
			w.platform(part.Platform)
		}
		if w.add(part) && isManifest {
			found = append(found, part.Digest)
		}
	}
	if m.Config != nil && d == w.info.Digest {
		return found, w.configPlatform(ctx, m.Config.Digest)
	}
	return found, nil
}

func (w *tagWalk) platform(p *ocispec.Platform) {
	if p == nil || p.OS == "" || p.OS == "unknown" { // an attestation
		return
	}
	name := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		name += "/" + p.Variant
	}
	if !slices.Contains(w.info.Platforms, name) {
		w.info.Platforms = append(w.info.Platforms, name)
	}
}

// configPlatform reads the platform of an image from its config.
func (w *tagWalk) configPlatform(ctx context.Context, config digest.Digest) error {
	data, _, err := w.s.blobs.Read(ctx, contentKey(config))
	if err != nil {
		return ignore(regcred.TooLarge, ignore(regcred.NotFound, err))
	}
	var p ocispec.Platform
	if json.Unmarshal(data, &p) == nil {
		w.platform(&p)
	}
	return nil
}
