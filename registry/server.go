package registry

import (
	"cmp"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"regcred.dev"
	"regcred.dev/token"
)

// Options configure a Server.
type Options struct {
	// Storage is the registry that is served. Required.
	Storage *Storage
	// Tokens checks logins and signs Bearer tokens: a *token.Service. Its longest
	// lifetime must be 5 minutes or more. Required.
	Tokens tokens
	// PublicURL is how clients reach the server. Where it is nil, the challenge
	// follows the Host header and TLS of each request; set it behind a proxy that
	// changes those.
	PublicURL *url.URL
	// Redirect says whether clients get blobs from the storage itself.
	Redirect Redirect
	// Owners are the hosts, each with its port if it has one, that blobs may be
	// linked at which somebody else hosts: clients that pull them are sent there.
	Owners []string
	// TrustedProxies are the networks of proxies whose X-Forwarded-For header says where
	// a request comes from. Any other request that was forwarded comes from no network
	// that Rule.PushFrom names.
	TrustedProxies []netip.Prefix
	// Elsewhere reports whether a handler before the Server lets whoever sent a request
	// pull a repository. Clients without a login get a Bearer token for it too: Docker
	// asks for one before it pulls anything. nil means that there is none.
	Elsewhere func(r *http.Request, repo string) bool
	// Patience is how long a client that sends content may send none of it before it
	// is cut. What came until then is kept: the upload can be gone on with. 0 means
	// DefaultPatience.
	Patience time.Duration
	// Audit is the audit log, an *audit.Log; nil means none. What changes a repository is
	// in it before it is done, what else there is to know of shortly after; reads of
	// manifests and blobs are not in it, unless they were refused.
	Audit auditLog
	// Log gets each request at debug level and faults at error level; nil discards.
	Log *slog.Logger
	// Metrics is where the server's metrics are registered; nil means nowhere.
	Metrics prometheus.Registerer
}

// DefaultPatience is how long clients may stall.
const DefaultPatience = time.Minute

// Server serves a registry by the OCI distribution specification, to whom a login
// of regcred allows it: an API token or a registry login as the password of HTTP
// Basic authentication, or a Bearer token from TokenPath. Without a login
// there is what the storage's Policy opens.
//
// It answers the paths /v2, those below /v2/, and TokenPath.
type Server struct {
	storage   *Storage
	tokens    tokens
	public    *url.URL
	proxies   []netip.Prefix
	elsewhere func(r *http.Request, repo string) bool
	redirect  Redirect
	owners    []string
	patience  time.Duration
	audit     auditLog
	log       *slog.Logger
	metrics   *metrics
}

// New returns a Server. Errors: Invalid where a required option is missing, an owner
// is no host, or the storage cannot be redirected to; those of registering the
// metrics.
func New(o Options) (*Server, error) {
	if o.Storage == nil || o.Tokens == nil {
		return nil, regcred.Errorf(regcred.Invalid, "a registry server needs a storage and tokens")
	}
	if o.Redirect.Enabled && o.Storage.locator == nil {
		return nil, regcred.Errorf(regcred.Invalid, "clients cannot be sent to this storage, which has no URLs: turn redirects off")
	}
	if err := checkOwners(o.Owners); err != nil {
		return nil, err
	}
	o.Redirect.Lifetime = cmp.Or(o.Redirect.Lifetime, DefaultRedirectLifetime)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Audit == nil {
		o.Audit = noLog{}
	}
	m := newMetrics()
	if o.Metrics != nil {
		if err := m.register(o.Metrics); err != nil {
			return nil, err
		}
	}
	return &Server{
		storage: o.Storage, tokens: o.Tokens, public: o.PublicURL, proxies: o.TrustedProxies,
		elsewhere: o.Elsewhere, redirect: o.Redirect, owners: o.Owners,
		patience: cmp.Or(o.Patience, DefaultPatience), audit: o.Audit, log: o.Log, metrics: m,
	}, nil
}

// The values of headers that every answer has. They are shared, and never changed.
var (
	apiVersion = []string{"registry/2.0"}
	noSniff    = []string{"nosniff"}
)

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rec := newRecorder(w, r, s.patience)
	defer s.observe(rec, r)
	h := rec.Header()
	h["Docker-Distribution-Api-Version"] = apiVersion
	h["X-Content-Type-Options"] = noSniff
	if r.URL.Path == TokenPath {
		if err := s.serveToken(rec, r); err != nil {
			s.writeError(rec, r, `Basic realm="regcred"`, err)
		}
	} else {
		s.serveRegistry(rec, r)
	}
}

// serveRegistry answers a request of the registry protocol.
func (s *Server) serveRegistry(rec *recorder, r *http.Request) {
	q, err := parsePath(r.URL.Path)
	if err == nil {
		rec.resource, rec.repo, rec.tag = q.resource, q.repo, q.tag
		err = s.dispatch(rec, r, q)
	}
	if err == nil {
		return
	}
	reason := ""
	if c, ok := errors.AsType[*challengeError](err); ok {
		reason = c.reason
	}
	s.writeError(rec, r, s.challenge(r, q, reason), err)
}

// dispatch asks who sent the request, whether they may, and then the handler.
func (s *Server) dispatch(rec *recorder, r *http.Request, q request) error {
	route, ok := routes[q.resource][r.Method]
	if !ok {
		return &methodError{allowed(q.resource)}
	}
	who, err := s.authenticate(r)
	if err != nil {
		if who.bearer && regcred.CodeOf(err) == regcred.Unauthenticated {
			return &challengeError{err: err, reason: "invalid_token"}
		}
		return err
	}
	rec.subject = who.subject
	if !who.mayDo(q, route.action) {
		return s.refused(r, who, q, refusal(who, q, route.action))
	}
	q.access = who
	if route.action == token.Delete {
		if err := s.allowed(r, q, nameOf(q)); err != nil {
			return err
		}
	}
	return s.denied(r, q, route.handle(s, rec, r, q))
}

// ping answers /v2/: the registry is there and the login is valid.
func (s *Server) ping(w http.ResponseWriter, _ *http.Request, _ request) error {
	return writeJSON(w, http.StatusOK, struct{}{})
}
