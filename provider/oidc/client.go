package oidc

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"regcred.dev"
	"regcred.dev/internal/web"
)

// client asks for one mint.
type client struct {
	web      *web.Client
	settings settings
}

// password obtains the token that is the password of a login.
func (c *client) password(ctx context.Context) (token, error) {
	subject, tokenURL, err := c.subject(ctx)
	if err != nil {
		return token{}, err
	}
	switch c.settings.exchange {
	case exchangeQuay:
		return c.quay(ctx, subject)
	case exchangeRFC8693:
		return c.rfc8693(ctx, subject, tokenURL)
	}
	return subject, nil
}

// rfc8693 exchanges a token (RFC 8693, section 2.1): at the service that the
// settings name, or else where the issuer gives its own. A client that the issuer
// knows is named to the issuer alone.
func (c *client) rfc8693(ctx context.Context, subject token, issuerURL string) (token, error) {
	s := c.settings
	form := url.Values{
		"grant_type":         {"urn:ietf:params:oauth:grant-type:token-exchange"},
		"subject_token":      {subject.value},
		"subject_token_type": {s.subjectType},
	}
	addIfSet(form, "requested_token_type", s.requestedType)
	addIfSet(form, "audience", s.audience)
	addIfSet(form, "resource", s.resource)
	addIfSet(form, "scope", s.scope)
	to := s.tokenURL
	if to == "" {
		to = issuerURL
	}
	asked := time.Now()
	answer, err := c.postForm(ctx, to, form, issuerURL == "" || to == issuerURL)
	if err != nil {
		return token{}, err
	}
	if err := c.refusal(answer, subject); err != nil {
		return token{}, err
	}
	return parseOAuth(answer, hostOf(to), asked)
}

// quay exchanges a token as a robot account of Quay's whose federation trusts it.
func (c *client) quay(ctx context.Context, subject token) (token, error) {
	req, err := newRequest(ctx, http.MethodGet, c.settings.tokenURL, "")
	if err != nil {
		return token{}, err
	}
	req.SetBasicAuth(c.settings.username, subject.value)
	asked := time.Now()
	answer, err := c.web.Do(req)
	if err != nil {
		return token{}, err
	}
	if err := c.refusal(answer, subject); err != nil {
		return token{}, err
	}
	return parseQuay(answer, req.URL.Host, asked)
}

// postForm sends a form to a token endpoint, with the client's own name and
// secret (RFC 6749, section 2.3.1) where there are and should be.
func (c *client) postForm(ctx context.Context, to string, form url.Values, asClient bool) (web.Answer, error) {
	req, err := newRequest(ctx, http.MethodPost, to, form.Encode())
	if err != nil {
		return web.Answer{}, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if asClient && c.settings.clientID != "" {
		req.SetBasicAuth(url.QueryEscape(c.settings.clientID), url.QueryEscape(c.settings.clientSecret))
	}
	return c.web.Do(req)
}

func newRequest(ctx context.Context, method, to, body string) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, to, strings.NewReader(body))
	if err != nil {
		return nil, regcred.Errorf(regcred.Invalid, "the URL of the token service makes no sense")
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "regcred")
	return req, nil
}

func addIfSet(form url.Values, name, value string) {
	if value != "" {
		form.Set(name, value)
	}
}

// hostOf names a URL in an error.
func hostOf(text string) string {
	if u, err := url.Parse(text); err == nil {
		return u.Host
	}
	return "the token service"
}
