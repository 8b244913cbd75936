package registry

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"cuelabs.dev/go/oci/ociregistry"

	"regcred.dev"
)

// methodError is answered with 405.
type methodError struct{ allowed []string }

func (e *methodError) Error() string {
	return "this method is not for this path; it takes " + strings.Join(e.allowed, ", ")
}

// answers gives regcred's codes their HTTP status and the code of the OCI
// distribution specification (or of CNCF Distribution where that has none). A
// code that is not here is a fault of the server.
var answers = map[regcred.Code]struct {
	status int
	code   string
}{
	regcred.Invalid:         {http.StatusBadRequest, ociregistry.ErrUnsupported.Code()},
	regcred.Unauthenticated: {http.StatusUnauthorized, ociregistry.ErrUnauthorized.Code()},
	regcred.Denied:          {http.StatusForbidden, ociregistry.ErrDenied.Code()},
	regcred.NotFound:        {http.StatusNotFound, ociregistry.ErrNameUnknown.Code()},
	regcred.Stale:           {http.StatusConflict, ociregistry.ErrBlobUploadInvalid.Code()},
	regcred.TooLarge:        {http.StatusRequestEntityTooLarge, ociregistry.ErrSizeInvalid.Code()},
	regcred.Unavailable:     {http.StatusServiceUnavailable, "UNAVAILABLE"},
}

// writeError answers with an error, in the JSON of the OCI distribution
// specification. A 401 carries the challenge. Faults of the server are logged and
// read "internal error".
func (s *Server) writeError(w *recorder, r *http.Request, challenge string, err error) {
	status, code, message := s.describe(w, r, err)
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", challenge)
	}
	if m, ok := errors.AsType[*methodError](err); ok {
		w.Header().Set("Allow", strings.Join(m.allowed, ", "))
	}
	// It cannot fail: there are but strings in it.
	data, _ := json.Marshal(ociregistry.WireErrors{Errors: []ociregistry.WireError{{Code_: code, Message: message}}})
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(data)
}

// describe returns the status, code and message of an error.
func (s *Server) describe(w *recorder, r *http.Request, err error) (status int, code, message string) {
	if _, ok := errors.AsType[*methodError](err); ok {
		return http.StatusMethodNotAllowed, ociregistry.ErrUnsupported.Code(), err.Error()
	}
	if w.body.err != nil {
		return http.StatusBadRequest, ociregistry.ErrSizeInvalid.Code(), "the request broke off: send it again"
	}
	if e, ok := errors.AsType[ociregistry.Error](err); ok {
		if _, status := ociregistry.MarshalError(err); status != http.StatusInternalServerError {
			return status, e.Code(), wireMessage(e)
		}
	}
	answer, ok := answers[regcred.CodeOf(err)]
	if !ok {
		s.log.Error("registry request failed", "method", r.Method, "path", r.URL.Path, "subject", w.subject, "err", err)
		return http.StatusInternalServerError, "UNKNOWN", regcred.MessageOf(regcred.Errorf(regcred.Internal, "%w", err))
	}
	if _, ok := errors.AsType[*challengeError](err); ok {
		answer.status = http.StatusUnauthorized
	}
	return answer.status, answer.code, regcred.MessageOf(err)
}

// wireMessage returns the message of an OCI error without its code.
func wireMessage(e ociregistry.Error) string {
	if w, ok := e.(*ociregistry.WireError); ok {
		return w.Message
	}
	return e.Error()
}
