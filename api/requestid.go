package api

import (
	"context"
	"crypto/rand"
	"net/http"
	"regexp"
)

// requestIDHeader is where Cloud Foundry's API says which request an answer is to.
const requestIDHeader = "X-Vcap-Request-Id"

// maxForeignID bounds what is taken over of a client's own id, in bytes.
const maxForeignID = 255

// foreignID is what is left out of a client's own id.
var foreignID = regexp.MustCompile(`[^A-Za-z0-9_-]`)

// newRequestID returns an id for a request. As in Cloud Foundry, the one that a router or
// client gave it already stands in front.
func newRequestID(r *http.Request) string {
	for _, header := range []string{requestIDHeader, "X-Request-Id"} {
		if id := foreignID.ReplaceAllString(r.Header.Get(header), ""); id != "" {
			return id[:min(len(id), maxForeignID)] + "::" + rand.Text()
		}
	}
	return rand.Text()
}

type requestIDKey struct{}

// identified returns the request with its id, which the answer has too.
func identified(w http.ResponseWriter, r *http.Request) *http.Request {
	id := newRequestID(r)
	w.Header().Set(requestIDHeader, id)
	return r.WithContext(context.WithValue(r.Context(), requestIDKey{}, id))
}

// requestID returns the id of a request, "" where it has none.
func requestID(r *http.Request) string {
	id, _ := r.Context().Value(requestIDKey{}).(string)
	return id
}
