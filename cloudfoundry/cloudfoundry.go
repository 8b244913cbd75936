// Package cloudfoundry knows whom a Cloud Foundry's UAA has issued a token for, and asks
// its Cloud Controller (CAPI) which roles that user holds, with the user's own token.
//
// It never allows what it could not ask about: where CAPI or the UAA throttle, fail, do
// not answer or answer what makes no sense, the answer is an error.
package cloudfoundry

import (
	"crypto/x509"
	"net/http"
	"net/netip"
	"net/url"
	"sync/atomic"
	"time"

	"regcred.dev"
	"regcred.dev/internal/jwks"
	"regcred.dev/internal/web"
)

// Options say which Cloud Foundry it is. API is required.
type Options struct {
	// API is the URL of CAPI, such as "https://api.sys.example.com": what `cf api` takes.
	// It is https; http is for this machine alone.
	API string
	// RootCAs are trusted in place of the system's, nil for the system's.
	RootCAs *x509.CertPool
	// SkipTLSVerify trusts any certificate: for test installations alone, since whoever is
	// on the network then gets the users' tokens and grants roles.
	SkipTLSVerify bool
	// Transport carries the requests, in place of one made from the fields above. Tests
	// reach fakes in the same process by it.
	Transport http.RoundTripper
}

// Foundation is one Cloud Foundry. It may be used concurrently.
type Foundation struct {
	*Client

	about  *web.Client // asks what needs no token
	keys   *jwks.Set
	issuer atomic.Pointer[string] // the UAA's, once its keys are read

	verified verified

	roles  *cache[tokenHash, []regcred.Membership]
	holds  *cache[roleKey, bool]
	places *cache[placeKey, string]
}

// New returns a Foundation. It asks nobody before the first token. Errors: Invalid
// where API is no URL for it.
func New(o Options) (*Foundation, error) {
	client, err := NewClient(o)
	if err != nil {
		return nil, err
	}
	f := &Foundation{
		Client: client,
		about:  web.New(web.Options{Transport: client.transport}),
		roles:  newCache[tokenHash, []regcred.Membership](),
		holds:  newCache[roleKey, bool](),
		places: newCache[placeKey, string](),
	}
	f.keys = jwks.New(f.readKeys)
	return f, nil
}

// maxBody bounds an answer of CAPI, in bytes: a page of 1,000 roles with their spaces
// has about 2 MB.
const maxBody = 8 << 20

// maxAtOnce bounds how many requests CAPI has to answer at a time.
const maxAtOnce = 32

// requestTimeout bounds what one question takes, all its requests together.
const requestTimeout = 10 * time.Second

// Client asks CAPI with the tokens of others. It keeps nothing, and may be used
// concurrently.
type Client struct {
	api       *url.URL
	transport http.RoundTripper
	web       *web.Client
	slots     chan struct{}
}

// NewClient returns a Client. Errors: Invalid where API is no URL for it.
func NewClient(o Options) (*Client, error) {
	api, err := url.Parse(o.API)
	if err != nil || !mayAsk(api) || api.Path != "" && api.Path != "/" || api.RawQuery != "" || api.Fragment != "" {
		return nil, regcred.Errorf(regcred.Invalid, "%q is no URL of a Cloud Foundry API: it reads https://HOST[:PORT]", o.API)
	}
	api.Path = ""
	transport := o.Transport
	if transport == nil {
		own := web.NewTransport(web.Options{RootCAs: o.RootCAs})
		// The operator's own word.
		own.TLSClientConfig.InsecureSkipVerify = o.SkipTLSVerify
		transport = own
	}
	return &Client{
		api: api, transport: transport, slots: make(chan struct{}, maxAtOnce),
		web: web.New(web.Options{Transport: transport, MaxBody: maxBody}),
	}, nil
}

// mayAsk reports whether tokens may be sent to a URL: one of https, or of this machine.
func mayAsk(u *url.URL) bool {
	if u.Host == "" || u.User != nil || u.Opaque != "" {
		return false
	}
	addr, err := netip.ParseAddr(u.Hostname())
	return u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || err == nil && addr.IsLoopback())
}
