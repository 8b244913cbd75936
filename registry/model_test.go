package registry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"cuelabs.dev/go/oci/ociregistry"
	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"pgregory.net/rapid"
)

// TestModel does random things to a registry and to ocimem, a registry in memory
// by other people, and compares every answer: to a Storage, and by the protocol to a
// Server whose cache keeps all that it has seen. They mean to differ in two things:
// ocimem leaves the tags of a deleted manifest behind, and for it a repository
// exists from the first try to store something in it, for us from the first that
// succeeds.
func TestModel(t *testing.T) {
	t.Run("storage", func(t *testing.T) {
		rapid.Check(t, func(rt *rapid.T) {
			p := newPair(rt, openStorage(t, t.TempDir()))
			p.repeat(p.actions())
		})
	})
	t.Run("HTTP", func(t *testing.T) {
		rapid.Check(t, func(rt *rapid.T) {
			c := newModelClient(t)
			p := &httpPair{newPair(rt, c), c}
			actions := p.actions()
			maps.Copy(actions, map[string]func(){
				"range": p.getRange, "link": p.link, "cancel": p.cancel, "head": p.head, "push whole": p.pushWhole,
			})
			p.repeat(actions)
		})
	})
}

func newPair(t *rapid.T, storage ociregistry.Interface) *pair {
	return &pair{t: t, storage: storage, model: model{ocimem.New()}, stored: map[string]bool{}}
}

func (p *pair) actions() map[string]func() {
	return map[string]func(){
		"push blob": p.pushBlob, "push chunks": p.pushChunks, "mount": p.mount,
		"push image": p.pushImage, "push index": p.pushIndex, "get": p.get, "range": p.getRange,
		"delete blob": p.deleteBlob, "delete manifest": p.deleteManifest, "delete tag": p.deleteTag,
	}
}

// repeat does some of the actions, and compares all after each.
func (p *pair) repeat(actions map[string]func()) {
	steps := map[string]func(*rapid.T){"": p.compareAll}
	for name, do := range actions {
		steps[name] = func(t *rapid.T) { p.t = t; do() }
	}
	p.t.Repeat(steps)
}

// model is ocimem where it does as Storage does.
type model struct{ *ocimem.Registry }

