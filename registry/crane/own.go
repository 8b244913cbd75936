package crane

import (
	"context"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"cuelabs.dev/go/oci/ociregistry"
	"github.com/opencontainers/go-digest"

	"regcred.dev"
	"regcred.dev/registry"
	"regcred.dev/registry/dockerv1"
)

// own is the tree of our own registry: the images that have a companion. Tags of all
// others are not of v1.
type own struct {
	server  *registry.Server
	storage *registry.Storage
	prints  *fingerprints
}

// mayPull returns errNotThere where the caller may not pull from a repository.
func (own) mayPull(c *caller, repo string) error {
	v, err := c.visitor()
	if err == nil && !v.MayPull(repo) {
		err = errNotThere
	}
	return err
}

func (t own) images(c *caller, repo string) ([]string, error) {
	ids := map[string]bool{}
	_, err := t.walk(c, repo, func(companion dockerv1.Companion) {
		for _, img := range companion.Images {
			ids[img.ID] = true
		}
	})
	return slices.Sorted(maps.Keys(ids)), err
}

func (t own) tags(c *caller, repo string) (map[string]string, error) {
	return t.walk(c, repo, func(dockerv1.Companion) {})
}

func (t own) tag(c *caller, repo, tag string) (string, error) {
	if err := t.mayPull(c, repo); err != nil {
		return "", err
	}
	desc, err := t.storage.ResolveTag(c.r.Context(), repo, tag)
	if err != nil {
		return "", thereOr(err)
	}
	companion, err := t.companionOf(c.r.Context(), repo, desc.Digest)
	return companion.ID(), err
}

func (own) token(c *caller, repo string) (regcred.Secret, error) {
	v, err := c.visitor()
	if err != nil {
		return regcred.Secret{}, err
	}
	return v.PullToken(time.Now(), repo)
}

// walk returns the ids of a repository's tags that have a companion, and shows each
// companion once: many tags may have the same.
func (t own) walk(c *caller, repo string, show func(dockerv1.Companion)) (map[string]string, error) {
	if err := t.mayPull(c, repo); err != nil {
		return nil, err
	}
	ctx := c.r.Context()
	tags, ids := map[string]string{}, map[digest.Digest]string{} // by manifest; "" without a companion
	for tag, err := range t.storage.Tags(ctx, repo, "") {
		if err != nil {
			return nil, thereOr(err)
		}
		desc, err := t.storage.ResolveTag(ctx, repo, tag)
		if err != nil {
			if err = thereOr(err); regcred.CodeOf(err) == regcred.NotFound {
				continue // deleted meanwhile
			}
			return nil, err
		}
		id, known := ids[desc.Digest]
		if !known {
			companion, err := t.companionOf(ctx, repo, desc.Digest)
			if err != nil && regcred.CodeOf(err) != regcred.NotFound {
				return nil, err
			}
			id = companion.ID()
			ids[desc.Digest] = id
			show(companion)
		}
		if id != "" {
			tags[tag] = id
		}
	}
	return tags, nil
}

// companionOf returns that of a manifest; errNotThere where there is none.
func (t own) companionOf(ctx context.Context, repo string, d digest.Digest) (dockerv1.Companion, error) {
	for referrer, err := range t.storage.Referrers(ctx, repo, d, dockerv1.ArtifactType) {
		if err != nil {
			return dockerv1.Companion{}, err
		}
		companion, err := t.companion(ctx, repo, referrer.Digest)
		if err == nil || regcred.CodeOf(err) != regcred.NotFound {
			return companion, err
		}
	}
	return dockerv1.Companion{}, errNotThere
}

// companion reads one; errNotThere where it was deleted, or is somebody's own making
// and no companion.
func (t own) companion(ctx context.Context, repo string, d digest.Digest) (dockerv1.Companion, error) {
	m, err := t.storage.GetManifest(ctx, repo, d)
	if err != nil {
		return dockerv1.Companion{}, thereOr(err)
	}
	defer m.Close()
	data, err := io.ReadAll(m)
	if err != nil {
		return dockerv1.Companion{}, err
	}
	companion, err := dockerv1.ParseCompanion(data)
	if err != nil {
		return dockerv1.Companion{}, errNotThere
	}
	return companion, nil
}

// thereOr returns errNotThere where an error of the storage says so.
func thereOr(err error) error {
	if _, status := ociregistry.MarshalError(err); status == http.StatusNotFound {
		return errNotThere
	}
	return err
}

