package crane

import (
	"context"
	"io"
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
	companions, err := t.companions(c, repo)
	if err != nil {
		return nil, err
	}
	var ids []string
	seen := map[string]bool{}
	for _, companion := range companions {
		for _, img := range companion.Images {
			if !seen[img.ID] {
				seen[img.ID] = true
				ids = append(ids, img.ID)
			}
		}
	}
	slices.Sort(ids)
	return ids, nil
}

func (t own) tags(c *caller, repo string) (map[string]string, error) {
	companions, err := t.companions(c, repo)
	if err != nil {
		return nil, err
	}
	tags := map[string]string{}
	for tag, companion := range companions {
		tags[tag] = companion.ID()
	}
	return tags, nil
}

func (t own) tag(c *caller, repo, tag string) (string, error) {
	if err := t.mayPull(c, repo); err != nil {
		return "", err
	}
	companion, err := t.companionOf(c.r.Context(), repo, tag)
	if err != nil {
		return "", err
	}
	return companion.ID(), nil
}

func (own) token(c *caller, repo string) (regcred.Secret, error) {
	v, err := c.visitor()
	if err != nil {
		return regcred.Secret{}, err
	}
	return v.PullToken(time.Now(), repo)
}

// companions returns those of a repository's tags that have one.
func (t own) companions(c *caller, repo string) (map[string]dockerv1.Companion, error) {
	if err := t.mayPull(c, repo); err != nil {
		return nil, err
	}
	ctx := c.r.Context()
	list := map[string]dockerv1.Companion{}
	for tag, err := range t.storage.Tags(ctx, repo, "") {
		if err != nil {
			return nil, thereOr(err)
		}
		companion, err := t.companionOf(ctx, repo, tag)
		if regcred.CodeOf(err) == regcred.NotFound {
			continue
		}
		if err != nil {
			return nil, err
		}
		list[tag] = companion
	}
	return list, nil
}

// companionOf returns that of a tag's manifest; errNotThere where there is none.
func (t own) companionOf(ctx context.Context, repo, tag string) (dockerv1.Companion, error) {
	desc, err := t.storage.ResolveTag(ctx, repo, tag)
	if err != nil {
		return dockerv1.Companion{}, thereOr(err)
	}
	for referrer, err := range t.storage.Referrers(ctx, repo, desc.Digest, dockerv1.ArtifactType) {
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

// serve answers from the first of the image's repositories that the caller may pull.
func (t own) serve(w http.ResponseWriter, c *caller, id, file string) error {
	if dockerv1.CheckID(id) != nil {
		return errNotThere
	}
	for ref, err := range t.storage.V1Image(c.r.Context(), id) {
		if err == nil {
			err = t.mayPull(c, ref.Repository)
		}
		if err == nil {
			err = t.serveFrom(w, c, ref, id, file)
		}
		if err == nil || regcred.CodeOf(err) != regcred.NotFound {
			return err
		}
	}
	return errNotThere
}

// serveFrom answers with a file of an image in one repository.
func (t own) serveFrom(w http.ResponseWriter, c *caller, ref registry.V1Ref, id, file string) error {
	companion, err := t.companion(c.r.Context(), ref.Repository, ref.Manifest)
	if err != nil {
		return err
	}
	img, ok := companion.Image(id)
	switch {
	case !ok:
		return errNotThere
	case file == "ancestry":
		return writeJSON(w, http.StatusOK, companion.Ancestry(id))
	case file == "json":
		return t.serveDocument(w, c, ref.Repository, img)
	}
	t.serveLayer(w, c, ref.Repository, img)
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
