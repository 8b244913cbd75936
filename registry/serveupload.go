package registry

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"cuelabs.dev/go/oci/ociregistry"
	"github.com/opencontainers/go-digest"

	"regcred.dev"
	"regcred.dev/token"
)

// startUpload mounts a blob, links one that its owner hosts, takes one whole, or
// begins an upload.
func (s *Server) startUpload(w http.ResponseWriter, r *http.Request, q request) error {
	query := r.URL.Query()
	if d := query.Get("mount"); d != "" {
		if owner := query.Get("url"); owner != "" {
			return s.link(w, r, q, digest.Digest(d), owner)
		}
		if done, err := s.mount(w, r, q, query.Get("from"), digest.Digest(d)); done || err != nil {
			return err
		}
	} else if d := query.Get("digest"); d != "" {
		return s.postBlob(w, r, q, digest.Digest(d))
	}
	return s.beginUpload(w, r, q, query.Get("digest-algorithm"))
}

// postBlob takes a blob that comes whole, without an upload before.
func (s *Server) postBlob(w http.ResponseWriter, r *http.Request, q request, d digest.Digest) error {
	desc := ociregistry.Descriptor{Digest: d, Size: r.ContentLength}
	stored, err := s.storage.pushStream(r.Context(), q.repo, desc, r.Body)
	if !stored && err == nil {
		_, err = s.storage.PushBlob(r.Context(), q.repo, desc, r.Body)
	}
	if err != nil {
		return err
	}
	blobCreated(w, q.repo, d)
	return nil
}

// beginUpload begins an upload, for a digest of an algorithm: SHA-256 if it is "".
func (s *Server) beginUpload(w http.ResponseWriter, r *http.Request, q request, algorithm string) error {
	a := digest.Algorithm(cmp.Or(algorithm, digest.SHA256.String()))
	if !known(a) {
		return ociregistry.NewError("this digest algorithm is not supported: use sha256 or sha512", ociregistry.ErrDigestInvalid.Code(), nil)
	}
	up, err := s.storage.beginUpload(r.Context(), q.repo, q.access.uploader(), a)
	if err != nil {
		return err
	}
	if err := up.Close(); err != nil {
		return err
	}
	w.Header()["OCI-Chunk-Min-Length"] = []string{strconv.Itoa(up.ChunkSize())}
	uploadState(w, q.repo, up, http.StatusAccepted)
	return nil
}

