package google

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"regcred.dev"
	"regcred.dev/internal/web"
)

// impersonated asks for the token of a service account with one of another
// identity's: generateAccessToken of the IAM Service Account Credentials API.
type impersonated struct {
	client    *web.Client
	source    identity
	url       string        // of the method
	delegates []string      // the accounts between the two, the first one's first
	lifetime  time.Duration // default one hour
}

// impersonationURL is the method's URL in a universe.
func impersonationURL(universe, account string) string {
	return "https://iamcredentials." + universe + "/v1/projects/-/serviceAccounts/" + url.PathEscape(account) + ":generateAccessToken"
}

// account is the service account that the URL names, for errors.
func (i impersonated) account() string {
	_, name, _ := strings.Cut(i.url, "/serviceAccounts/")
	return strings.TrimSuffix(name, ":generateAccessToken")
}

// token implements identity. The token in between can do anything that the source
// may; it goes to Google alone.
func (i impersonated) token(ctx context.Context, scopes []string) (token, error) {
	source, err := i.source.token(ctx, []string{scopeCloud})
	if err != nil {
		return token{}, err
	}
	req, err := i.request(ctx, scopes, source.secret)
	if err != nil {
		return token{}, err
	}
	asked := time.Now()
	answer, err := i.client.Do(req)
	if err != nil {
		return token{}, err
	}
	if err := refusal(answer, i.account(), source.secret.Reveal()); err != nil {
		return token{}, err
	}
	return i.read(answer, asked)
}

func (i impersonated) request(ctx context.Context, scopes []string, source regcred.Secret) (*http.Request, error) {
	lifetime := i.lifetime
	if lifetime <= 0 {
		lifetime = time.Hour
	}
	body, err := json.Marshal(struct {
		Delegates []string `json:"delegates,omitempty"`
		Scope     []string `json:"scope"`
		Lifetime  string   `json:"lifetime"`
	}{delegateNames(i.delegates), scopes, strconv.Itoa(int(lifetime.Seconds())) + "s"})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, i.url, bytes.NewReader(body))
	if err != nil {
		return nil, regcred.Errorf(regcred.Invalid, "the URL for impersonating %s makes no sense", i.account())
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Authorization", "Bearer "+source.Reveal())
	return req, nil
}

// delegateNames are accounts as the API names them.
func delegateNames(accounts []string) []string {
	const prefix = "projects/-/serviceAccounts/"
	var names []string
	for _, account := range accounts {
		names = append(names, prefix+strings.TrimPrefix(account, prefix))
	}
	return names
}

// read reads accessToken and expireTime, a time in RFC 3339 by Google's clock.
func (i impersonated) read(a web.Answer, asked time.Time) (token, error) {
	var body struct {
		AccessToken string `json:"accessToken"`
		ExpireTime  string `json:"expireTime"`
	}
	whose := hostOf(i.url)
	if err := json.Unmarshal(a.Body, &body); err != nil {
		return token{}, senseless(whose, "an answer that is not the JSON of a token")
	}
	expires, err := time.Parse(time.RFC3339, body.ExpireTime)
	if err != nil || expires.After(asked.Add(maxLifetime)) {
		return token{}, senseless(whose, "a token without a time in expireTime")
	}
	return newToken(whose, body.AccessToken, asked, expires.Add(-a.Skew))
}
