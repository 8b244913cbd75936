package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// jsonProblem says what is wrong with a body without quoting it: it may hold a
// password.
func jsonProblem(err error) string {
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Sprintf("malformed JSON at byte %d", syntax.Offset)
	}
	if typ, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Sprintf("%q must not be of type %s", typ.Field, typ.Value)
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return fmt.Sprintf("the body is larger than %d bytes", maxBody)
	}
	if errors.Is(err, io.EOF) {
		return "the body is empty"
	}
	return "malformed JSON"
}
