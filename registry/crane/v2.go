package crane

import (
	"net/http"
	"strings"
	"time"

	"cuelabs.dev/go/oci/ociregistry"

	"regcred.dev/registry"
)

// keywords end a repository's name in a path of v2: the rightmost does.
var keywords = map[string]bool{"tags": true, "manifests": true, "blobs": true}

// splitV2 splits a path of v2 into the name of a repository and what comes after it. It
// reports false for a path of another form, or one that could lead out of the
// repository's URL: a token of the CDN would be good for what is there.
func splitV2(path string) (name, rest string, ok bool) {
	path, _ = strings.CutPrefix(path, "/v2/")
	segments := strings.Split(path, "/")
	keyword := 0
	for i, s := range segments {
		if !isSegment(s) {
			return "", "", false
		}
		if keywords[s] {
			keyword = i
		}
	}
	return strings.Join(segments[:keyword], "/"), strings.Join(segments[keyword:], "/"), keyword > 0
}

// serveV2 answers requests for what the directory has by redirects, and leaves all
// others to our own registry. What is protected from a caller is, to them, not there.
func (h *Handler) serveV2(w http.ResponseWriter, r *http.Request) {
	name, rest, ok := splitV2(r.URL.Path)
	if !ok || h.directory.set.Load().v2[name] == nil { // most requests, where there is our own registry
		h.nextV2(w, r)
		return
	}
	c := h.newCaller(r)
	repo := c.set.v2[name]
	if repo == nil || !c.entitled.may(repo) {
		h.nextV2(w, r)
		return
	}
	own, err := h.isOwn(c, name, rest)
	switch {
	case err != nil:
		h.v2Error(w, h.status(r, err), "UNKNOWN", registry.ClientMessage(err))
	case own:
		h.nextV2(w, r)
	default:
		h.redirectV2(w, r, repo, rest)
	}
}

// isOwn reports whether a request for a repository of the directory is for our own
// registry: where that has images of the name, and whatever is part of a push there.
// Clients that push ask by HEAD for blobs that they need not send.
func (h *Handler) isOwn(c *caller, name, rest string) (bool, error) {
	if h.server == nil {
		return false, nil
	}
	reads := c.r.Method == http.MethodGet || c.r.Method == http.MethodHead || c.r.Method == http.MethodOptions
	if !reads || strings.HasPrefix(rest, "blobs/uploads") {
		return true, nil
	}
	if c.r.Method == http.MethodHead && strings.HasPrefix(rest, "blobs/") {
		v, err := c.visitor()
		if err != nil || v.MayPush(name) {
			return true, err
		}
	}
	return h.storage.HasManifests(c.r.Context(), name)
}

// redirectV2 sends the client to a file of a repository.
func (h *Handler) redirectV2(w http.ResponseWriter, r *http.Request, repo *repository, rest string) {
	commonV2(w)
	file, ok := repo.file(rest, accepted(r.Header))
	switch {
	case !h.readsV2(w, r):
	case !ok:
		h.v2Error(w, http.StatusNotFound, ociregistry.ErrManifestUnknown.Code(), "this path names no manifest")
	default:
		kind, _, _ := strings.Cut(rest, "/")
		h.metrics.redirected(repo, kind)
		to := h.rewriter.rewrite(time.Now(), repo.url+file)
		http.Redirect(w, r, to, http.StatusFound) //nolint:gosec // splitV2 sees to it that it stays below the repository's URL
	}
}

// nextV2 answers what the directory does not.
func (h *Handler) nextV2(w http.ResponseWriter, r *http.Request) {
	if h.server != nil {
		h.server.ServeHTTP(w, r)
		return
	}
	commonV2(w)
	switch {
	case !h.readsV2(w, r):
	case r.URL.Path == "/v2" || r.URL.Path == "/v2/":
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte("{}")) // it fails where the client went away
	default:
		h.v2Error(w, http.StatusNotFound, ociregistry.ErrNameUnknown.Code(), "there is no such repository")
	}
}

func commonV2(w http.ResponseWriter) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	w.Header().Set("X-Content-Type-Options", "nosniff")
}

// readsV2 reports whether a request is to be answered with content; else it answers.
func (h *Handler) readsV2(w http.ResponseWriter, r *http.Request) bool {
	switch {
	case !allows(w, r, readMethods):
		h.v2Error(w, http.StatusMethodNotAllowed, ociregistry.ErrUnsupported.Code(), "this registry is for reading only")
	case r.Method == http.MethodOptions:
		w.WriteHeader(http.StatusOK)
	default:
		return true
	}
	return false
}

// v2Error answers in the JSON of the OCI distribution specification.
func (h *Handler) v2Error(w http.ResponseWriter, status int, code, message string) {
	type wireError struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	if err := writeJSON(w, status, map[string][]wireError{"errors": {{code, message}}}); err != nil {
		h.log.Error("an error was not sent", "err", err)
	}
}
