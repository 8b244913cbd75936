package publish

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"cuelabs.dev/go/oci/ociregistry"
	"cuelabs.dev/go/oci/ociregistry/ociclient"

	"regcred.dev"
)

// Remote returns the registry of the server at serverURL, such as
// "https://regcred.example.com", logging in with an API token or a login's
// password. An empty token logs in as nobody. A nil transport means Go's default
// one.
//
// The token goes to that very scheme, host and port, with each request there,
// and nowhere else: not where a redirect or an upload's Location points to, and
// not to the token service that a challenge names, which is never asked. From
// https nothing at all is sent on to http. Errors: Invalid for a malformed URL.
func Remote(serverURL string, token regcred.Secret, transport http.RoundTripper) (Destination, error) {
	u, err := url.Parse(serverURL)
	if err != nil { // its text would repeat a password in the URL
		return nil, regcred.Errorf(regcred.Invalid, "the server's URL is malformed: write http[s]://HOST[:PORT]")
	}
	if u.User != nil {
		return nil, regcred.Errorf(regcred.Invalid, "the server's URL holds a user name: leave it out and give the token by itself")
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, regcred.Errorf(regcred.Invalid, "%.200q is no server's URL: write http[s]://HOST[:PORT], without a path", serverURL)
	}
	if transport == nil {
		transport = http.DefaultTransport
	}
	t := &originTransport{origin: originOf(u), token: token, base: transport}
	dst, err := ociclient.New(u.Host, &ociclient.Options{Transport: t, Insecure: u.Scheme == "http"})
	if err != nil {
		return nil, regcred.Errorf(regcred.Invalid, "%.200q is no server's URL: %w", serverURL, err)
	}
	return &remote{Interface: dst, host: u.Host, transport: t}, nil
}

// remote is a client that also takes back uploads, which ociclient's does not.
type remote struct {
	ociregistry.Interface
	host      string
	transport *originTransport
}

// PushBlobChunked implements Destination.
func (r *remote) PushBlobChunked(ctx context.Context, repo string, chunkSize int) (ociregistry.BlobWriter, error) {
	w, err := r.Interface.PushBlobChunked(ctx, repo, chunkSize)
	if err != nil {
		return nil, err
	}
	return &remoteUpload{BlobWriter: w, ctx: ctx, transport: r.transport}, nil
}

type remoteUpload struct {
	ociregistry.BlobWriter
	ctx       context.Context
	transport *originTransport
}

// cancelTimeout bounds how long the end of a failed upload may take.
const cancelTimeout = 5 * time.Second

// Cancel has the registry discard what has arrived (OCI distribution specification,
// "Cancel a blob upload"), also where the upload failed because its context ended.
func (w *remoteUpload) Cancel() error {
	u, err := url.Parse(w.ID())
	if err != nil {
		return err
	}
	return w.transport.discard(w.ctx, u)
}

// discard ends an upload at the transport's origin.
func (t *originTransport) discard(ctx context.Context, u *url.URL) error {
	if originOf(u) != t.origin {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cancelTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodDelete, u.String(), nil)
	if err != nil {
		return err
	}
	resp, err := t.RoundTrip(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// origin is who a request goes to: credentials of one are never for another.
type origin struct{ scheme, host, port string }

func originOf(u *url.URL) origin {
	o := origin{strings.ToLower(u.Scheme), strings.ToLower(u.Hostname()), u.Port()}
	switch {
	case o.port != "":
	case o.scheme == "https":
		o.port = "443"
	case o.scheme == "http":
		o.port = "80"
	}
	return o
}

// originTransport logs in at one origin. It is below the client that follows
// redirects, so it sees every request on its own.
type originTransport struct {
	origin origin
	token  regcred.Secret
	base   http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t *originTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	to := originOf(req.URL)
	switch {
	case to == t.origin:
		if !t.token.IsZero() {
			req.SetBasicAuth("regcred", t.token.Reveal()) // any user name will do
		}
	case t.origin.scheme == "https" && to.scheme != "https":
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, regcred.Errorf(regcred.Denied, "the registry sends us on from https to %s://%s, where anybody could listen: its configuration is wrong", to.scheme, to.host)
	default:
		for _, name := range []string{"Authorization", "Cookie", "Referer"} {
			req.Header.Del(name)
		}
	}
	return t.base.RoundTrip(req)
}
