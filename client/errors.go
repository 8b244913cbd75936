package client

import (
	"encoding/json"
	"net/http"
	"strings"

	"regcred.dev"
)

// errorCodes maps the codes in the API's error bodies to regcred's: Cloud
// Foundry's own, and regcred's from 390000.
var errorCodes = map[int]regcred.Code{
	1000:   regcred.Unauthenticated, // the token is not good
	1001:   regcred.Invalid,         // the body is malformed
	10001:  regcred.Internal,
	10002:  regcred.Unauthenticated,
	10003:  regcred.Denied,
	10005:  regcred.Invalid, // a query parameter is wrong
	10008:  regcred.Invalid, // also that something is there already
	10010:  regcred.NotFound,
	390001: regcred.ReadOnly,
	390002: regcred.Stale,
	390003: regcred.Held,
	390004: regcred.TooLarge,
	390005: regcred.Unavailable,
	390006: regcred.Corrupt,
	390007: regcred.Throttled,
}

// statusCodes serve where the body tells no code that is known, such as the
// answers of a proxy. Any other status means that regcred is unavailable.
var statusCodes = map[int]regcred.Code{
	http.StatusBadRequest:            regcred.Invalid,
	http.StatusUnprocessableEntity:   regcred.Invalid,
	http.StatusUnauthorized:          regcred.Unauthenticated,
	http.StatusForbidden:             regcred.Denied,
	http.StatusNotFound:              regcred.NotFound,
	http.StatusConflict:              regcred.Stale,
	http.StatusRequestEntityTooLarge: regcred.TooLarge,
	http.StatusInternalServerError:   regcred.Internal,
}

// answerError returns the error that an answer stands for.
func answerError(resp *http.Response, data []byte) error {
	var body ErrorBody
	if json.Unmarshal(data, &body) != nil || len(body.Errors) == 0 {
		hint := ""
		if resp.StatusCode == http.StatusNotFound {
			hint = ": is this regcred's address?"
		}
		return regcred.Errorf(codeOf(resp.StatusCode), "the server answered %s%s", resp.Status, hint)
	}
	code, ok := errorCodes[body.Errors[0].Code]
	if !ok {
		code = codeOf(resp.StatusCode)
	}
	details := make([]string, len(body.Errors))
	for i, e := range body.Errors {
		details[i] = e.Detail
	}
	return regcred.Errorf(code, "%s", strings.Join(details, "; "))
}

func codeOf(status int) regcred.Code {
	if code, ok := statusCodes[status]; ok {
		return code
	}
	return regcred.Unavailable
}
