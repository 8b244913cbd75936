package probe

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"regcred.dev"
	"regcred.dev/internal/web"
)

// request is one request to a registry or its token service.
type request struct {
	client *web.Client // nil: that of registries
	method string
	url    string
	accept string
	// purpose says what it is for, where the URL does not.
	purpose string
	login   *regcred.Login // sent as Basic, or
	token   regcred.Secret // sent as Bearer
}

// ask sends a request and notes it as a step.
func (q *inquiry) ask(ctx context.Context, r request) (web.Answer, error) {
	req, err := http.NewRequestWithContext(ctx, r.method, r.url, nil)
	if err != nil {
		return web.Answer{}, regcred.Errorf(regcred.Unavailable, "the URL of the registry or of its token service makes no sense")
	}
	req.Header.Set("User-Agent", "regcred")
	if r.accept != "" {
		req.Header.Set("Accept", r.accept)
	}
	switch {
	case r.login != nil:
		req.SetBasicAuth(r.login.Username, r.login.Password.Reveal())
	case !r.token.IsZero():
		req.Header.Set("Authorization", "Bearer "+r.token.Reveal())
	}
	client := r.client
	if client == nil {
		client = q.prober.registries
	}
	answer, err := client.Do(req)
	step := Step{Asked: r.describe(req.URL)}
	if err != nil {
		step.Answered = err.Error()
	} else {
		step.Answered = r.describeAnswer(answer)
	}
	q.report.Steps = append(q.report.Steps, step)
	return answer, err
}

// describe says what is asked, without a query: that is long, and a realm's own.
func (r request) describe(u *url.URL) string {
	text := fmt.Sprintf("%s %s://%s%s", r.method, u.Scheme, u.Host, u.EscapedPath())
	if r.purpose != "" {
		text += " " + r.purpose
	}
	switch {
	case r.login != nil:
		return text + " with the login"
	case !r.token.IsZero():
		return text + " with the token"
	}
	return text
}

// describeAnswer says what is answered. See the package's comment on what is not
// repeated.
func (r request) describeAnswer(a web.Answer) string {
	parts := append([]string{fmt.Sprint(a.Status)}, errorCodes(a.Body)...)
	for _, c := range parseChallenges(a.Header.Values("WWW-Authenticate")) {
		switch c.scheme {
		case "basic":
			parts = append(parts, "asks for Basic")
		case "bearer":
			parts = append(parts, "asks for Bearer")
		}
		if reason := c.params["error"]; slices.Contains(bearerErrors, reason) {
			parts = append(parts, reason)
		}
	}
	return strings.Join(parts, ", ")
}

// bearerErrors are those of RFC 6750, section 3.1.
var bearerErrors = []string{"invalid_request", "invalid_token", "insufficient_scope"}

// knownCodes are the error codes of the OCI distribution specification.
var knownCodes = []string{
	"BLOB_UNKNOWN", "DENIED", "MANIFEST_INVALID", "MANIFEST_UNKNOWN", "NAME_INVALID", "NAME_UNKNOWN",
	"TOOMANYREQUESTS", "UNAUTHORIZED", "UNSUPPORTED",
}

// errorCodes returns those that a registry's error answer has.
func errorCodes(body []byte) []string {
	var answer struct {
		Errors []struct {
			Code string `json:"code"`
		} `json:"errors"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return nil
	}
	var codes []string
	for _, e := range answer.Errors {
		if slices.Contains(knownCodes, e.Code) && !slices.Contains(codes, e.Code) {
			codes = append(codes, e.Code)
		}
	}
	return codes
}
