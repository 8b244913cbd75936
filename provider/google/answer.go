package google

import (
	"encoding/json"
	"strings"
	"time"

	"regcred.dev"
	"regcred.dev/internal/web"
	"regcred.dev/provider/internal/bearer"
	"regcred.dev/provider/internal/said"
)

// maxLifetime is beyond what any issuer gives: Google's limit is 12 h.
const maxLifetime = 365 * 24 * time.Hour

// readToken reads what a token endpoint answers when it gives a token: access_token
// and expires_in, in seconds (RFC 6749, section 5.1). whose names it in errors;
// asked is when it was asked.
func readToken(a web.Answer, whose string, asked time.Time) (token, error) {
	var body struct {
		AccessToken string      `json:"access_token"`
		ExpiresIn   json.Number `json:"expires_in"`
	}
	if err := json.Unmarshal(a.Body, &body); err != nil {
		return token{}, senseless(whose, "an answer that is not the JSON of a token")
	}
	seconds, err := body.ExpiresIn.Int64()
	if err != nil || seconds > int64(maxLifetime/time.Second) {
		return token{}, senseless(whose, "a token without a time in expires_in")
	}
	return newToken(whose, body.AccessToken, asked, asked.Add(time.Duration(max(seconds, 0))*time.Second))
}

// newToken checks a token that was asked for at a time.
func newToken(whose, text string, asked, expires time.Time) (token, error) {
	if !bearer.IsToken(text) {
		return token{}, senseless(whose, "no token that can be used")
	}
	if !expires.After(asked) {
		return token{}, senseless(whose, "a token that had expired already")
	}
	return token{secret: regcred.NewSecret(text), expires: expires}, nil
}

func senseless(whose, what string) error {
	return regcred.Errorf(regcred.Unavailable, "%s answers with %s: is there a proxy in between, or is the endpoint another service?", whose, what)
}

// refusal returns an error for an answer that brings no token: web.Answer.Err with
// what Google said, and what to do; nil for a status of success. who is the
// account that a token was asked for, secrets are what was sent.
func refusal(a web.Answer, who string, secrets ...string) error {
	code, text := reason(a.Body)
	parts := []string{strings.TrimSuffix(said.Text(strings.Trim(code+": "+text, ": "), secrets...), ".")}
	if hint := hint(code + " " + text); hint != "" {
		parts = append(parts, strings.ReplaceAll(hint, "WHO", who))
	}
	if a.Skew != 0 {
		parts = append(parts, "this machine's clock is off by "+a.Skew.Abs().Round(time.Second).String())
	}
	return a.Err(strings.TrimPrefix(strings.Join(parts, "; "), "; "))
}

// reason reads an error: {"error": "CODE", "error_description": "TEXT"} of the
// token endpoints (RFC 6749, section 5.2), or {"error": {"status": "CODE",
// "message": "TEXT", "details": [{"reason": "CODE"}]}} of the APIs (AIP-193).
func reason(body []byte) (code, text string) {
	var answer struct {
		Error       json.RawMessage `json:"error"`
		Description string          `json:"error_description"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return "", ""
	}
	if json.Unmarshal(answer.Error, &code) == nil {
		return code, answer.Description
	}
	var api struct {
		Status  string `json:"status"`
		Message string `json:"message"`
		Details []struct {
			Reason string `json:"reason"`
		} `json:"details"`
	}
	if json.Unmarshal(answer.Error, &api) != nil {
		return "", ""
	}
	for _, d := range api.Details {
		if d.Reason != "" {
			return d.Reason, api.Message
		}
	}
	return api.Status, api.Message
}

// hints say what to do about a refusal, by a part of its code and text. The first
// that matches counts.
var hints = []struct{ part, hint string }{
	{"Invalid JWT Signature", "the key was deleted or disabled, or belongs to another account than WHO: create a new key, and update the credential"},
	{"account not found", "the service account WHO was deleted or disabled, or its address is misspelt"},
	{"Gaia id not found", "the service account WHO was deleted, or its address is misspelt"},
	{"reasonable timeframe", "the clock of this machine is off: set it, best by NTP"},
	{"invalid_scope", "the account may not ask for this scope"},
	{"invalid_rapt", "the user has to log in again: gcloud auth application-default login"},
	{"expired or revoked", "the user's login has ended: gcloud auth application-default login makes a new one"},
	{"invalid_client", "the OAuth client of the credentials file was deleted, or its secret changed"},
	{"invalid_target", "no such workload identity pool or provider, or it is disabled: compare the configuration's audience"},
	{"SERVICE_DISABLED", "enable the IAM Service Account Credentials API (iamcredentials.googleapis.com) in the project of the account that impersonates"},
	{"it is disabled", "enable the IAM Service Account Credentials API (iamcredentials.googleapis.com) in the project of the account that impersonates"},
	{"ACCESS_TOKEN_SCOPE_INSUFFICIENT", "this machine's access scopes lack cloud-platform, which impersonating needs"},
	{"getAccessToken", "grant the role roles/iam.serviceAccountTokenCreator on WHO to the account that impersonates"},
	{"PERMISSION_DENIED", "grant the role roles/iam.serviceAccountTokenCreator on WHO to the account that impersonates"},
}

func hint(refusal string) string {
	for _, h := range hints {
		if strings.Contains(refusal, h.part) {
			return h.hint
		}
	}
	return ""
}
