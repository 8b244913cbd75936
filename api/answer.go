package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"

	"regcred.dev"
	"regcred.dev/client"
)

// An answer is what an operation returns: a status, where to look for more unless that
// is "", and a body that is encoded as JSON unless it is nil.
type answer struct {
	status   int
	location string
	body     any
}

func (h *handler) write(w http.ResponseWriter, r *http.Request, a answer) {
	var data bytes.Buffer
	if a.body != nil {
		// Marshal would copy a page of thousands once more.
		if err := json.NewEncoder(&data).Encode(a.body); err != nil {
			h.fail(w, r, err)
			return
		}
	}
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	if data.Len() > 0 {
		header.Set("Content-Type", "application/json")
	}
	if a.location != "" {
		header.Set("Location", a.location)
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(data.Bytes())
}

// errorKinds are the statuses, codes and titles of Cloud Foundry's API v3, and of
// regcred's own (from 390000) where that has none.
var errorKinds = map[regcred.Code]struct {
	status, code int
	title        string
}{
	regcred.Invalid:         {http.StatusUnprocessableEntity, 10008, "CF-UnprocessableEntity"},
	regcred.Exists:          {http.StatusUnprocessableEntity, 10008, "CF-UnprocessableEntity"},
	regcred.Unauthenticated: {http.StatusUnauthorized, 10002, "CF-NotAuthenticated"},
	regcred.Denied:          {http.StatusForbidden, 10003, "CF-NotAuthorized"},
	regcred.NotFound:        {http.StatusNotFound, 10010, "CF-ResourceNotFound"},
	regcred.ReadOnly:        {http.StatusConflict, 390001, "Regcred-ReadOnly"},
	regcred.Stale:           {http.StatusConflict, 390002, "Regcred-Stale"},
	regcred.Held:            {http.StatusConflict, 390003, "Regcred-Held"},
	regcred.TooLarge:        {http.StatusRequestEntityTooLarge, 390004, "Regcred-TooLarge"},
	regcred.Unavailable:     {http.StatusServiceUnavailable, 390005, "Regcred-Unavailable"},
	regcred.Throttled:       {http.StatusServiceUnavailable, 390007, "Regcred-Throttled"},
	regcred.Corrupt:         {http.StatusInternalServerError, 390006, "Regcred-Corrupt"},
	regcred.Internal:        {http.StatusInternalServerError, 10001, "UnknownError"},
}

// requestError is a request that could not be understood at all.
type requestError struct {
	status int
	code   int
	title  string
	detail string
}

func (e *requestError) Error() string { return e.detail }

func badBody(detail string) error {
	return &requestError{http.StatusBadRequest, 1001, "CF-MessageParseError", "Request invalid due to parse error: " + detail}
}

func badQuery(detail string) error {
	return &requestError{http.StatusBadRequest, 10005, "CF-BadQueryParameter", "The query parameter is invalid: " + detail}
}

// fail answers with an error. Those of regcred itself are logged, unless all that
// failed is a client's patience, and read "internal error" outside.
func (h *handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	item, status := errorItem(err)
	if bad, ok := errors.AsType[*requestError](err); ok {
		status = bad.status
		item = client.ErrorItem{Code: bad.code, Title: bad.title, Detail: bad.detail}
	}
	if status == http.StatusUnauthorized {
		if r.Header.Get("Authorization") != "" {
			item.Code, item.Title = 1000, "CF-InvalidAuthToken" // cf gets another token then
		}
		w.Header().Set("WWW-Authenticate", `Bearer realm="regcred"`)
	}
	if status >= http.StatusInternalServerError && r.Context().Err() == nil {
		h.Log.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", r.URL.Path, "request", requestID(r), "error", err)
	}
	h.write(w, r, answer{status: status, body: client.ErrorBody{Errors: []client.ErrorItem{item}}})
}

// errorItem says what an error is, and returns the status of answers with it.
func errorItem(err error) (client.ErrorItem, int) {
	kind := errorKinds[regcred.CodeOf(err)]
	return client.ErrorItem{Code: kind.code, Title: kind.title, Detail: regcred.MessageOf(err)}, kind.status
}
