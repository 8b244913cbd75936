package registry

import (
	"bytes"
	"cmp"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"cuelabs.dev/go/oci/ociregistry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"regcred.dev"
)

// getBlob answers GET and HEAD, ranges included.
func (s *Server) getBlob(w http.ResponseWriter, r *http.Request, q request) error {
	b, err := s.storage.recallBlob(r.Context(), q.repo, q.digest)
	switch {
	case err != nil:
		return s.pushAgain(r, err, ociregistry.ErrBlobUnknown)
	case b.URL != "":
		return s.serveLinked(w, r, b)
	case s.redirect.Enabled && r.Method == http.MethodGet:
		to, err := s.storage.locate(r.Context(), b.Digest, s.redirect.Lifetime)
		if err != nil {
			return err
		}
		redirect(w, b, to)
		return nil
	}
	object, err := s.storage.openBlob(r.Context(), q.repo, b)
	if err != nil {
		return s.pushAgain(r, err, ociregistry.ErrBlobUnknown)
	}
	defer object.Close()
	serveContent(w, r, b.Descriptor, object.ReadSeekCloser)
	return nil
}

// getManifest answers GET and HEAD.
func (s *Server) getManifest(w http.ResponseWriter, r *http.Request, q request) error {
	m, content, err := s.findManifest(r, q)
	if err != nil {
		return s.pushAgain(r, err, ociregistry.ErrManifestUnknown)
	}
	serveManifest(w, r, m, content)
	return nil
}

// findManifest finds the manifest that a request names. Where it asks by HEAD, which
// may be whether to push it, all that it rests upon is looked at again.
func (s *Server) findManifest(r *http.Request, q request) (*heldManifest, *manifestContent, error) {
	ctx := r.Context()
	if q.tag == "" {
		return s.storage.recallManifest(ctx, q.repo, q.digest)
	}
	t, err := s.storage.recallTag(ctx, q.repo, q.tag)
	switch {
	case err != nil:
		return nil, nil, err
	case r.Method == http.MethodHead:
		return s.storage.recallManifest(ctx, q.repo, t.digest)
	}
	return s.storage.recallTagged(ctx, q.repo, t)
}

// serveManifest sends a manifest. Where nothing but all of it was asked for, it goes
// out with the header in one write, which http.ServeContent does not do.
func serveManifest(w http.ResponseWriter, r *http.Request, m *heldManifest, content *manifestContent) {
	h := w.Header()
	maps.Copy(h, m.header)
	if r.Method != http.MethodGet || isConditional(r.Header) {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content.data))
		return
	}
	h["Content-Length"] = content.length
	_, _ = w.Write(content.data) //nolint:gosec // sent as what it is; it fails where the client went away
}

// isConditional reports whether a request has a condition or asks for a range (RFC
// 9110, sections 13.1 and 14.2).
func isConditional(h http.Header) bool {
	for _, name := range []string{"Range", "If-None-Match", "If-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range"} {
		if h[name] != nil {
			return true
		}
	}
	return false
}

// pushAgain returns the answer to a request for content that cannot be had. By HEAD
// clients ask whether they have to push: what is lost or damaged is then unknown, so
// that they do, which repairs it. The damage is logged.
func (s *Server) pushAgain(r *http.Request, err, unknown error) error {
	if r.Method != http.MethodHead || regcred.CodeOf(err) != regcred.Corrupt {
		return err
	}
	s.log.Error("stored content of the registry is damaged", "path", r.URL.Path, "err", err)
	return unknown
}

// serveContent sends content by its digest, which is also its entity tag.
func serveContent(w http.ResponseWriter, r *http.Request, desc ociregistry.Descriptor, content io.ReadSeeker) {
	describeContent(w.Header(), desc)
	http.ServeContent(w, r, "", time.Time{}, content)
}

// serveHead answers HEAD for content that is not here.
func serveHead(w http.ResponseWriter, desc ociregistry.Descriptor) {
	describeContent(w.Header(), desc)
	w.Header().Set("Content-Length", strconv.FormatInt(desc.Size, 10))
	w.WriteHeader(http.StatusOK)
}

func describeContent(h http.Header, desc ociregistry.Descriptor) {
	h.Set("Content-Type", desc.MediaType)
	h.Set("Docker-Content-Digest", desc.Digest.String())
	h.Set("Etag", `"`+desc.Digest.String()+`"`)
}

