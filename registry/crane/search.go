package crane

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"regcred.dev"
)

// searchResult is one as "docker search" reads it.
type searchResult struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	IsOfficial  bool   `json:"is_official"`
	IsTrusted   bool   `json:"is_trusted"`
	StarCount   int    `json:"star_count"`
}

// v1Search answers with the repositories that the caller may pull and whose name
// contains what is asked for, in any case: /v1/search?q=TEXT, and with n=N no more
// than that.
func (h *Handler) v1Search(w http.ResponseWriter, c *caller) error {
	query := c.r.URL.Query()
	wanted := query.Get("q")
	if wanted == "" {
		return regcred.Errorf(regcred.Invalid, `parameter "q" is required`)
	}
	names, err := h.matches(c, strings.ToLower(wanted))
	if err != nil {
		return err
	}
	if n, err := strconv.Atoi(query.Get("n")); err == nil && n > 0 {
		names = names[:min(n, len(names))]
	}
	results := []searchResult{}
	for _, name := range names {
		results = append(results, searchResult{Name: name})
	}
	return writeJSON(w, http.StatusOK, struct {
		Query   string         `json:"query"`
		Count   int            `json:"num_results"`
		Results []searchResult `json:"results"`
	}{wanted, len(results), results})
}

// matches returns, sorted, the names that have a part. Of a name that both trees have,
// our own registry says whether the caller may see it. What the caller may pull by v2
// alone is among them: Docker searches by v1, whatever it then pulls by.
func (h *Handler) matches(c *caller, part string) ([]string, error) {
	visitor, err := c.visitor()
	if err != nil {
		return nil, err
	}
	found, own := []string{}, map[string]bool{}
	if h.storage != nil {
		for name, err := range h.storage.Repositories(c.r.Context(), "") {
			if err != nil {
				return nil, err
			}
			own[name] = true
			if visitor.MayPull(name) {
				found = append(found, name)
			}
		}
	}
	for name := range c.visible() {
		if !own[name] {
			found = append(found, name)
		}
	}
	found = slices.DeleteFunc(found, func(name string) bool { return !strings.Contains(strings.ToLower(name), part) })
	slices.Sort(found)
	return found, nil
}
