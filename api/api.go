// Package api serves regcred over HTTP: requests in, service calls, answers out.
//
// /v3/registry_credentials follows Cloud Foundry's API v3, with its pagination and
// error envelope; regcred's own resources stand under /regcred/v1/ and use the
// same envelope. The registry, /healthz, /readyz and /metrics are mounted beside
// them.
package api

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"regcred.dev"
	"regcred.dev/service"
)

const (
	// maxBody bounds a request's body, in bytes.
	maxBody = 1 << 20
	// readTimeout bounds how long a request's body may take to arrive.
	readTimeout = 30 * time.Second
)

// Options are what a handler works with; all but Address and Log are required.
type Options struct {
	Service *service.Service
	// Authenticate returns the caller that an API token stands for.
	Authenticate func(ctx context.Context, now time.Time, token string) (regcred.Caller, error)
	// AuthenticateKubelet does so where a kubelet asks for a login: its token may be a
	// workload's too.
	AuthenticateKubelet func(ctx context.Context, now time.Time, token string) (regcred.Caller, error)
	// Address returns where a request comes from, as the audit log has it; nil takes its
	// peer's address.
	Address func(*http.Request) string
	// Mounts are served beside the API, by the patterns of http.ServeMux: the
	// registry, which authenticates for itself.
	Mounts map[string]http.Handler
	// Metrics are what /metrics serves.
	Metrics Metrics
	// Images answers all paths below /v2/. They are most of what is asked for, and are
	// neither looked for among the API's nor given an id as its requests are, which
	// together take as long as half of an answer's making. nil is for none.
	Images http.Handler
	// Ready says why the server is not ready to serve, nil where it is.
	Ready func() error
	// PublicURL is how clients reach the server: links in answers begin with it.
	PublicURL *url.URL
	// LocalURL is where it listens, for clients on its machine.
	LocalURL string
	// Log is where refusals and faults are said; nil discards them.
	Log *slog.Logger
}

type handler struct {
	Options
	mux *http.ServeMux
	// base is PublicURL without a slash behind it.
	base string
}

// New returns the handler of the whole HTTP surface.
func New(o Options) http.Handler {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Address == nil {
		o.Address = func(r *http.Request) string {
			host, _, _ := net.SplitHostPort(r.RemoteAddr)
			return host
		}
	}
	h := &handler{Options: o, mux: http.NewServeMux()}
	if o.PublicURL != nil {
		h.base = strings.TrimSuffix(o.PublicURL.String(), "/")
	}
	for pattern, op := range h.operations() {
		h.route(pattern, op)
	}
	for pattern, mounted := range o.Mounts {
		h.mux.Handle(pattern, mounted)
	}
	h.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	h.mux.HandleFunc("GET /readyz", h.ready)
	h.mux.HandleFunc("GET /metrics", h.metrics)
	h.mux.HandleFunc("GET /openapi.json", serveOpenAPI)
	h.mux.HandleFunc("GET /openapi", h.serveContractPage)
	h.mux.HandleFunc("/", h.nothing)
	return http.HandlerFunc(h.serve)
}

// serve survives the panics of what it serves, and says them.
func (h *handler) serve(w http.ResponseWriter, r *http.Request) {
	next := http.Handler(h.mux)
	if h.Images != nil && strings.HasPrefix(r.URL.Path, "/v2/") {
		next = h.Images
	} else {
		r = identified(w, r)
	}
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			panic(p) // how a handler breaks off an answer
		}
		h.Log.ErrorContext(r.Context(), "panic", "method", r.Method, "path", r.URL.Path, "request", requestID(r), "panic", p, "stack", string(debug.Stack()))
		h.fail(w, r, regcred.Errorf(regcred.Internal, "panic"))
	}()
	next.ServeHTTP(w, r)
}

// nothing answers where no pattern matches: 405 where one would for another
// method.
func (h *handler) nothing(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPatch, http.MethodDelete} {
		other := r.Clone(r.Context())
		other.Method = method
		if _, pattern := h.mux.Handler(other); pattern != "/" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) > 0 {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		h.fail(w, r, &requestError{http.StatusMethodNotAllowed, 10000, "CF-NotFound", r.Method + " is not possible here"})
		return
	}
	h.fail(w, r, &requestError{http.StatusNotFound, 10000, "CF-NotFound", "Unknown request: there is nothing at " + r.URL.Path})
}

// An operation answers one authenticated request.
type operation func(call) (answer, error)

