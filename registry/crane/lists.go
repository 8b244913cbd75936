package crane

import (
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
// by name; those whom Options.ListAll knows see all. Crane left it to the web server
// before it who sees them.
func (h *Handler) serveLists(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	c := h.newCaller(r)
	sees := func(repo *repository) bool {
		return c.entitled.may(repo) || h.listAll != nil && h.listAll(r)
	}
	var list any
	protocol := "v1"
	switch r.URL.Path {
	case "/crane/repositories", "/crane/repositories/v1":
		list = listV1(c.set, sees)
	case "/crane/repositories/v2":
		list, protocol = listV2(c.set, sees), "v2"
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
		h.writeList(w, r, protocol, list)
	}
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
func (h *Handler) writeList(w http.ResponseWriter, r *http.Request, protocol string, list any) {
	w.Header().Set("Vary", "Accept")
	var err error
	if wantsJSON(r.Header) {
		err = writeJSON(w, http.StatusOK, list)
	} else {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
		err = repositoriesPage.Execute(w, struct {
			Protocol string
			List     any
		}{protocol, list})
	}
	if err != nil && r.Context().Err() == nil {
		h.log.Error("a list of repositories was not sent", "err", err)
	}
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
