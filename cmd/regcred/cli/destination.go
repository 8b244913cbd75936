package cli

import (
	"cmp"
	"context"
	"net/url"
	"strings"

	"regcred.dev"
	"regcred.dev/registry/publish"
)

// destination is a registry to publish to.
type destination struct {
	registry publish.Destination
	host     string // in the names of its images
}

// destination returns the registry to publish to: with --to that of another
// server, else that of the server that other commands talk to. A token goes to
// the server that it is for, and nowhere else.
func (p *Program) destination(ctx context.Context, to string) (destination, error) {
	if to != "" {
		u, err := p.allowed(to)
		if err != nil {
			return destination{}, err
		}
		return remoteDestination(to, u.Host, p.remoteToken())
	}
	c, err := p.connect(ctx)
	if err != nil {
		return destination{}, err
	}
	if server := p.remote(); server != "" {
		u, err := url.Parse(server) // connect has checked it
		if err != nil {
			return destination{}, err
		}
		return remoteDestination(server, u.Host, p.remoteToken())
	}
	st, err := c.Status(ctx)
	if err != nil {
		return destination{}, err
	}
	token, err := p.adminToken()
	if err != nil {
		return destination{}, err
	}
	public, err := url.Parse(st.URL)
	if err != nil || st.LocalURL == "" {
		return destination{}, regcred.Errorf(regcred.Unavailable, "the local server does not say where it listens: is it another version of regcred? This is %s", Version())
	}
	if strings.HasPrefix(st.LocalURL, "https:") { // its certificate is for other names
		registry, err := publish.Remote("http://local", token, p.localTransport())
		return destination{registry, public.Host}, err
	}
	return remoteDestination(st.LocalURL, public.Host, token)
}

func remoteDestination(url, host string, token regcred.Secret) (destination, error) {
	registry, err := publish.Remote(url, token, nil)
	return destination{registry, host}, err
}

// allowed parses --to and returns an error unless REGCRED_TOKEN is meant for it:
// where REGCRED_SERVER is the same server, or is not set.
func (p *Program) allowed(to string) (*url.URL, error) {
	u, err := url.Parse(to)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		return nil, usagef("--to: only regcred servers can be published to: write http[s]://HOST[:PORT]")
	}
	if p.remoteToken().IsZero() {
		return nil, regcred.Errorf(regcred.Invalid, "--to %s: set REGCRED_TOKEN to an API token of that server; to publish to the local one leave --to out", to)
	}
	if server := p.remote(); server != "" {
		if s, err := url.Parse(server); err != nil || origin(s) != origin(u) {
			return nil, regcred.Errorf(regcred.Invalid, "--to %s is not REGCRED_SERVER, which REGCRED_TOKEN is for: set both to that server", to)
		}
	}
	return u, nil
}

// origin is who requests to a URL go to: scheme, host and port.
func origin(u *url.URL) string {
	scheme := strings.ToLower(u.Scheme)
	port := cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[scheme])
	return scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}