// operations are the API, by the patterns of http.ServeMux.
func (h *handler) operations() map[string]operation {
	return map[string]operation{
		"GET /v3/registry_credentials":           h.listCredentials,
		"POST /v3/registry_credentials":          plain(h.createCredential),
		"GET /v3/registry_credentials/{guid}":    plain(h.getCredential),
		"PATCH /v3/registry_credentials/{guid}":  h.updateCredential,
		"DELETE /v3/registry_credentials/{guid}": plain(h.deleteCredential),

		"POST /regcred/v1/app_registry_credentials":                    plain(h.createAppCredential),
		"POST /regcred/v1/registry_credentials/{guid}/actions/refresh": h.refreshCredential,
		"POST /regcred/v1/registry_credentials/{guid}/actions/check":   h.checkCredential,

		"GET /regcred/v1/providers":        h.listProviders,
		"GET /regcred/v1/providers/{name}": plain(h.getProvider),
		"GET /regcred/v1/profiles":         h.listProfiles,

		"GET /regcred/v1/resolve":                  h.resolve,
		"GET /regcred/v1/docker_config":            h.dockerConfig,
		kubeletRoute:                               h.kubeletLogin,
		"GET /regcred/v1/status":                   plain(h.status),
		"POST /regcred/v1/targets/actions/confirm": h.confirmTarget,

		"GET /regcred/v1/registry/repositories":           h.listRepositories,
		"GET /regcred/v1/registry/tags":                   h.listTags,
		"DELETE /regcred/v1/registry/tags":                h.deleteTag,
		"POST /regcred/v1/registry/tags/actions/rollback": h.rollbackTag,
		"GET /regcred/v1/registry/history":                h.tagHistory,
		"DELETE /regcred/v1/registry/manifests":           h.deleteManifest,
		"POST /regcred/v1/registry/actions/collect":       h.collectGarbage,
		"POST /regcred/v1/registry/actions/check":         h.checkRegistry,
		"GET /regcred/v1/registry/operations":             h.listOperations,
		"GET /regcred/v1/registry/operations/{id}":        h.getOperation,
		"GET /regcred/v1/registry/statistics":             h.registryStatistics,

		"GET /regcred/v1/audit": h.readAudit,

		"GET /regcred/v1/tokens":         h.listTokens,
		"POST /regcred/v1/tokens":        plain(h.createToken),
		"DELETE /regcred/v1/tokens/{id}": plain(h.deleteToken),
	}
}

// Routes returns the patterns of all operations, sorted. Tests hold a case for
// each.
func Routes() []string {
	return slices.Sorted(maps.Keys(new(handler).operations()))
}

func (h *handler) ready(w http.ResponseWriter, _ *http.Request) {
	if err := h.Ready(); err != nil {
		http.Error(w, regcred.MessageOf(err), http.StatusServiceUnavailable)
		return
	}
	_, _ = w.Write([]byte("ok\n"))
}

// A call is one authenticated request.
type call struct {
	*http.Request
	caller regcred.Caller
}

// route serves an operation: it authenticates, bounds the body, and writes what
// the operation returns, or its error. A slash at the end of the path makes no difference,
// as in Cloud Foundry's API.
func (h *handler) route(pattern string, op operation) {
	identify := h.caller
	if pattern == kubeletRoute {
		identify = h.kubeletCaller
	}
	serve := func(w http.ResponseWriter, r *http.Request) {
		caller, err := identify(r)
		if err != nil {
			h.fail(w, r, err)
			return
		}
		if err := checkQuery(r.URL); err != nil {
			h.fail(w, r, err)
			return
		}
		if r.Body != http.NoBody {
			// What an operation reads is small. Once the time is over, so is the request: one
			// that takes long has no body.
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(readTimeout))
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		}
		a, err := op(call{Request: r, caller: caller})
		if err != nil {
			h.fail(w, r, err)
			return
		}
		h.write(w, r, a)
	}
	h.mux.HandleFunc(pattern, serve)
	h.mux.HandleFunc(pattern+"/{$}", serve)
}

type localKey struct{}

// LocalContext marks the connections of a listener that only the server's owner
// can reach, such as its Unix socket: their caller is regcred.Local.
func LocalContext(ctx context.Context) context.Context {
	return context.WithValue(ctx, localKey{}, true)
}

// isLocal reports whether a request came by a connection of LocalContext.
func isLocal(r *http.Request) bool { return r.Context().Value(localKey{}) != nil }

// caller returns who sent a request.
func (h *handler) caller(r *http.Request) (regcred.Caller, error) {
	if isLocal(r) {
		return regcred.Local, nil
	}
	return h.bearer(r, h.Authenticate)
}

// bearer returns the caller that the bearer token of a request stands for. One that is
// not good is recorded.
func (h *handler) bearer(r *http.Request, authenticate func(context.Context, time.Time, string) (regcred.Caller, error)) (regcred.Caller, error) {
	header := r.Header.Get("Authorization")
	if header == "" {
		return regcred.Caller{}, regcred.Errorf(regcred.Unauthenticated, "authentication is required: send an API token as bearer token")
	}
	caller, err := presented(r, header, authenticate)
	if err != nil {
		h.Service.RefuseToken(r.Context(), h.Address(r), err)
		return regcred.Caller{}, err
	}
	caller.From = h.Address(r)
	return caller, nil
}

// presented returns the caller that an Authorization header stands for.
func presented(r *http.Request, header string, authenticate func(context.Context, time.Time, string) (regcred.Caller, error)) (regcred.Caller, error) {
	scheme, token, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "bearer") {
		return regcred.Caller{}, regcred.NewBadToken(regcred.TokenMalformed, "", "authentication is by bearer token")
	}
	return authenticate(r.Context(), time.Now(), strings.TrimSpace(token))
}
