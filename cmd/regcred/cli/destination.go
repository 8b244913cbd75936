package cli

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"strings"

	"regcred.dev"
	"regcred.dev/registry/bucket"
	"regcred.dev/registry/publish"
	"regcred.dev/registry/static"
)

// destination is a registry to publish to.
type destination struct {
	registry publish.Destination
	host     string // in the names of its images
	close    func() error
}

// Close lets go of it.
func (d destination) Close() error {
	if d.close == nil {
		return nil
	}
	return d.close()
}

// destination returns the registry to publish to: what --to names, else that of the
// server that other commands talk to.
func (p *Program) destination(ctx context.Context, f publishFlags) (destination, error) {
	scheme, rest, _ := strings.Cut(f.to, "://")
	if scheme != "s3" && (f.s3.given() || f.public) {
		return destination{}, usagef("--public and what begins with --s3 go with --to s3://BUCKET[/PREFIX]")
	}
	switch scheme {
	case "s3":
		return p.bucketDestination(ctx, rest, f)
	case "file":
		return directoryDestination(ctx, rest, f)
	}
	return p.serverDestination(ctx, f.to)
}

// bucketDestination returns the static registry in a bucket.
func (p *Program) bucketDestination(ctx context.Context, where string, f publishFlags) (destination, error) {
	name, prefix, err := splitBucket(where)
	if err != nil {
		return destination{}, err
	}
	o, err := f.s3.options(p.Getenv, name, prefix)
	if err != nil {
		return destination{}, err
	}
	site, err := bucket.NewSite(ctx, o)
	if err != nil {
		return destination{}, err
	}
	if err := site.Claim(ctx); err != nil {
		return destination{}, err
	}
	if f.public {
		if _, err := site.LetAnybodyRead(ctx, static.Root); err != nil {
			return destination{}, err
		}
	}
	r, err := static.New(ctx, site, static.Options{SpoolDir: f.spoolDir})
	return destination{registry: r, host: strings.TrimSuffix("s3://"+name+"/"+prefix, "/")}, err
}

// directoryDestination returns the static registry in a directory.
func directoryDestination(ctx context.Context, dir string, f publishFlags) (destination, error) {
	if dir == "" {
		return destination{}, usagef("--to: write file://DIRECTORY, as in file:///srv/registry")
	}
	d, err := static.OpenDirectory(dir)
	if err != nil {
		return destination{}, err
	}
	r, err := static.New(ctx, d, static.Options{SpoolDir: f.spoolDir})
	if err != nil {
		return destination{}, errors.Join(err, d.Close())
	}
	return destination{registry: r, host: "file://" + strings.TrimSuffix(dir, "/"), close: d.Close}, nil
}

// serverDestination returns the registry of a server, "" for the one that other commands
// talk to. A token goes to the server that it is for, and nowhere else.
func (p *Program) serverDestination(ctx context.Context, to string) (destination, error) {
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
		return destination{registry: registry, host: public.Host}, err
	}
	return remoteDestination(st.LocalURL, public.Host, token)
}

func remoteDestination(url, host string, token regcred.Secret) (destination, error) {
	registry, err := publish.Remote(url, token, nil)
	return destination{registry: registry, host: host}, err
}

// allowed parses --to and returns an error unless REGCRED_TOKEN is meant for it:
// where REGCRED_SERVER is the same server, or is not set.
func (p *Program) allowed(to string) (*url.URL, error) {
	u, err := url.Parse(to)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		return nil, usagef("--to: write http[s]://HOST[:PORT] of a regcred server, s3://BUCKET[/PREFIX] or file://DIRECTORY")
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
