package registry

import (
	"errors"
	"net/http"
	"os"
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

// wireErrors is the JSON of an error in the OCI distribution specification.
type wireErrors struct {
	Errors []wireError `json:"errors"`
}

type wireError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
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
	if err := writeJSON(w, status, wireErrors{[]wireError{{code, message}}}); err != nil {
		s.log.Error("an error of the registry was not sent", "err", err)
	}
}

// describe returns the status, code and message of an error.
func (s *Server) describe(w *recorder, r *http.Request, err error) (status int, code, message string) {
	if _, ok := errors.AsType[*methodError](err); ok {
		return http.StatusMethodNotAllowed, ociregistry.ErrUnsupported.Code(), err.Error()
	}
	if errors.Is(w.body.err, os.ErrDeadlineExceeded) {
		return http.StatusRequestTimeout, ociregistry.ErrSizeInvalid.Code(), "nothing of the request came for a while: go on with it"
	}
	if w.body.err != nil {
		return http.StatusBadRequest, ociregistry.ErrSizeInvalid.Code(), "the request broke off: send it again"
	}
	if e, ok := errors.AsType[ociregistry.Error](err); ok {
		if _, status := ociregistry.MarshalError(err); status != http.StatusInternalServerError {
			return status, e.Code(), wireMessage(e)
		}
	}
	if r.Context().Err() != nil {
		return http.StatusServiceUnavailable, "UNAVAILABLE", "the request was cancelled: send it again"
	}
	answer, ok := answers[regcred.CodeOf(err)]
	if !ok {
		answer.status, answer.code = http.StatusInternalServerError, "UNKNOWN"
	}
	if answer.status >= http.StatusInternalServerError {
		s.log.Error("registry request failed", "method", r.Method, "path", r.URL.Path, "subject", w.subject, "err", err)
	}
	if !ok {
		return answer.status, answer.code, "internal error"
	}
	if _, ok := errors.AsType[*challengeError](err); ok {
		answer.status = http.StatusUnauthorized
	}
	return answer.status, answer.code, ClientMessage(err)
}

// operational is an error whose words are for who runs the registry.
type operational struct{ error }

func (e operational) Unwrap() error { return e.error }

// Operational returns an error of the storage whose words are for who runs the
// registry, since they name the storage and where it is: the log has them, and clients
// that pull or push read something else. nil stays nil.
func Operational(err error) error {
	if err == nil {
		return nil
	}
	return operational{err}
}

// ClientMessage returns what clients that pull or push may read of an error: the
// message of regcred.MessageOf, where that is not for who runs the registry.
func ClientMessage(err error) string {
	if _, ok := errors.AsType[operational](err); ok {
		return "the storage of the registry fails or cannot be reached: try again later, or tell those who run the registry"
	}
	return regcred.MessageOf(err)
}

// wireMessage returns the message of an OCI error without its code.
func wireMessage(e ociregistry.Error) string {
	if w, ok := e.(*ociregistry.WireError); ok {
		return w.Message
	}
	return e.Error()
}
