// Package client is the Go client of regcred's HTTP API, and holds the types of
// its JSON.
package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"regcred.dev"
)

// maxAnswer bounds an answer, in bytes.
const maxAnswer = 64 << 20

// Client talks to one server.
type Client struct {
	base  *url.URL
	token regcred.Secret
	http  *http.Client
}

// New returns a client of the server at an http or https URL, which authenticates
// by an API token. The token is sent to that server alone: redirects are not
// followed.
func New(server string, token regcred.Secret) (*Client, error) {
	base, err := url.Parse(server)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" || base.User != nil {
		return nil, regcred.Errorf(regcred.Invalid, "server %.200q: write http://HOST[:PORT] or https://HOST[:PORT]", redactURL(server))
	}
	return &Client{base: base, token: token, http: &http.Client{CheckRedirect: noRedirects}}, nil
}

// NewLocal returns a client of the server whose socket is at path. Who can open
// the socket is its admin.
func NewLocal(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}
	return &Client{
		base: &url.URL{Scheme: "http", Host: "local"},
		http: &http.Client{CheckRedirect: noRedirects, Transport: &http.Transport{DialContext: dial}},
	}
}

// WithToken returns a client that authenticates by this API token.
func (c *Client) WithToken(token regcred.Secret) *Client {
	other := *c
	other.token = token
	return &other
}

// WithCAs returns a client that trusts these authorities in place of the system's.
func (c *Client) WithCAs(pool *x509.CertPool) *Client {
	return c.WithTLS(&tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12})
}

// WithTLS returns a client with a TLS configuration of its own.
func (c *Client) WithTLS(config *tls.Config) *Client {
	other := *c
	other.http = &http.Client{CheckRedirect: noRedirects, Transport: &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		TLSClientConfig:     config,
		TLSHandshakeTimeout: 10 * time.Second,
		ForceAttemptHTTP2:   true,
	}}
	return &other
}

func noRedirects(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// redactURL leaves user name and password out of what should be a URL: all that
// stands before the last '@'.
func redactURL(s string) string {
	i := strings.LastIndexByte(s, '@')
	if i < 0 {
		return s
	}
	scheme, _, ok := strings.Cut(s[:i], "://")
	if !ok {
		return "***" + s[i:]
	}
	return scheme + "://***" + s[i:]
}

// call sends a request with an optional JSON body and decodes the JSON answer.
func call[T any](ctx context.Context, c *Client, method, path string, query url.Values, in any) (T, error) {
	var out T
	data, err := c.do(ctx, method, path, query, in)
	if err == nil && json.Unmarshal(data, &out) != nil {
		err = regcred.Errorf(regcred.Unavailable, "the answer of %s %s is not regcred's: is this its address?", method, path)
	}
	return out, err
}

// do sends a request with an optional JSON body and returns the body of the
// answer.
func (c *Client) do(ctx context.Context, method, path string, query url.Values, in any) ([]byte, error) {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(data)
	}
	u := c.base.JoinPath(path)
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if !c.token.IsZero() {
		req.Header.Set("Authorization", "Bearer "+c.token.Reveal())
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, regcred.Errorf(regcred.Unavailable, "cannot reach the server: %w", unwrapURL(err))
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, regcred.Errorf(regcred.Unavailable, "the server's answer broke off: %w", err)
	}
	if len(data) > maxAnswer {
		return nil, regcred.Errorf(regcred.TooLarge, "the answer of %s %s is larger than %d bytes: is this regcred's address?", method, path, maxAnswer)
	}
	if resp.StatusCode >= 300 {
		return nil, answerError(resp, data)
	}
	return data, nil
}

// list returns a list that the server answers in pages; it is never nil.
func list[T any](ctx context.Context, c *Client, path string, filter url.Values) ([]T, error) {
	all := []T{}
	for page := 1; ; page++ {
		q := url.Values{"per_page": {"5000"}, "page": {strconv.Itoa(page)}}
		maps.Copy(q, filter)
		out, err := call[Page[T]](ctx, c, http.MethodGet, path, q, nil)
		if err != nil {
			return nil, err
		}
		all = append(all, out.Resources...)
		if out.Pagination.Next == nil || len(out.Resources) == 0 {
			return all, nil
		}
	}
}

// unwrapURL leaves method and URL out of an http.Client's error.
func unwrapURL(err error) error {
	if urlErr, ok := errors.AsType[*url.Error](err); ok {
		return urlErr.Err
	}
	return err
}

// scopeQuery names a scope in a query.
func scopeQuery(s regcred.Scope) url.Values {
	q := url.Values{}
	for key, id := range map[string]string{"organization": s.Org, "space": s.Space, "app": s.App} {
		if id != "" {
			q.Set(key, id)
		}
	}
	return q
}

// CreateCredential stores a credential. The errors of all methods carry the code
// that the server's answer stands for.
func (c *Client) CreateCredential(ctx context.Context, in CreateRequest) (Credential, error) {
	path := "/v3/registry_credentials"
	if in.Relationships.App != nil {
		path = "/regcred/v1/app_registry_credentials"
	}
	return call[Credential](ctx, c, http.MethodPost, path, nil, in)
}

// Credential returns one credential.
func (c *Client) Credential(ctx context.Context, guid string) (Credential, error) {
	return call[Credential](ctx, c, http.MethodGet, credentialPath(guid), nil, nil)
}

