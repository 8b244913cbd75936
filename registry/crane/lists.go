package crane

import (
	"bytes"
	_ "embed"
	"html/template"
	"mime"
	"net/http"
	"strings"
)

//go:embed repositories.html
var repositoriesHTML string

// repositoriesPage shows a list of repositories.
var repositoriesPage = template.Must(template.New("repositories").Parse(repositoriesHTML))

// v1Listed and v2Listed are a repository in the lists of Crane.
type v1Listed struct {
	ImageIDs  []string          `json:"image_ids"`
	Tags      map[string]string `json:"tags"`
	Protected bool              `json:"protected"`
}

type v2Listed struct {
	Protected bool `json:"protected"`
}

// serveLists answers /crane/repositories, /crane/repositories/v1 and
// /crane/repositories/v2 with the directory's repositories that the caller may pull,
// by name; whose login in our own registry is for all repositories sees all. Crane left
// it to the web server before it who sees them.
func (h *Handler) serveLists(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	protocol := "v1"
	switch r.URL.Path {
	case "/crane/repositories", "/crane/repositories/v1":
	case "/crane/repositories/v2":
		protocol = "v2"
	default:
		h.v1Error(w, r, errNotThere)
		return
	}
	switch {
	case !allows(w, r, readMethods):
		writeText(w, http.StatusMethodNotAllowed, http.StatusText(http.StatusMethodNotAllowed))
	case r.Method == http.MethodOptions:
		w.WriteHeader(http.StatusOK)
	default:
		if err := h.list(w, h.newCaller(r), protocol); err != nil {
			h.v1Error(w, r, err)
		}
	}
}

// list answers with the repositories of a protocol.
func (h *Handler) list(w http.ResponseWriter, c *caller, protocol string) error {
	visitor, err := c.visitor()
	if err != nil {
		return err
	}
	all := visitor.MayPullAll()
	sees := func(repo *repository) bool { return all || c.entitled.may(repo) }
	if protocol == "v1" {
		return writeList(w, c.r, protocol, listV1(c.set, sees))
	}
	return writeList(w, c.r, protocol, listV2(c.set, sees))
}

func listV1(s *set, sees func(*repository) bool) map[string]v1Listed {
	list := map[string]v1Listed{}
	for name, repo := range s.v1 {
		if sees(repo) {
			list[name] = v1Listed{ImageIDs: append([]string{}, repo.images...), Tags: repo.tags, Protected: repo.protected}
		}
	}
	return list
}

func listV2(s *set, sees func(*repository) bool) map[string]v2Listed {
	list := map[string]v2Listed{}
	for name, repo := range s.v2 {
		if sees(repo) {
			list[name] = v2Listed{Protected: repo.protected}
		}
	}
	return list
}

// writeList answers in JSON where that is asked for, else with a page.
func writeList(w http.ResponseWriter, r *http.Request, protocol string, list any) error {
	w.Header().Set("Vary", "Accept")
	if wantsJSON(r.Header) {
		return writeJSON(w, http.StatusOK, list)
	}
	var page bytes.Buffer
	if err := repositoriesPage.Execute(&page, map[string]any{"Protocol": protocol, "List": list}); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	_, _ = page.WriteTo(w) // it fails where the client went away
	return nil
}

// wantsJSON reports whether a client accepts JSON by name: browsers do not.
func wantsJSON(h http.Header) bool {
	for item := range strings.SplitSeq(strings.Join(h.Values("Accept"), ","), ",") {
		if t, _, err := mime.ParseMediaType(item); err == nil && t == "application/json" {
			return true
		}
	}
	return false
}
