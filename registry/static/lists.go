package static

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"cuelabs.dev/go/oci/ociregistry"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"regcred.dev"
	"regcred.dev/registry"
)

const (
	// changes is how often a change is tried while others are faster.
	changes = 30
	// firstWait is the longest wait before the second try. It doubles, up to maxWait.
	firstWait = 10 * time.Millisecond
	maxWait   = time.Second
)

// change has an object be what next makes of it, nil where there is none, also while
// others change it. Where next returns nil nothing is written.
func (r *Registry) change(ctx context.Context, key, contentType string, next func(old []byte) ([]byte, error)) error {
	wait := firstWait
	for try := 1; ; try++ {
		err := r.changeOnce(ctx, key, contentType, next)
		code := regcred.CodeOf(err)
		if err == nil || code != regcred.Exists && code != regcred.Stale {
			return err
		}
		if try == changes {
			return regcred.Errorf(regcred.Unavailable, "%s was changed by others each of the %d times that it was to be changed: publish again", key, changes)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(rand.N(wait)):
		}
		wait = min(2*wait, maxWait)
	}
}

func (r *Registry) changeOnce(ctx context.Context, key, contentType string, next func(old []byte) ([]byte, error)) error {
	condition := registry.IfAbsent
	old, version, err := r.objects.Read(ctx, key)
	switch {
	case err == nil:
		condition = registry.IfVersion(version)
	case regcred.CodeOf(err) != regcred.NotFound:
		return err
	}
	data, err := next(old)
	if err != nil || data == nil {
		return err
	}
	return r.objects.Put(ctx, key, contentType, briefly, data, condition)
}

// tagList is the answer to GET /v2/NAME/tags/list.
type tagList struct {
	Name string   `json:"name"`
	Tags []string `json:"tags"`
}

// list has a tag be in tags/list.
func (r *Registry) list(ctx context.Context, repo, tag string) error {
	return r.change(ctx, tagsKey(repo), typeJSON, func(old []byte) ([]byte, error) {
		return addTag(repo, old, tag)
	})
}

// addTag returns a list of tags with one more in it, nil where it is there already.
func addTag(repo string, old []byte, tag string) ([]byte, error) {
	l := tagList{Name: repo}
	if err := decode(tagsKey(repo), old, &l); err != nil {
		return nil, err
	}
	if slices.Contains(l.Tags, tag) {
		return nil, nil
	}
	l.Tags = append(l.Tags, tag)
	slices.Sort(l.Tags)
	return json.Marshal(l)
}

// decode reads a document that a publisher has written, unless there is none.
func decode(key string, data []byte, v any) error {
	if data == nil {
		return nil
	}
	if err := json.Unmarshal(data, v); err != nil {
		return regcred.Errorf(regcred.Corrupt, "%s is damaged: %w", key, err)
	}
	return nil
}

// artifact is what of a manifest a list of artifacts says.
type artifact struct {
	ArtifactType string              `json:"artifactType"`
	Config       ocispec.Descriptor  `json:"config"`
	Subject      *ocispec.Descriptor `json:"subject"`
	Annotations  map[string]string   `json:"annotations"`
}

// refer lists a manifest that has a subject under the tag of that: "Referrers Tag Schema"
// and "Listing Referrers" of the OCI distribution specification 1.1.
func (r *Registry) refer(ctx context.Context, repo string, desc ociregistry.Descriptor, contents []byte) error {
	var a artifact
	if err := json.Unmarshal(contents, &a); err != nil {
		return regcred.Errorf(regcred.Invalid, "manifest %s is no JSON: %w", desc.Digest, err)
	}
	if a.Subject == nil {
		return nil
	}
	if err := checkDigest(a.Subject.Digest); err != nil {
		return fmt.Errorf("the subject of manifest %s: %w", desc.Digest, err)
	}
	desc.ArtifactType, desc.Annotations = a.ArtifactType, a.Annotations
	if desc.ArtifactType == "" {
		desc.ArtifactType = a.Config.MediaType
	}
	tag := referrersTag(a.Subject.Digest)
	key := manifestKey(repo, tag)
	err := r.change(ctx, key, ocispec.MediaTypeImageIndex, func(old []byte) ([]byte, error) {
		index, err := addReferrer(key, old, desc)
		if err != nil || index == nil {
			return nil, err
		}
		of := ociregistry.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: digest.FromBytes(index), Size: int64(len(index))}
		return index, r.putManifest(ctx, repo, of, index)
	})
	if err != nil {
		return err
	}
	return r.list(ctx, repo, tag)
}

// referrersTag returns the tag of the index of all that is about a digest. The
// specification bounds its two parts to 32 and 64 bytes.
func referrersTag(d digest.Digest) string {
	algorithm, hex := d.Algorithm().String(), d.Encoded()
	return algorithm[:min(len(algorithm), 32)] + "-" + hex[:min(len(hex), 64)]
}

// addReferrer returns an index with a manifest in it, nil where it is there already.
func addReferrer(key string, old []byte, desc ociregistry.Descriptor) ([]byte, error) {
	index := ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex,
	}
	if err := decode(key, old, &index); err != nil {
		return nil, err
	}
	if index.MediaType != ocispec.MediaTypeImageIndex {
		return nil, regcred.Errorf(regcred.Invalid, "%s is no index of artifacts, but of the type %.100q: give that image another tag", key, index.MediaType)
	}
	if slices.ContainsFunc(index.Manifests, func(m ocispec.Descriptor) bool { return m.Digest == desc.Digest }) {
		return nil, nil
	}
	index.Manifests = append(index.Manifests, desc)
	return json.Marshal(index)
}