// mount links a blob of another repository, and reports whether it could. Where
// the login may not pull from there, or the blob is not there, the answer is the
// same: push it.
func (s *Server) mount(w http.ResponseWriter, r *http.Request, q request, from string, d digest.Digest) (bool, error) {
	if err := checkDigest(d); err != nil {
		return false, err
	}
	if !q.access.allows(from, token.Pull) {
		return false, nil
	}
	_, err := s.storage.MountBlob(r.Context(), from, q.repo, d)
	if isUnknown(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	blobCreated(w, q.repo, d)
	return true, nil
}

// link links a blob that its owner hosts. It is regcred's extension of a mount:
//
//	POST /v2/NAME/blobs/uploads/?mount=DIGEST&url=URL&size=BYTES
//
// Other registries do not know it: they begin an upload.
func (s *Server) link(w http.ResponseWriter, r *http.Request, q request, d digest.Digest, owner string) error {
	size, err := strconv.ParseInt(r.URL.Query().Get("size"), 10, 64)
	if err != nil || size < 0 {
		return regcred.Errorf(regcred.Invalid, "a blob that its owner hosts needs its size: add &size=BYTES")
	}
	u, err := parseOwnerURL(owner)
	if err != nil {
		return err
	}
	if err := s.checkOwner(u); err != nil {
		return err
	}
	if err := checkDigest(d); err != nil {
		return err
	}
	if err := s.allowed(r, q, q.repo+"@"+d.String()+" at "+u.Host); err != nil {
		return err
	}
	desc := ociregistry.Descriptor{MediaType: mediaTypeBlob, Digest: d, Size: size}
	if err := s.storage.LinkBlob(r.Context(), q.repo, desc, owner); err != nil {
		return err
	}
	blobCreated(w, q.repo, d)
	return nil
}

// uploadStatus tells how much of an upload has arrived.
func (s *Server) uploadStatus(w http.ResponseWriter, r *http.Request, q request) error {
	up, err := s.storage.PushBlobChunkedResume(r.Context(), q.repo, q.upload, -1, 0)
	if err != nil {
		return err
	}
	if err := up.Close(); err != nil {
		return err
	}
	uploadState(w, q.repo, up, http.StatusNoContent)
	return nil
}

// patchUpload appends to an upload. What arrived before a failure is kept.
func (s *Server) patchUpload(w http.ResponseWriter, r *http.Request, q request) error {
	up, err := s.openUpload(r, q)
	if err != nil {
		return err
	}
	if err := errors.Join(appendBody(up, r, q), up.Close()); err != nil {
		return err
	}
	uploadState(w, q.repo, up, http.StatusAccepted)
	return nil
}

// putUpload appends to an upload, and ends it.
func (s *Server) putUpload(w http.ResponseWriter, r *http.Request, q request) error {
	d := digest.Digest(r.URL.Query().Get("digest"))
	if err := checkDigest(d); err != nil {
		return err
	}
	up, err := s.openUpload(r, q)
	if err != nil {
		return err
	}
	defer up.Close()
	if err := s.endUpload(r, q, up, d); err != nil {
		return err
	}
	blobCreated(w, q.repo, d)
	return nil
}

// endUpload takes the rest of an upload and ends it. Where that is all of it, the
// storage may take it directly; the upload then was for nothing.
func (s *Server) endUpload(r *http.Request, q request, up ociregistry.BlobWriter, d digest.Digest) error {
	if up.Size() == 0 && r.ContentLength > 0 {
		stored, err := s.storage.pushStream(r.Context(), q.repo, ociregistry.Descriptor{Digest: d, Size: r.ContentLength}, r.Body)
		if stored || errors.Is(err, ociregistry.ErrDigestInvalid) {
			_ = up.Cancel() // else it goes with those that nobody went on with
		}
		if stored || err != nil {
			return err
		}
	}
	if err := appendBody(up, r, q); err != nil {
		return err
	}
	_, err := up.Commit(d)
	return err
}

// cancelUpload discards an upload.
func (s *Server) cancelUpload(w http.ResponseWriter, r *http.Request, q request) error {
	up, err := s.storage.PushBlobChunkedResume(r.Context(), q.repo, q.upload, -1, 0)
	if err != nil {
		return err
	}
	if err := up.Cancel(); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// openUpload goes on with an upload where the request does. The caller closes it.
func (s *Server) openUpload(r *http.Request, q request) (ociregistry.BlobWriter, error) {
	start, err := contentRange(r)
	if err != nil {
		return nil, err
	}
	up, err := s.storage.PushBlobChunkedResume(r.Context(), q.repo, q.upload, start, 0)
	if err != nil {
		return nil, err
	}
	if start >= 0 && start != up.Size() {
		_ = up.Close()
		return nil, ociregistry.ErrRangeInvalid
	}
	return up, nil
}

// appendBody writes the request's body to an upload.
func appendBody(up ociregistry.BlobWriter, r *http.Request, q request) error {
	if _, err := io.Copy(up, r.Body); err != nil {
		return fmt.Errorf("upload to %s: %w", q.repo, err)
	}
	return nil
}

// contentRange returns where a chunk begins by its header Content-Range, which
// the OCI distribution specification writes START-END, the end included; -1
// where there is none: the chunk then goes to the end. So does an empty chunk,
// whose range that form cannot say: clients that end an upload with one write
// N-(N-1).
func contentRange(r *http.Request) (int64, error) {
	header := r.Header.Get("Content-Range")
	if header == "" || r.ContentLength == 0 {
		return -1, nil
	}
	from, to, _ := strings.Cut(header, "-")
	start, err := strconv.ParseUint(from, 10, 63)
	end, err2 := strconv.ParseUint(to, 10, 63)
	if err != nil || err2 != nil || end < start {
		return 0, ociregistry.NewError("Content-Range has to be START-END, the end included", ociregistry.ErrBlobUploadInvalid.Code(), nil)
	}
	if r.ContentLength >= 0 && uint64(r.ContentLength) != end-start+1 {
		return 0, ociregistry.NewError("Content-Range and Content-Length do not agree", ociregistry.ErrSizeInvalid.Code(), nil)
	}
	return int64(start), nil
}

// uploadState answers with where an upload goes on. Range names the last byte
// that is there; of an empty upload it is 0-0.
func uploadState(w http.ResponseWriter, repo string, up ociregistry.BlobWriter, status int) {
	w.Header().Set("Location", "/v2/"+repo+"/blobs/uploads/"+up.ID())
	w.Header().Set("Range", "0-"+strconv.FormatInt(max(up.Size()-1, 0), 10))
	w.Header().Set("Docker-Upload-Uuid", up.ID())
	w.WriteHeader(status)
}

func blobCreated(w http.ResponseWriter, repo string, d digest.Digest) {
	created(w, "/v2/"+repo+"/blobs/"+d.String(), d)
}
