package crane

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what a Handler counts, and how its directory is.
type metrics struct {
	redirects *prometheus.CounterVec
}

// newMetrics returns metrics; they are registered where r is not nil. Errors: those of
// registering.
func newMetrics(r prometheus.Registerer, d *Directory) (*metrics, error) {
	opts := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "regcred", Subsystem: "crane", Name: name, Help: help}
	}
	m := &metrics{redirects: prometheus.NewCounterVec(
		prometheus.CounterOpts(opts("redirects_total", "Redirects to the files of Crane's metadata, by repository and what of it: manifests, blobs, tags, and ancestry, json and layer of images of v1.")),
		[]string{"repository", "kind"},
	)}
	if r == nil {
		return m, nil
	}
	gauge := func(name, help string, value func(Status) int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts(opts(name, help)), func() float64 { return float64(value(d.Status())) })
	}
	return m, errors.Join(
		r.Register(m.redirects),
		r.Register(gauge("repositories", "Repositories of Crane's metadata, of both protocols.", func(s Status) int { return s.V1 + s.V2 })),
		r.Register(gauge("bad_files", "Files and directories of Crane's metadata that cannot be used as they are.", func(s Status) int { return len(s.Bad) })),
	)
}

// redirected counts a redirect.
func (m *metrics) redirected(repo *repository, kind string) {
	m.redirects.WithLabelValues(repo.name, kind).Inc()
}