// serve answers from a repository of the image's that the caller may pull: the one that
// the caller's token names, else any.
//
// The id of an image of v1 says nothing of its content: whoever may push somewhere can
// publish another one under the same. So where the repositories do not agree, and the
// caller does not say which is meant, none is served.
// Errors: Unavailable then.
func (t own) serve(w http.ResponseWriter, c *caller, id, file string) error {
	if dockerv1.CheckID(id) != nil {
		return errNotThere
	}
	var refs []registry.V1Ref
	for ref, err := range t.storage.V1Image(c.r.Context(), id) {
		if err == nil {
			err = t.mayPull(c, ref.Repository)
		}
		var from source
		if err == nil && ref.Repository == c.named {
			from, err = t.source(c.r.Context(), ref, id)
		}
		switch {
		case err != nil && regcred.CodeOf(err) == regcred.NotFound:
			continue
		case err != nil:
			return err
		case from.repo != "":
			return t.serveFrom(w, c, from, file)
		}
		refs = append(refs, ref)
	}
	from, err := t.agreed(c.r.Context(), refs, id)
	if err != nil {
		return err
	}
	return t.serveFrom(w, c, from, file)
}

// agreed returns an image that all of some repositories have. Errors: Unavailable where
// they have different ones; errNotThere.
func (t own) agreed(ctx context.Context, refs []registry.V1Ref, id string) (source, error) {
	var first registry.V1Ref
	var fp fingerprint
	for _, ref := range refs {
		next, err := t.fingerprint(ctx, ref, id)
		switch {
		case err != nil && regcred.CodeOf(err) == regcred.NotFound:
		case err != nil:
			return source{}, err
		case first.Repository == "":
			first, fp = ref, next
		case next != fp:
			return source{}, regcred.Errorf(regcred.Unavailable, "%s and %s have different images of the id %s, and the request does not say which is meant: delete the one that is wrong", first.Repository, ref.Repository, id)
		}
	}
	if first.Repository == "" {
		return source{}, errNotThere
	}
	return t.source(ctx, first, id)
}

// fingerprint returns that of an image of one repository.
func (t own) fingerprint(ctx context.Context, ref registry.V1Ref, id string) (fingerprint, error) {
	if fp, ok := t.prints.find(ref.Manifest, id); ok {
		return fp, nil
	}
	from, err := t.source(ctx, ref, id)
	if err != nil {
		return fingerprint{}, err
	}
	fp := from.fingerprint()
	t.prints.keep(ref.Manifest, id, fp)
	return fp, nil
}

// source is where an image of v1 is served from.
type source struct {
	repo     string // "" for none
	image    dockerv1.Image
	ancestry []string
}

// source reads an image of one repository.
func (t own) source(ctx context.Context, ref registry.V1Ref, id string) (source, error) {
	companion, err := t.companion(ctx, ref.Repository, ref.Manifest)
	if err != nil {
		return source{}, err
	}
	img, ok := companion.Image(id)
	if !ok {
		return source{}, errNotThere
	}
	return source{repo: ref.Repository, image: img, ancestry: companion.Ancestry(id)}, nil
}

// serveFrom answers with a file of an image in one repository.
func (t own) serveFrom(w http.ResponseWriter, c *caller, from source, file string) error {
	switch file {
	case "ancestry":
		return writeJSON(w, http.StatusOK, from.ancestry)
	case "json":
		return t.serveDocument(w, c, from.repo, from.image)
	}
	t.serveLayer(w, c, from.repo, from.image)
	return nil
}

// serveDocument answers with the JSON of an image, as it was exported. Docker reads
// from a header how large the layer is.
func (t own) serveDocument(w http.ResponseWriter, c *caller, repo string, img dockerv1.Image) error {
	blob, err := t.storage.GetBlob(c.r.Context(), repo, img.JSON.Digest)
	if err != nil {
		return thereOr(err)
	}
	defer blob.Close()
	data, err := io.ReadAll(io.LimitReader(blob, img.JSON.Size+1))
	if err != nil {
		return err
	}
	if img.JSON.Digest.Algorithm().FromBytes(data) != img.JSON.Digest {
		return regcred.Errorf(regcred.Corrupt, "the stored document of image %s in %s has another digest: publish it again", img.ID, repo)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Docker-Size", strconv.FormatInt(img.Layer.Size, 10))
	_, _ = w.Write(data) // it fails where the client went away
	return nil
}

// serveLayer answers as the registry does with the same blob by v2: ranges,
// redirects and statistics are all its own.
func (t own) serveLayer(w http.ResponseWriter, c *caller, repo string, img dockerv1.Image) {
	r := c.r.Clone(c.r.Context())
	r.URL = &url.URL{Path: "/v2/" + repo + "/blobs/" + img.Layer.Digest.String()}
	t.server.ServeHTTP(w, r)
}
