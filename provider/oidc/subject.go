package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"regcred.dev"
	"regcred.dev/provider/internal/bearer"
	"regcred.dev/provider/internal/file"
)

// subject returns the token that is exchanged, and where an issuer gave it that
// issuer's token endpoint.
func (c *client) subject(ctx context.Context) (subject token, tokenURL string, err error) {
	switch s := c.settings; {
	case s.token != "":
		return token{value: s.token, from: "the setting " + settingToken, asked: time.Now()}, "", nil
	case s.tokenFile != "":
		subject, err := readToken(s.tokenFile)
		return subject, "", err
	}
	if tokenURL, err = c.discover(ctx); err != nil {
		return token{}, "", err
	}
	subject, err = c.clientCredentials(ctx, tokenURL)
	return subject, tokenURL, err
}

// readToken reads a token from a file.
func readToken(name string) (token, error) {
	text, err := file.Read(name, bearer.MaxLength)
	if text = strings.TrimSpace(text); err == nil && !bearer.IsToken(text) {
		err = errors.New("it is empty, or holds more than a token")
	}
	if err != nil {
		return token{}, regcred.Errorf(regcred.Unavailable, "the token in the file %s cannot be read: %w", name, err)
	}
	return token{value: text, from: "the file " + name, asked: time.Now()}, nil
}

// discover returns the issuer's token endpoint (OpenID Connect Discovery 1.0,
// section 4).
func (c *client) discover(ctx context.Context) (string, error) {
	issuer := c.settings.issuer
	req, err := newRequest(ctx, http.MethodGet, issuer+"/.well-known/openid-configuration", "")
	if err != nil {
		return "", err
	}
	answer, err := c.web.Do(req)
	if err != nil {
		return "", err
	}
	if err := answer.Err("the issuer's OpenID configuration; is the setting " + settingIssuer + " right?"); err != nil {
		return "", err
	}
	var found struct {
		Issuer        string `json:"issuer"`
		TokenEndpoint string `json:"token_endpoint"`
	}
	switch err := json.Unmarshal(answer.Body, &found); {
	case err != nil:
		return "", regcred.Errorf(regcred.Unavailable, "the OpenID configuration of %s is no JSON that can be read", issuer)
	case strings.TrimSuffix(found.Issuer, "/") != issuer:
		return "", regcred.Errorf(regcred.Unavailable, "the OpenID configuration of %s is of another issuer: set %q as the issuer itself writes it", issuer, settingIssuer)
	case !allowed(issuer, found.TokenEndpoint):
		return "", regcred.Errorf(regcred.Unavailable, "the OpenID configuration of %s names no token endpoint that can be used: it must be an https URL", issuer)
	}
	return found.TokenEndpoint, nil
}

// allowed reports whether the token endpoint that an issuer names may be sent
// secrets: over TLS, or where the issuer itself is reached without (which the
// settings allow on this machine alone), at the issuer's own address.
func allowed(issuer, endpoint string) bool {
	from, err := url.Parse(issuer)
	if err != nil {
		return false
	}
	to, err := url.Parse(endpoint)
	if err != nil || to.Host == "" || to.User != nil || to.Fragment != "" {
		return false
	}
	return to.Scheme == "https" || to.Scheme == from.Scheme && to.Host == from.Host
}

// clientCredentials obtains the client's own token (RFC 6749, section 4.4). What
// it is asked for follows from the settings where no exchange comes after it that
// those are meant for.
func (c *client) clientCredentials(ctx context.Context, tokenURL string) (token, error) {
	form := url.Values{"grant_type": {"client_credentials"}}
	if c.settings.exchange != exchangeRFC8693 {
		addIfSet(form, "audience", c.settings.audience)
		addIfSet(form, "scope", c.settings.scope)
	}
	asked := time.Now()
	answer, err := c.postForm(ctx, tokenURL, form, true)
	if err != nil {
		return token{}, err
	}
	if err := c.refusal(answer, token{}); err != nil {
		return token{}, err
	}
	return parseOAuth(answer, hostOf(tokenURL), asked)
}
