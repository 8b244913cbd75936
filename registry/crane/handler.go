package crane

import (
	"log/slog"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"regcred.dev"
	"regcred.dev/registry"
)

// Options configure a Handler. It needs a Directory, or Server and Storage, or all.
type Options struct {
	// Directory is Crane's metadata; nil for none.
	Directory *Directory
	// Server and Storage are our own registry; both or neither are set. Server's
	// Elsewhere should be the Directory's Serves.
	Server  *registry.Server
	Storage *registry.Storage
	// Endpoint is what the v1 protocol names as the registry's host, with its port if
	// it has one; "" is the host of the request.
	Endpoint string
	// CDN changes the URLs of v2's redirects.
	CDN CDN
	// Log gets faults at error level; nil discards.
	Log *slog.Logger
	// Metrics is where metrics of the directory are registered; nil means nowhere.
	Metrics prometheus.Registerer
}

// Handler answers the paths below /v1/, /v2/ and /crane/, and /v2. Those of v2 that
// it does not answer itself go to Options.Server.
type Handler struct {
	directory *Directory
	server    *registry.Server
	storage   *registry.Storage
	endpoint  string
	rewriter  *rewriter
	log       *slog.Logger
	metrics   *metrics
	prints    fingerprints
}

// New returns a Handler. Errors: Invalid; those of registering the metrics.
func New(o Options) (*Handler, error) {
	if (o.Server == nil) != (o.Storage == nil) || o.Server == nil && o.Directory == nil {
		return nil, regcred.Errorf(regcred.Invalid, "a handler of Crane's paths needs a directory of metadata, or a registry server with its storage")
	}
	rewriter, err := o.CDN.rewriter()
	if err != nil {
		return nil, err
	}
	h := &Handler{
		directory: o.Directory, server: o.Server, storage: o.Storage,
		endpoint: o.Endpoint, rewriter: rewriter, log: o.Log,
	}
	if h.directory == nil {
		h.directory = &Directory{}
		h.directory.set.Store(&set{})
		h.directory.status.Store(&Status{})
	}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	if h.metrics, err = newMetrics(o.Metrics, h.directory); err != nil {
		return nil, err
	}
	return h, nil
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/v2", strings.HasPrefix(r.URL.Path, "/v2/"):
		h.serveV2(w, r)
	case strings.HasPrefix(r.URL.Path, "/v1/"):
		h.serveV1(w, r)
	default:
		h.serveLists(w, r)
	}
}
