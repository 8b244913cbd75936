package probe

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"regcred.dev"
	"regcred.dev/internal/web"
)

// maxToken bounds a token, in bytes: those that registries hand out are of some KB.
const maxToken = 64 << 10

// unclear are statuses of a token service that may be about the login, the
// repository or the URL: without a repository it is asked again.
var unclear = []int{http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound}

// token sends the login to a token service for a token that may pull the repository,
// as Docker's token authentication specification has it.
func (q *inquiry) token(ctx context.Context, realm *url.URL, service string) (regcred.Secret, error) {
	answer, err := q.askToken(ctx, realm, service, q.scope)
	if err != nil {
		return regcred.Secret{}, err
	}
	if q.scope != "" && slices.Contains(unclear, answer.Status) {
		bare, err := q.askToken(ctx, realm, service, "")
		if err != nil {
			return regcred.Secret{}, err
		}
		if bare.Status == http.StatusOK {
			q.report.Accepted = true
			return regcred.Secret{}, q.mayNotPull(answer, regcred.Secret{})
		}
	}
	if answer.Status == http.StatusNotFound {
		return regcred.Secret{}, regcred.Errorf(regcred.Unavailable, "there is no token service where %s says: %s answers with status 404", q.host, realm.Host)
	}
	if err := q.judge(answer, realm.Host); err != nil {
		return regcred.Secret{}, err
	}
	return parseToken(answer.Body, realm.Host)
}

// askToken asks for a token of a scope, "" for one that is for nothing in particular.
func (q *inquiry) askToken(ctx context.Context, realm *url.URL, service, scope string) (web.Answer, error) {
	query := realm.Query()
	r := request{client: q.prober.realms[q.from], method: http.MethodGet, login: &q.login, purpose: "for a token"}
	if service != "" {
		query.Set("service", service)
	}
	if scope != "" {
		query.Set("scope", scope)
		r.purpose += " to pull " + q.repository
	}
	to := *realm
	to.RawQuery = query.Encode()
	r.url = to.String()
	return q.ask(ctx, r)
}

// parseToken reads a token service's answer: "token", or "access_token" as OAuth 2.0
// calls it.
func parseToken(body []byte, from string) (regcred.Secret, error) {
	var answer struct {
		Token       string `json:"token"`
		AccessToken string `json:"access_token"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return regcred.Secret{}, regcred.Errorf(regcred.Unavailable, "%s takes the login, but its answer is not JSON: it is no token service", from)
	}
	token := cmp.Or(answer.Token, answer.AccessToken)
	printable := strings.IndexFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) < 0
	if token == "" || len(token) > maxToken || !printable {
		return regcred.Secret{}, regcred.Errorf(regcred.Unavailable, "%s takes the login, but its answer has no token that can be used", from)
	}
	return regcred.NewSecret(token), nil
}

// validity returns from when to when a token says that it is valid, where it is a
// JWT (RFC 7519, section 4.1); zero where it does not say. Nothing is verified:
// this is to explain a refusal.
func validity(token string) (from, to time.Time) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return from, to
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct {
		NotBefore float64 `json:"nbf"`
		IssuedAt  float64 `json:"iat"`
		Expires   float64 `json:"exp"`
	}
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		return from, to
	}
	return numericDate(cmp.Or(claims.NotBefore, claims.IssuedAt)), numericDate(claims.Expires)
}

// numericDate reads seconds since 1970; zero where that is before then or after 9999.
func numericDate(seconds float64) time.Time {
	if !(seconds > 0 && seconds < 253402300800) {
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0)
}
