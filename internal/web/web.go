// Package web is the HTTP client for servers of others: issuers, registries and
// their token services. It follows no redirect, because net/http would take the
// Authorization header along to another port or scheme of the same host and to
// its subdomains; it reads no endless body; and where others name the URL it does
// not reach what only this machine can: link-local and metadata addresses.
//
// Errors name the host that was asked, never a path, query or header: secrets
// travel in those.
package web

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"time"

	"regcred.dev"
)

// DefaultMaxBody bounds an answer, in bytes: the largest that issuers give are
// tokens of some KB.
const DefaultMaxBody = 1 << 20

// Options configure a Client. The zero Options are usable.
type Options struct {
	// Transport carries the requests, in place of one made from the fields below it.
	// Tests reach fakes in the same process by it.
	Transport http.RoundTripper
	// RootCAs are trusted in place of the system's. TLS is always verified.
	RootCAs *x509.CertPool
	// Refuse says which addresses are not asked. Default Local.
	Refuse func(netip.Addr) bool
	// LocalAllowed permits every address, whatever Refuse says: for a client whose
	// URLs are all the operator's own.
	LocalAllowed bool
	// MaxBody bounds an answer's body, in bytes. Default DefaultMaxBody.
	MaxBody int64
}

// Client asks servers. It may be used concurrently.
type Client struct {
	http    *http.Client
	maxBody int64
}

// New returns a Client.
func New(o Options) *Client {
	if o.Transport == nil {
		o.Transport = NewTransport(o)
	}
	if o.MaxBody <= 0 {
		o.MaxBody = DefaultMaxBody
	}
	return &Client{http: &http.Client{Transport: o.Transport, CheckRedirect: NoRedirects}, maxBody: o.MaxBody}
}

// NewTransport returns the transport that New would make of the options: for
// libraries that want one of their own.
func NewTransport(o Options) *http.Transport {
	r := &route{refuse: o.Refuse}
	switch {
	case o.LocalAllowed:
		r.refuse = func(netip.Addr) bool { return false }
	case o.Refuse == nil:
		r.refuse = Local
	}
	return &http.Transport{
		Proxy:                  r.proxy,
		DialContext:            r.dial,
		ForceAttemptHTTP2:      true,
		TLSClientConfig:        &tls.Config{RootCAs: o.RootCAs, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    10 * time.Second,
		ResponseHeaderTimeout:  30 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		MaxIdleConnsPerHost:    4,
		IdleConnTimeout:        time.Minute,
	}
}

// NoRedirects is an http.Client's CheckRedirect that hands out the redirecting
// answer itself.
func NoRedirects(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Answer is what a server answered.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
	// Skew is how far the server's clock is ahead of this machine's, by its Date
	// header; 0 where that has none or they differ by less than it can tell.
	Skew time.Duration
	// Remote is the address that answered; not valid where a proxy was in between, or
	// where the transport has no addresses.
	Remote netip.Addr

	host string
}

// Do sends a request and reads the answer, whatever its status.
//
// Errors: Unavailable where there is no answer, or one that is too large; ctx's.
func (c *Client) Do(req *http.Request) (Answer, error) {
	remote := netip.Addr{}
	sent := time.Now()
	resp, err := c.http.Do(c.traced(req, &remote))
	if err != nil {
		return Answer{}, Unreachable(req, err)
	}
	defer resp.Body.Close()
	received := time.Now()
	body, err := io.ReadAll(io.LimitReader(resp.Body, c.maxBody+1))
	if err != nil {
		return Answer{}, Unreachable(req, err)
	}
	if int64(len(body)) > c.maxBody {
		return Answer{}, regcred.Errorf(regcred.Unavailable, "%s answers with more than %d bytes", req.URL.Host, c.maxBody)
	}
	return Answer{
		Status: resp.StatusCode, Header: resp.Header, Body: body,
		Skew: Skew(resp.Header, sent, received), Remote: remote, host: req.URL.Host,
	}, nil
}

// traced returns the request, which will note the address of who answers.
func (c *Client) traced(req *http.Request, remote *netip.Addr) *http.Request {
	transport, ok := c.http.Transport.(*http.Transport)
	if !ok {
		return req
	}
	if transport.Proxy != nil {
		if proxy, err := transport.Proxy(req); err != nil || proxy != nil {
			return req
		}
	}
	return req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			if tcp, ok := info.Conn.RemoteAddr().(*net.TCPAddr); ok {
				*remote = tcp.AddrPort().Addr().Unmap()
			}
		},
	}))
}

// PostForm sends a form and reads the answer. Errors: as Do; Invalid for a URL.
func (c *Client) PostForm(ctx context.Context, to string, form url.Values) (Answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader([]byte(form.Encode())))
	if err != nil {
		return Answer{}, regcred.Errorf(regcred.Invalid, "the URL of the issuer makes no sense")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	return c.Do(req)
}

// Err returns nil for an answer of 200 to 299, and else an error that says what
// the status means: Denied for 400, 401, 403 and 404 (an issuer's word on the
// credential), Throttled for 429, Unavailable for all else, a redirect among them.
// detail is what the server said of it, where the caller found that in the body;
// it is shown, so it must be no secret.
func (a Answer) Err(detail string) error {
	if detail != "" {
		detail = ": " + detail
	}
	switch {
	case a.Status >= 200 && a.Status < 300:
		return nil
	case a.Status == http.StatusTooManyRequests:
		return regcred.ThrottledFor(RetryAfter(a.Header, time.Now()), "%s asks to be asked less often (status 429)%s", a.host, detail)
	case a.Status >= 300 && a.Status < 400:
		return regcred.Errorf(regcred.Unavailable, "%s redirects (status %d), which is not followed: a login must not reach another server%s", a.host, a.Status, detail)
	case a.Status == http.StatusBadRequest, a.Status == http.StatusUnauthorized, a.Status == http.StatusForbidden, a.Status == http.StatusNotFound:
		return regcred.Errorf(regcred.Denied, "%s refuses (status %d)%s", a.host, a.Status, detail)
	}
	return regcred.Errorf(regcred.Unavailable, "%s answers with status %d%s", a.host, a.Status, detail)
}
