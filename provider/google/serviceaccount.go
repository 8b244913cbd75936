package google

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"regcred.dev"
	"regcred.dev/internal/web"
)

// assertionLifetime is the longest that Google allows. An assertion is dated back a
// little, as golang.org/x/oauth2/jws does it, so that one of a clock that is a few
// seconds ahead is not from the future.
const (
	assertionLifetime = time.Hour
	assertionAge      = 10 * time.Second
)

// serviceAccount asks with a JWT that its key signs (RFC 7523, and Google's "Using
// OAuth 2.0 for Server to Server Applications").
//
// It is not golang.org/x/oauth2/jwt, which signs with this machine's time whatever
// the issuer's is.
type serviceAccount struct {
	client *web.Client
	doc    *document
	url    string
}

// token implements identity. Where the issuer refuses, and its clock is another
// one, it is asked once more with a JWT of its own time.
func (s serviceAccount) token(ctx context.Context, scopes []string) (token, error) {
	asked := time.Now()
	answer, secret, err := s.ask(ctx, scopes, asked)
	if err == nil && answer.Status == http.StatusBadRequest && answer.Skew != 0 {
		asked = time.Now()
		answer, secret, err = s.ask(ctx, scopes, asked.Add(answer.Skew))
	}
	if err != nil {
		return token{}, err
	}
	if err := refusal(answer, s.doc.ClientEmail, secret); err != nil {
		return token{}, err
	}
	return readToken(answer, hostOf(s.url), asked)
}

// ask posts a JWT that was signed at a time, and returns that JWT too.
func (s serviceAccount) ask(ctx context.Context, scopes []string, now time.Time) (web.Answer, string, error) {
	assertion, err := s.sign(scopes, now)
	if err != nil {
		return web.Answer{}, "", err
	}
	answer, err := s.client.PostForm(ctx, s.url, url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"},
		"assertion":  {assertion},
	})
	return answer, assertion, err
}

// sign makes the JWT. Its audience is the endpoint that the key names, even where
// an admin has the requests sent through another one.
func (s serviceAccount) sign(scopes []string, now time.Time) (string, error) {
	issued := now.Add(-assertionAge)
	claims, err := json.Marshal(struct {
		Issuer   string `json:"iss"`
		Scope    string `json:"scope"`
		Audience string `json:"aud"`
		Expires  int64  `json:"exp"`
		Issued   int64  `json:"iat"`
	}{s.doc.ClientEmail, strings.Join(scopes, " "), s.doc.TokenURI, issued.Add(assertionLifetime).Unix(), issued.Unix()})
	if err != nil {
		return "", err
	}
	options := (&jose.SignerOptions{}).WithType("JWT")
	if s.doc.PrivateKeyID != "" {
		options = options.WithHeader("kid", s.doc.PrivateKeyID)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: s.doc.key}, options)
	if err != nil {
		return "", unsigned(err)
	}
	signed, err := signer.Sign(claims)
	if err != nil {
		return "", unsigned(err)
	}
	return signed.CompactSerialize()
}

func unsigned(err error) error {
	return regcred.Errorf(regcred.Invalid, "the service account's private_key cannot sign: %w", err)
}

// user asks with the refresh token that gcloud auth application-default login
// stored (RFC 6749, section 6). It cannot ask for less than the user granted:
// a scope that is contained in a granted one counts as another one.
type user struct {
	client *web.Client
	doc    *document
	url    string
}

// token implements identity.
func (u user) token(ctx context.Context, _ []string) (token, error) {
	asked := time.Now()
	answer, err := u.client.PostForm(ctx, u.url, url.Values{
		"grant_type":    {"refresh_token"},
		"client_id":     {u.doc.ClientID},
		"client_secret": {u.doc.ClientSecret},
		"refresh_token": {u.doc.RefreshToken},
	})
	if err != nil {
		return token{}, err
	}
	if err := refusal(answer, "the user", u.doc.ClientSecret, u.doc.RefreshToken); err != nil {
		return token{}, err
	}
	return readToken(answer, hostOf(u.url), asked)
}

// hostOf names an endpoint in errors.
func hostOf(endpoint string) string {
	u, err := url.Parse(endpoint)
	if err != nil {
		return "the token endpoint"
	}
	return u.Host
}