// putManifest stores a manifest: under a tag, by its digest alone, or by its digest
// and with tags in the query (?tag=A&tag=B).
func (s *Server) putManifest(w http.ResponseWriter, r *http.Request, q request) error {
	if r.ContentLength > MaxSmall {
		return errManifestTooLarge
	}
	data, err := io.ReadAll(io.LimitReader(r.Body, MaxSmall+1))
	if err != nil {
		return err
	}
	if len(data) > MaxSmall {
		return errManifestTooLarge
	}
	d, tags, err := manifestNames(r.URL.Query(), q, data)
	if err != nil {
		return err
	}
	if err := s.allowed(r, q, pushedAs(q.repo, d, tags)); err != nil {
		return err
	}
	desc, err := s.storage.PushManifestAs(r.Context(), q.repo, d, tags, data, mediaTypeOf(r.Header.Get("Content-Type"), data))
	if err != nil {
		return err
	}
	var m struct {
		Subject *struct {
			Digest digest.Digest `json:"digest"`
		} `json:"subject"`
	} // and nothing else, of what may be large
	if err := json.Unmarshal(data, &m); err == nil && m.Subject != nil {
		w.Header().Set("OCI-Subject", m.Subject.Digest.String())
	}
	if q.tag == "" && len(tags) > 0 {
		w.Header()["OCI-Tag"] = []string{strings.Join(tags, ", ")}
	}
	created(w, "/v2/"+q.repo+"/manifests/"+cmp.Or(q.tag, desc.Digest.String()), desc.Digest)
	return nil
}

// maxTags bounds how many tags one request may set.
const maxTags = 100

// manifestNames returns the digest that a manifest is pushed by, and its tags. One
// that is pushed to a tag may have its digest in the query (?digest=), which is
// how clients say that it is not a SHA-256.
func manifestNames(query url.Values, q request, data []byte) (digest.Digest, []string, error) {
	switch asked := query.Get("digest"); {
	case q.digest != "":
		tags := query["tag"]
		if len(tags) > maxTags {
			return "", nil, errTooManyTags
		}
		return q.digest, tags, nil
	case asked != "":
		return digest.Digest(asked), []string{q.tag}, nil
	}
	return digest.FromBytes(data), []string{q.tag}, nil
}

var errTooManyTags = regcred.Errorf(regcred.Invalid, "a request may set %d tags at most: send the others in another one", maxTags)

// created answers 201.
func created(w http.ResponseWriter, location string, d digest.Digest) {
	w.Header().Set("Location", location)
	w.Header().Set("Docker-Content-Digest", d.String())
	w.WriteHeader(http.StatusCreated)
}

// deleteManifest removes a tag, or a manifest with its tags.
func (s *Server) deleteManifest(w http.ResponseWriter, r *http.Request, q request) error {
	var err error
	if q.tag != "" {
		err = s.storage.DeleteTag(r.Context(), q.repo, q.tag)
	} else {
		err = s.storage.DeleteManifest(r.Context(), q.repo, q.digest)
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func (s *Server) deleteBlob(w http.ResponseWriter, r *http.Request, q request) error {
	if err := s.storage.DeleteBlob(r.Context(), q.repo, q.digest); err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// referrersPage bounds an answer about referrers, in bytes of JSON: they carry
// annotations, which may be long.
const referrersPage = 4 << 20

// referrers answers with an index of the manifests that refer to one.
func (s *Server) referrers(w http.ResponseWriter, r *http.Request, q request) error {
	query := r.URL.Query()
	artifactType, last := query.Get("artifactType"), digest.Digest(query.Get("last"))
	list := []json.RawMessage{}
	size := 0
	for desc, err := range s.storage.ReferrersAfter(r.Context(), q.repo, q.digest, artifactType, last) {
		if err != nil {
			return err
		}
		data, err := json.Marshal(desc)
		if err != nil {
			return err
		}
		if len(list) > 0 && (len(list) == maxPage || size+len(data) > referrersPage) {
			setNext(w, r, lastDigest(list))
			break
		}
		list = append(list, data)
		size += len(data)
	}
	if artifactType != "" {
		w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	data, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageIndex, "manifests": list,
	})
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
	_, _ = w.Write(data)
	return nil
}

// lastDigest returns the digest of the last of some descriptors.
func lastDigest(list []json.RawMessage) string {
	var desc ociregistry.Descriptor
	_ = json.Unmarshal(list[len(list)-1], &desc) // it was just marshalled
	return desc.Digest.String()
}
