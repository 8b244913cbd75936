package registry

import (
	"iter"
	"net/http"
	"net/url"
	"strconv"

	"cuelabs.dev/go/oci/ociregistry"
)

// maxPage bounds how many names one answer lists; the Link header leads on.
const maxPage = 1000

// tags lists the tags of a repository.
func (s *Server) tags(w http.ResponseWriter, r *http.Request, q request) error {
	tags, err := page(w, r, s.storage.Tags(r.Context(), q.repo, r.URL.Query().Get("last")))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}{q.repo, tags})
}

// catalog lists the repositories that the caller may pull.
func (s *Server) catalog(w http.ResponseWriter, r *http.Request, q request) error {
	names, err := page(w, r, q.access.pullable(s.storage.Repositories(r.Context(), r.URL.Query().Get("last"))))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, struct {
		Repositories []string `json:"repositories"`
	}{names})
}

// page returns the first n names, n being asked for or maxPage, and sets the
// Link header where there are more.
func page(w http.ResponseWriter, r *http.Request, names iter.Seq2[string, error]) ([]string, error) {
	n, err := pageSize(r.URL.Query())
	if err != nil {
		return nil, err
	}
	list := []string{}
	for name, err := range names {
		if err != nil {
			return nil, err
		}
		if len(list) == n {
			if n > 0 {
				setNext(w, r, list[n-1])
			}
			break
		}
		list = append(list, name)
	}
	return list, nil
}

func pageSize(query url.Values) (int, error) {
	asked := query.Get("n")
	if asked == "" {
		return maxPage, nil
	}
	n, err := strconv.Atoi(asked)
	if err != nil || n < 0 {
		return 0, ociregistry.NewError("n has to be a number that is not negative", ociregistry.ErrUnsupported.Code(), nil)
	}
	return min(n, maxPage), nil
}

// setNext sets the Link header (RFC 8288) to the page after a name.
func setNext(w http.ResponseWriter, r *http.Request, last string) {
	query := r.URL.Query()
	query.Set("last", last)
	next := url.URL{Path: r.URL.Path, RawQuery: query.Encode()}
	w.Header().Set("Link", "<"+next.String()+`>; rel="next"`)
}