// Credentials returns all credentials that the filter selects, from every page.
func (c *Client) Credentials(ctx context.Context, filter url.Values) ([]Credential, error) {
	return list[Credential](ctx, c, "/v3/registry_credentials", filter)
}

// UpdateOptions say how an update goes about it.
type UpdateOptions struct {
	// Check has the new settings tried out first; nothing is changed where they do
	// not work.
	Check bool
	// Revoke drops the old login at once.
	Revoke bool
}

// UpdateCredential changes a credential.
func (c *Client) UpdateCredential(ctx context.Context, guid string, in UpdateRequest, o UpdateOptions) (Credential, error) {
	q := url.Values{}
	setFlag(q, "check", o.Check)
	setFlag(q, "revoke", o.Revoke)
	return call[Credential](ctx, c, http.MethodPatch, credentialPath(guid), q, in)
}

func setFlag(q url.Values, name string, on bool) {
	if on {
		q.Set(name, "true")
	}
}

// DeleteCredential removes a credential and its login.
func (c *Client) DeleteCredential(ctx context.Context, guid string) error {
	_, err := c.do(ctx, http.MethodDelete, credentialPath(guid), nil, nil)
	return err
}

// RefreshCredential mints a new login now; with revoke the old one is dropped first.
func (c *Client) RefreshCredential(ctx context.Context, guid string, revoke bool) (Credential, error) {
	q := url.Values{}
	setFlag(q, "revoke", revoke)
	return call[Credential](ctx, c, http.MethodPost, actionPath(guid, "refresh"), q, nil)
}

// CheckCredential mints a login and asks its registry whether it takes it, and
// where repository is not "" whether that may be pulled.
func (c *Client) CheckCredential(ctx context.Context, guid, repository string) (Check, error) {
	q := url.Values{}
	if repository != "" {
		q.Set("repository", repository)
	}
	return call[Check](ctx, c, http.MethodPost, actionPath(guid, "check"), q, nil)
}

// Providers describes all providers of the server.
func (c *Client) Providers(ctx context.Context) ([]Provider, error) {
	return list[Provider](ctx, c, "/regcred/v1/providers", nil)
}

// Provider describes one provider.
func (c *Client) Provider(ctx context.Context, name string) (Provider, error) {
	return call[Provider](ctx, c, http.MethodGet, "/regcred/v1/providers/"+url.PathEscape(name), nil, nil)
}

// Profiles returns the profiles that the caller's credentials may name; grants are for
// admins and auditors.
func (c *Client) Profiles(ctx context.Context) ([]Profile, error) {
	return list[Profile](ctx, c, "/regcred/v1/profiles", nil)
}

func actionPath(guid, action string) string {
	return "/regcred/v1/registry_credentials/" + url.PathEscape(guid) + "/actions/" + action
}

func credentialPath(guid string) string { return "/v3/registry_credentials/" + url.PathEscape(guid) }

// Resolve says which credential an image resolves to at a scope.
func (c *Client) Resolve(ctx context.Context, image string, s regcred.Scope) (Resolution, error) {
	q := scopeQuery(s)
	q.Set("image", image)
	return call[Resolution](ctx, c, http.MethodGet, "/regcred/v1/resolve", q, nil)
}

// DockerConfig returns a scope's keyring as a docker config file, and what is left
// out of it.
func (c *Client) DockerConfig(ctx context.Context, s regcred.Scope, dialect string, broaden bool) (DockerConfig, error) {
	q := scopeQuery(s)
	q.Set("for", dialect)
	if broaden {
		q.Set("broaden", "true")
	}
	return call[DockerConfig](ctx, c, http.MethodGet, "/regcred/v1/docker_config", q, nil)
}

// Status returns the server's state.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return call[Status](ctx, c, http.MethodGet, "/regcred/v1/status", nil, nil)
}

// ConfirmTarget lets a target carry out the removals that it holds back.
func (c *Client) ConfirmTarget(ctx context.Context, name string) error {
	q := url.Values{"name": {name}}
	_, err := c.do(ctx, http.MethodPost, "/regcred/v1/targets/actions/confirm", q, nil)
	return err
}

// Audit returns the newest entries of the audit log that the filter selects, newest
// first, at most limit (5,000), and how many it selects.
func (c *Client) Audit(ctx context.Context, filter url.Values, limit int) ([]AuditEntry, int, error) {
	q := url.Values{"per_page": {strconv.Itoa(limit)}, "order_by": {"-created_at"}}
	maps.Copy(q, filter)
	page, err := call[Page[AuditEntry]](ctx, c, http.MethodGet, "/regcred/v1/audit", q, nil)
	return page.Resources, page.Pagination.TotalResults, err
}

// CreateToken makes an API token.
func (c *Client) CreateToken(ctx context.Context, in TokenRequest) (Token, error) {
	return call[Token](ctx, c, http.MethodPost, "/regcred/v1/tokens", nil, in)
}

// Tokens returns all API tokens, from every page.
func (c *Client) Tokens(ctx context.Context) ([]Token, error) {
	return list[Token](ctx, c, "/regcred/v1/tokens", nil)
}

// DeleteToken revokes an API token.
func (c *Client) DeleteToken(ctx context.Context, id string) error {
	_, err := c.do(ctx, http.MethodDelete, "/regcred/v1/tokens/"+url.PathEscape(id), nil, nil)
	return err
}
