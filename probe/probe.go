package probe

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"regcred.dev"
	"regcred.dev/imageref"
	"regcred.dev/internal/web"
)

// MaxTime bounds a probe, all its requests together.
const MaxTime = 30 * time.Second

// hubHost is who answers for docker.io.
const hubHost = "registry-1.docker.io"

// Options configure a Prober. The zero Options are usable.
type Options struct {
	// Transport carries the requests, in place of ones made from the fields below it,
	// which look at addresses as they are dialed. Tests reach fakes in the same process
	// by it.
	Transport http.RoundTripper
	// RootCAs are trusted in place of the system's. TLS is always verified.
	RootCAs *x509.CertPool
	// Refuse says at which addresses no registry is asked. Default: link-local and
	// metadata addresses.
	Refuse func(netip.Addr) bool
	// PublicOnly has nobody asked in a private network or on this machine, whatever
	// Refuse and PlainHTTP say: for callers who could use the server to look around
	// there. A Transport must see to that itself.
	PublicOnly bool
	// PlainHTTP says which hosts (HOST[:PORT]) may be asked over http where they do not
	// speak TLS. Default: those of this machine.
	PlainHTTP func(host string) bool
}

// Prober asks registries. It may be used concurrently.
type Prober struct {
	registries *web.Client
	realms     map[reach]*web.Client
	plainHTTP  func(host string) bool
}

// New returns a Prober.
func New(o Options) *Prober {
	if o.Refuse == nil {
		o.Refuse = web.Local
	}
	if o.PlainHTTP == nil {
		o.PlainHTTP = func(host string) bool { return reachOf(netip.Addr{}, host) == machine }
	}
	if o.PublicOnly {
		o.Refuse = web.Private
		o.PlainHTTP = func(string) bool { return false }
	}
	client := func(refuse func(netip.Addr) bool) *web.Client {
		return web.New(web.Options{Transport: o.Transport, RootCAs: o.RootCAs, Refuse: refuse})
	}
	p := &Prober{registries: client(o.Refuse), realms: map[reach]*web.Client{}, plainHTTP: o.PlainHTTP}
	for _, r := range []reach{public, private, machine} {
		refuse := r.refuse
		if o.PublicOnly {
			refuse = web.Private
		}
		p.realms[r] = client(refuse)
	}
	return p
}

// Report is what a probe found. It holds no secret.
type Report struct {
	// Steps are the requests and their answers, in order.
	Steps []Step
	// Accepted: the registry, or its token service, did not refuse the login.
	Accepted bool
	// Anonymous: the registry asks for no login, so that Accepted says little.
	Anonymous bool
	// Pull: the repository that was named may be pulled.
	Pull bool
	// Skew is how far the registry's clock is ahead of this machine's, 0 where they
	// agree as far as one can tell.
	Skew time.Duration
}

// Step is one request and its answer, in words.
type Step struct {
	Asked    string
	Answered string
}

// String returns the step as one line.
func (s Step) String() string { return s.Asked + " -> " + s.Answered }

// Probe asks the registry at host (in canonical form, imageref.Location.Host)
// whether it accepts the login and, where repository is not "", whether that may be
// pulled. A repository may have a tag or digest, which is then asked for; else
// "latest" is, which need not exist. No error means that the login is accepted, and
// may pull. The Report is filled as far as the probe went, with an error too.
//
// Errors: Invalid where host or repository cannot be one, the login is not for
// that host, or no registry answers there; Denied where the login is refused, or may
// not pull; NotFound where the repository does not exist, or the login may not see it;
// Throttled where the registry asks to be asked less often; Unavailable where it
// cannot be reached or answers what makes no sense; ctx's.
func (p *Prober) Probe(ctx context.Context, host string, login regcred.Login, repository string) (Report, error) {
	q, err := p.inquiry(host, login, repository)
	if err != nil {
		return Report{}, err
	}
	limited, cancel := context.WithTimeout(ctx, MaxTime)
	defer cancel()
	err = q.run(limited)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		err = regcred.Errorf(regcred.Unavailable, "%s did not answer within %s", q.host, MaxTime)
	}
	return q.report, err
}

// inquiry is one probe at work.
type inquiry struct {
	prober     *Prober
	login      regcred.Login
	host       string // whom to ask
	base       string // SCHEME://HOST
	repository string // "": none was named
	reference  string // a tag or digest in it
	scope      string // what a token has to be for
	from       reach  // of who asked for the login
	report     Report
}

// inquiry checks what to ask, without any I/O.
func (p *Prober) inquiry(host string, login regcred.Login, repository string) (*inquiry, error) {
	location, err := imageref.ParseLocation(host)
	if err != nil || location.Path() != "" {
		return nil, regcred.Errorf(regcred.Invalid, "%q is no registry host", host)
	}
	host = location.Host()
	if login.Password.IsZero() {
		return nil, regcred.Errorf(regcred.Invalid, "there is no login to try at %s", host)
	}
	if !login.Serves(host) {
		return nil, regcred.Errorf(regcred.Invalid, "wrong registry: the login is for %s, not for %s, and is not sent there", strings.Join(login.Hosts, ", "), host)
	}
	q := &inquiry{prober: p, login: login, host: host}
	if repository != "" {
		image, err := imageref.ParseImage(host + "/" + repository)
		if err != nil || image.Host() != host {
			return nil, regcred.Errorf(regcred.Invalid, "%q is no repository of %s", repository, host)
		}
		q.repository, q.reference = image.Path(), cmp.Or(image.Digest(), image.Tag(), "latest")
		q.scope = "repository:" + q.repository + ":pull"
	}
	if host == imageref.DockerHub {
		q.host = hubHost
	}
	q.base = "https://" + q.host
	return q, nil
}
