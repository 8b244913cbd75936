package amazon

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"regcred.dev/internal/web"
)

// Client is the HTTP client of one mint: it follows no redirect, reads no endless
// body, and notes how far AWS's clock is ahead. It implements aws.HTTPClient.
type Client struct {
	http     *http.Client
	recorder *web.Recorder
}

// NewClient returns a Client. Close it after the mint. transport is nil for one of
// its own.
//
// Where the server's own configuration says who asks, link-local addresses can be
// reached, and without a proxy: the services that know a machine's identity are
// there.
func (s Settings) NewClient(transport http.RoundTripper) *Client {
	if transport == nil {
		own := web.NewTransport(web.Options{RootCAs: s.RootCAs, LocalAllowed: s.Own()})
		own.Proxy = exceptLocal(own.Proxy)
		transport = own
	}
	recorder := &web.Recorder{Transport: transport}
	return &Client{
		http:     &http.Client{Transport: recorder, CheckRedirect: web.NoRedirects},
		recorder: recorder,
	}
}

// exceptLocal is a proxy function (http.Transport.Proxy), but for addresses that no
// proxy can reach in this machine's place. Whether they may be asked is up to the
// dialer.
func exceptLocal(proxy func(*http.Request) (*url.URL, error)) func(*http.Request) (*url.URL, error) {
	return func(req *http.Request) (*url.URL, error) {
		if addr, ok := web.Literal(req.URL.Hostname()); ok && web.Local(addr) {
			return nil, nil // no proxy, as http.Transport.Proxy says it
		}
		return proxy(req)
	}
}

// Close closes connections that are left open.
func (c *Client) Close() {
	if own, ok := c.recorder.Transport.(*http.Transport); ok {
		own.CloseIdleConnections()
	}
}

// Skew returns how far the clock of whoever answered last is ahead.
func (c *Client) Skew() time.Duration { return c.recorder.Skew() }

// Do sends a request. Errors: Unavailable, naming the host alone; ctx's.
func (c *Client) Do(req *http.Request) (*http.Response, error) {
	resp, err := c.http.Do(req) //nolint:gosec // only an admin directs it elsewhere than to AWS
	if err != nil {
		return nil, web.Unreachable(req, err)
	}
	resp.Body = http.MaxBytesReader(nil, resp.Body, web.DefaultMaxBody)
	return resp, nil
}

// retryer tries once more where a request was refused because its signature's time
// is off: the SDK then signs by AWS's clock (its clock skew correction), and marks
// the error as one to retry. All other retries are refresh's.
type retryer struct{ aws.NopRetryer }

func newRetryer() aws.Retryer { return retryer{} }

// MaxAttempts implements aws.Retryer.
func (retryer) MaxAttempts() int { return 2 }

// RetryDelay implements aws.Retryer.
func (retryer) RetryDelay(int, error) (time.Duration, error) { return 0, nil }

// IsErrorRetryable implements aws.Retryer.
func (retryer) IsErrorRetryable(err error) bool {
	marked, ok := errors.AsType[interface {
		error
		RetryableError() bool
	}](err)
	return ok && marked.RetryableError()
}
