package archive

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strings"

	"regcred.dev"
	"regcred.dev/internal/web"
)

// isURL reports whether an archive is named by a URL, which no path looks like.
func isURL(where string) bool {
	lower := strings.ToLower(where)
	return strings.HasPrefix(lower, "https://") || strings.HasPrefix(lower, "http://")
}

// printableURL returns what may be shown of a URL: its user, password, query and
// fragment may be secrets.
func printableURL(where string) string {
	u, err := url.Parse(where)
	if err != nil {
		return "at a URL"
	}
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	return shown.String()
}

// openURL downloads an archive into a temporary file, unpacked.
func openURL(ctx context.Context, where string, o Options) (source, error) {
	u, err := url.Parse(where)
	if err != nil || u.Host == "" { // the error's text would repeat the URL
		return nil, regcred.Errorf(regcred.Invalid, "the URL is malformed: write https://HOST[:PORT]/PATH, with special characters as %%XX")
	}
	if u.Scheme == "http" && !o.AllowHTTP && !loopback(u.Hostname()) {
		return nil, regcred.Errorf(regcred.Invalid, "the URL is one of http, whose answer anybody on the way could change: use https, or permit http where you trust the network")
	}
	d := newDownload(ctx, u, o)
	defer d.Close()
	if err := d.start(); err != nil {
		return nil, err
	}
	if d.total > o.MaxUnpacked {
		return nil, regcred.Errorf(regcred.TooLarge, "it has %d bytes, more than the limit of %d", d.total, o.MaxUnpacked)
	}
	m := o.meter(Downloading, max(d.total, 0))
	defer m.stop()
	return openStream(ctx, m.reader(d), unknown, o)
}

// loopback reports whether a host is this machine as it is written.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// maxRedirects is how often a server may send us on.
const maxRedirects = 10

// newClient returns a client for one URL. Its user and password go to the URL's own
// scheme, host and port, and nowhere else.
func newClient(u *url.URL, o Options) *http.Client {
	base := o.Transport
	if base == nil {
		base = web.NewTransport(web.Options{})
	}
	return &http.Client{
		Transport: &originTransport{url: u, base: base},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			req.Header.Del("Referer") // it would tell the query
			switch {
			case len(via) > maxRedirects:
				return regcred.Errorf(regcred.Unavailable, "the server sends us on more than %d times", maxRedirects)
			case via[len(via)-1].URL.Scheme == "https" && req.URL.Scheme != "https":
				return regcred.Errorf(regcred.Denied, "the server sends us on from https to %.20s://%.200s, where anybody could change the archive", req.URL.Scheme, req.URL.Host)
			case req.URL.Scheme != "https" && !o.AllowHTTP && !loopback(req.URL.Hostname()):
				return regcred.Errorf(regcred.Denied, "the server sends us on to %.20s://%.200s, where anybody could change the archive", req.URL.Scheme, req.URL.Host)
			}
			return nil
		},
	}
}

// originTransport logs in at the origin of one URL. It sees every request on its own,
// those after a redirect too.
type originTransport struct {
	url  *url.URL
	base http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t *originTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Del("Authorization")
	user := t.url.User
	if user != nil && req.URL.Scheme == t.url.Scheme && strings.EqualFold(req.URL.Host, t.url.Host) {
		password, _ := user.Password()
		req.SetBasicAuth(user.Username(), password)
	}
	return t.base.RoundTrip(req)
}