// DeleteManifest removes the tags of the manifest too, which ocimem leaves behind.
func (m model) DeleteManifest(ctx context.Context, repo string, d digest.Digest) error {
	if err := m.Registry.DeleteManifest(ctx, repo, d); err != nil {
		return err
	}
	for tag, err := range m.Tags(ctx, repo, "") {
		if err != nil {
			return err
		}
		desc, err := m.ResolveTag(ctx, repo, tag)
		if err == nil && desc.Digest == d {
			err = m.DeleteTag(ctx, repo, tag)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

type pair struct {
	t       *rapid.T
	storage ociregistry.Interface
	model   ociregistry.Interface
	stored  map[string]bool // repositories that something was stored in
}

var (
	modelRepos    = rapid.SampledFrom([]string{"a", "a/b", "a-b", "a/b/c"})
	modelContents = rapid.SampledFrom([]string{"one", "two", "three", modelLong, modelTheirs})
	modelTags     = rapid.SampledFrom([]string{"v1", "V1", "_x"})
	ctx           = context.Background()
)

const (
	// modelLong has a SHA-512 as its digest, which ocimem knows none of.
	modelLong = "content with a long digest"
	// modelTheirs is content that its owner hosts, too.
	modelTheirs = "theirs"
)

// digestOf returns the digest of content in one of the two.
func (p *pair) digestOf(r ociregistry.Interface, content string) digest.Digest {
	if content == modelLong && r != p.model {
		return digest.SHA512.FromString(content)
	}
	return digest.FromString(content)
}

func (p *pair) repo() string    { return modelRepos.Draw(p.t, "repo") }
func (p *pair) content() string { return modelContents.Draw(p.t, "content") }
func (p *pair) tag() string     { return modelTags.Draw(p.t, "tag") }

// images are manifests of the contents, and an index of the first two of them;
// the last refers to the first one.
var images = []string{
	imageManifest("one", "two"), imageManifest("one", "three"), imageManifest("two"), imageManifest("two", modelTheirs),
	withSubject(imageManifest("one"), imageManifest("one", "two")),
}

func withSubject(manifest, subject string) string {
	return fmt.Sprintf(`%s,"subject":{"mediaType":%q,"digest":%q,"size":%d}}`, manifest[:len(manifest)-1], ociImage, digest.FromString(subject), len(subject))
}

var index = fmt.Sprintf(`{"schemaVersion":2,"manifests":[{"mediaType":%[1]q,"digest":%[2]q,"size":%[3]d},{"mediaType":%[1]q,"digest":%[4]q,"size":%[5]d}]}`,
	ociImage, digest.FromString(images[0]), len(images[0]), digest.FromString(images[1]), len(images[1]))

// manifestDigest draws a manifest.
func (p *pair) manifestDigest() digest.Digest {
	return digest.FromString(rapid.SampledFrom(append(slices.Clone(images), index)).Draw(p.t, "manifest"))
}

// same does the same to both, compares the outcomes and reports whether both
// succeeded.
func (p *pair) same(what string, do func(r ociregistry.Interface) (string, error)) bool {
	want, wantErr := do(p.model)
	got, err := do(p.storage)
	got = strings.ReplaceAll(got, digest.SHA512.FromString(modelLong).String(), digest.FromString(modelLong).String())
	if (err == nil) != (wantErr == nil) || unknown(err) != unknown(wantErr) {
		p.t.Fatalf("%s: error %v, the model has %v", what, err, wantErr)
	}
	if want != got {
		p.t.Fatalf("%s (-want +got): %s", what, cmp.Diff(want, got))
	}
	return err == nil
}

// store is same, for what stores something in a repository.
func (p *pair) store(repo, what string, do func(r ociregistry.Interface) (string, error)) {
	if p.same(what, do) {
		p.stored[repo] = true
	}
}

// unknown reports whether an error says that something is not there.
func unknown(err error) bool {
	return errors.Is(err, ociregistry.ErrBlobUnknown) || errors.Is(err, ociregistry.ErrManifestUnknown) || errors.Is(err, ociregistry.ErrNameUnknown)
}

func (p *pair) pushBlob() {
	repo, content := p.repo(), p.content()
	wrong := rapid.IntRange(0, 3).Draw(p.t, "wrong") == 0
	p.store(repo, "push blob", func(r ociregistry.Interface) (string, error) {
		desc := descriptor(content)
		desc.Digest = p.digestOf(r, content)
		if wrong {
			desc.Digest = digest.FromString("wrong")
		}
		desc, err := r.PushBlob(ctx, repo, desc, strings.NewReader(content))
		return desc.Digest.String(), err
	})
}

func (p *pair) pushChunks() {
	repo, content := p.repo(), p.content()
	cut := rapid.IntRange(0, len(content)-1).Draw(p.t, "cut")
	skew := rapid.IntRange(0, 5).Draw(p.t, "skew") / 5
	p.store(repo, "push chunks", func(r ociregistry.Interface) (string, error) {
		w, err := r.PushBlobChunked(ctx, repo, 0)
		if err != nil {
			return "", err
		}
		if _, err := io.WriteString(w, content[:cut]); err != nil {
			return "", err
		}
		size := w.Size()
		if err := w.Close(); err != nil {
			return "", err
		}
		w, err = r.PushBlobChunkedResume(ctx, repo, w.ID(), size+int64(skew), 0)
		if err != nil {
			return "", err
		}
		defer w.Close()
		if _, err := io.WriteString(w, content[cut:]); err != nil {
			return "", err
		}
		desc, err := w.Commit(p.digestOf(r, content))
		if err != nil { // by HTTP, also of what was written before
			return "", err
		}
		return fmt.Sprint(desc), nil
	})
}

func (p *pair) mount() {
	from, to, content := p.repo(), p.repo(), p.content()
	p.store(to, "mount", func(r ociregistry.Interface) (string, error) {
		desc, err := r.MountBlob(ctx, from, to, p.digestOf(r, content))
		return desc.Digest.String(), err
	})
}

func (p *pair) pushImage() {
	repo, tag := p.repo(), ""
	image := rapid.SampledFrom(images).Draw(p.t, "image")
	if rapid.Bool().Draw(p.t, "tagged") {
		tag = p.tag()
	}
	p.store(repo, "push image", func(r ociregistry.Interface) (string, error) {
		desc, err := r.PushManifest(ctx, repo, tag, []byte(image), ociImage)
		return desc.Digest.String(), err
	})
}

func (p *pair) pushIndex() {
	repo, tag := p.repo(), p.tag()
	p.store(repo, "push index", func(r ociregistry.Interface) (string, error) {
		desc, err := r.PushManifest(ctx, repo, tag, []byte(index), ociIndex)
		return desc.Digest.String(), err
	})
}

func (p *pair) get() {
	repo, content, d, tag := p.repo(), p.content(), p.manifestDigest(), p.tag()
	p.same("get blob", func(r ociregistry.Interface) (string, error) {
		return readAll(r.GetBlob(ctx, repo, p.digestOf(r, content)))
	})
	p.same("get manifest", func(r ociregistry.Interface) (string, error) {
		return readAll(r.GetManifest(ctx, repo, d))
	})
	p.same("get tag", func(r ociregistry.Interface) (string, error) {
		return readAll(r.GetTag(ctx, repo, tag))
	})
	p.same("resolve", func(r ociregistry.Interface) (string, error) {
		desc, err := r.ResolveManifest(ctx, repo, d)
		return fmt.Sprint(desc.MediaType, desc.Digest, desc.Size), err
	})
}

func (p *pair) getRange() {
	repo, content := p.repo(), p.content()
	from := rapid.Int64Range(0, 6).Draw(p.t, "from")
	to := rapid.Int64Range(-1, 6).Draw(p.t, "to")
	p.same("range", func(r ociregistry.Interface) (string, error) {
		return readAll(r.GetBlobRange(ctx, repo, p.digestOf(r, content), from, to))
	})
}

func (p *pair) deleteBlob() {
	repo, content := p.repo(), p.content()
	p.same("delete blob", func(r ociregistry.Interface) (string, error) {
		return "", r.DeleteBlob(ctx, repo, p.digestOf(r, content))
	})
}

func (p *pair) deleteManifest() {
	repo, d := p.repo(), p.manifestDigest()
	p.same("delete manifest", func(r ociregistry.Interface) (string, error) {
		return "", r.DeleteManifest(ctx, repo, d)
	})
}

func (p *pair) deleteTag() {
	repo, tag := p.repo(), p.tag()
	p.same("delete tag", func(r ociregistry.Interface) (string, error) { return "", r.DeleteTag(ctx, repo, tag) })
}

// compareAll compares the lists of both.
func (p *pair) compareAll(*rapid.T) {
	p.same("repositories", func(r ociregistry.Interface) (string, error) {
		all, err := ociregistry.All(r.Repositories(ctx, ""))
		if err != nil {
			return "", err
		}
		rest, err := ociregistry.All(r.Repositories(ctx, "a-b"))
		failed := func(repo string) bool { return r == p.model && !p.stored[repo] }
		return fmt.Sprint(slices.DeleteFunc(all, failed), slices.DeleteFunc(rest, failed)), err
	})
	for _, repo := range []string{"a", "a/b"} {
		if !p.stored[repo] {
			continue
		}
		p.same("tags", func(r ociregistry.Interface) (string, error) {
			all, err := ociregistry.All(r.Tags(ctx, repo, ""))
			if err != nil {
				return "", err
			}
			rest, err := ociregistry.All(r.Tags(ctx, repo, "_x"))
			return fmt.Sprint(all, rest), err
		})
		p.same("referrers", func(r ociregistry.Interface) (string, error) {
			list, err := ociregistry.All(r.Referrers(ctx, repo, digest.FromString(images[0]), ""))
			return fmt.Sprint(list), err
		})
	}
}

func readAll(r ociregistry.BlobReader, err error) (string, error) {
	if err != nil {
		return "", err
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	return fmt.Sprint(r.Descriptor().MediaType, r.Descriptor().Digest, r.Descriptor().Size, string(data)), err
}
