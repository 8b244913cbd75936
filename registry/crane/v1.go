package crane

import (
	"net/http"
	"slices"
	"strings"

	"regcred.dev"
	"regcred.dev/registry"
	"regcred.dev/registry/dockerv1"
)

// tree is where images of v1 are found. What the caller may not have is not there:
// all methods answer that with errNotThere.
type tree interface {
	// images returns the ids of a repository's images.
	images(c *caller, repo string) ([]string, error)
	// tags returns the ids of a repository's images by tag, tag that of one.
	tags(c *caller, repo string) (map[string]string, error)
	tag(c *caller, repo, tag string) (string, error)
	// token returns a Bearer token for pulling from a repository, if one is needed.
	token(c *caller, repo string) (regcred.Secret, error)
	// serve answers with a file of an image: ancestry, json or layer.
	serve(w http.ResponseWriter, c *caller, id, file string) error
}

// errNotThere is answered with the text that Crane had for it.
var errNotThere = regcred.Errorf(regcred.NotFound, "Not Found")

// serveV1 answers requests of the v1 protocol: Docker Registry 0.9's, of which the
// headers and texts are those of 0.6.6, as Crane's.
func (h *Handler) serveV1(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Docker-Registry-Version", "0.6.6")
	w.Header().Set("X-Docker-Registry-Config", "common")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	q, ok := parseV1(r.URL.Path)
	if !ok {
		h.v1Error(w, r, errNotThere)
		return
	}
	methods := readMethods
	if q.resource == v1Users {
		methods = append(slices.Clone(methods), http.MethodPost)
	}
	switch {
	case !allows(w, r, methods):
		writeText(w, http.StatusMethodNotAllowed, http.StatusText(http.StatusMethodNotAllowed))
	case r.Method == http.MethodOptions:
		w.WriteHeader(http.StatusOK)
	default:
		c := h.newCaller(r)
		if err := h.answerV1(w, c, q); err != nil {
			h.v1Error(w, r, refused(c, err))
		}
	}
}

// refused is the answer where nothing was found: that the login is not valid, where
// that may be why.
func refused(c *caller, err error) error {
	if regcred.CodeOf(err) == regcred.NotFound {
		if _, invalid := c.login(); invalid != nil {
			return invalid
		}
	}
	return err
}

func (h *Handler) answerV1(w http.ResponseWriter, c *caller, q v1Request) error {
	switch q.resource {
	case v1Ping:
		w.Header().Set("X-Docker-Registry-Standalone", "True")
		return writeJSON(w, http.StatusOK, true)
	case v1Users:
		return h.v1Users(w, c)
	case v1Search:
		return h.v1Search(w, c)
	case v1File:
		return h.v1File(w, c, q)
	}
	t, err := h.treeOf(c, q.repo)
	if err != nil {
		return err
	}
	switch q.resource {
	case v1Images:
		return h.v1Images(w, c, t, q.repo)
	case v1Tags:
		tags, err := t.tags(c, q.repo)
		if err != nil {
			return err
		}
		return writeJSON(w, http.StatusOK, tags)
	}
	id, err := t.tag(c, q.repo, q.tag)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, id)
}

// treeOf returns where a repository is looked for.
func (h *Handler) treeOf(c *caller, repo string) (tree, error) {
	if h.storage != nil {
		if own, err := h.storage.HasManifests(c.r.Context(), repo); own || err != nil {
			return h.own(), err
		}
	}
	return h.redirects(), nil
}

func (h *Handler) own() own { return own{h.server, h.storage, &h.prints} }

func (h *Handler) redirects() redirects { return redirects{h.metrics} }

// v1Users answers "docker login". Nobody is ever made: logins come from regcred.
func (h *Handler) v1Users(w http.ResponseWriter, c *caller) error {
	w.Header().Set("X-Docker-Registry-Standalone", "True")
	if c.r.Method == http.MethodPost {
		return writeJSON(w, http.StatusCreated, "User Created")
	}
	if _, err := c.login(); err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, "OK")
}

// v1Images answers with the images of a repository, and with a token for them to
// whom asks for one. Clients ask here first.
func (h *Handler) v1Images(w http.ResponseWriter, c *caller, t tree, repo string) error {
	ids, err := t.images(c, repo)
	if err != nil {
		return err
	}
	if strings.EqualFold(c.r.Header.Get("X-Docker-Token"), "true") {
		bearer, err := t.token(c, repo)
		if err != nil {
			return err
		}
		if !bearer.IsZero() {
			w.Header().Set("X-Docker-Token", v1Token(bearer, repo))
			w.Header().Set("Cache-Control", "no-store")
		}
	}
	w.Header().Set("X-Docker-Endpoints", h.endpointFor(c.r))
	type image struct {
		ID string `json:"id"`
	}
	list := []image{}
	for _, id := range ids {
		list = append(list, image{id})
	}
	return writeJSON(w, http.StatusOK, list)
}

// endpointFor returns the host that a client is told to go on with.
func (h *Handler) endpointFor(r *http.Request) string {
	if h.endpoint != "" {
		return h.endpoint
	}
	return r.Host
}

// v1File answers with a file of an image, from the tree that has it. What the operator's
// directory says of an image counts for more than what anybody pushed to another
// repository: ours answers for its images where one of their repositories moved over.
func (h *Handler) v1File(w http.ResponseWriter, c *caller, q v1Request) error {
	if h.storage == nil {
		return h.redirects().serve(w, c, q.id, q.file)
	}
	theirs, err := h.isRedirected(c, q.id)
	if err != nil {
		return err
	}
	if !theirs {
		err := h.own().serve(w, c, q.id, q.file)
		if regcred.CodeOf(err) != regcred.NotFound || err == nil {
			return err
		}
	}
	return h.redirects().serve(w, c, q.id, q.file)
}

// isRedirected reports whether the directory has an image in a repository that the
// caller may have, and our own registry has it neither in one of those that list it nor
// in the one that the caller names.
func (h *Handler) isRedirected(c *caller, id string) (bool, error) {
	theirs, names := false, map[string]bool{c.named: true}
	for _, repo := range c.set.images[id] {
		names[repo.name] = true
		theirs = theirs || c.entitled.may(repo)
	}
	if !theirs || dockerv1.CheckID(id) != nil { // which ours never has
		return theirs, nil
	}
	for ref, err := range h.storage.V1Image(c.r.Context(), id) {
		if err != nil || names[ref.Repository] {
			return false, err
		}
	}
	return true, nil
}

// v1Error answers with an error, as text.
func (h *Handler) v1Error(w http.ResponseWriter, r *http.Request, err error) {
	status := h.status(r, err)
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="regcred"`)
	}
	writeText(w, status, registry.ClientMessage(err))
}
