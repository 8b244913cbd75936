package crane

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"

	"regcred.dev"
)

// readMethods are those of all that can be read.
var readMethods = []string{http.MethodHead, http.MethodOptions, http.MethodGet}

// allows reports whether a method is one of some; where it is OPTIONS, or none, the
// answer's header says which they are.
func allows(w http.ResponseWriter, r *http.Request, methods []string) bool {
	ok := slices.Contains(methods, r.Method)
	if !ok || r.Method == http.MethodOptions {
		w.Header().Set("Allow", strings.Join(methods, ", "))
	}
	return ok
}

// writeJSON answers with a value.
func writeJSON(w http.ResponseWriter, status int, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(data) // it fails where the client went away
	return nil
}

// writeText answers with a text.
func writeText(w http.ResponseWriter, status int, s string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, s) //nolint:gosec // as plain text; it fails where the client went away
}

// status returns that of an answer with an error. Faults of the server are logged.
func (h *Handler) status(r *http.Request, err error) int {
	switch regcred.CodeOf(err) {
	case regcred.NotFound:
		return http.StatusNotFound
	case regcred.Invalid:
		return http.StatusBadRequest
	case regcred.Unauthenticated:
		return http.StatusUnauthorized
	}
	h.log.Error("a request failed", "method", r.Method, "path", r.URL.Path, "err", err)
	if regcred.CodeOf(err) == regcred.Unavailable {
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}
