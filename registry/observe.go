package registry

import (
	"cmp"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts what the server does.
type metrics struct {
	requests       *prometheus.CounterVec
	pulls, pushes  prometheus.Counter
	sent, received prometheus.Counter
}

func newMetrics() *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "regcred", Subsystem: "registry", Name: name, Help: help})
	}
	return &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "regcred", Subsystem: "registry", Name: "requests_total",
			Help: "Requests to the registry and its token endpoint, by method and status.",
		}, []string{"method", "code"}),
		pulls:    counter("pulls_total", "Manifests sent."),
		pushes:   counter("pushes_total", "Manifests stored."),
		sent:     counter("sent_bytes_total", "Bytes of bodies sent."),
		received: counter("received_bytes_total", "Bytes of bodies received."),
	}
}

func (m *metrics) register(r prometheus.Registerer) error {
	for _, c := range []prometheus.Collector{m.requests, m.pulls, m.pushes, m.sent, m.received} {
		if err := r.Register(c); err != nil {
			return err
		}
	}
	return nil
}

// observe counts and logs a request that was answered.
func (s *Server) observe(rec *recorder, r *http.Request) {
	status := cmp.Or(rec.status, http.StatusOK)
	s.metrics.requests.WithLabelValues(methodLabel(r.Method), strconv.Itoa(status)).Inc()
	s.metrics.sent.Add(float64(rec.sent))
	s.metrics.received.Add(float64(rec.body.n))
	if rec.resource == resManifest {
		switch {
		case r.Method == http.MethodGet && status == http.StatusOK:
			s.metrics.pulls.Inc()
		case r.Method == http.MethodPut && status == http.StatusCreated:
			s.metrics.pushes.Inc()
		}
	}
	s.count(rec, r.Method, status)
	if !s.log.Enabled(r.Context(), slog.LevelDebug) {
		return
	}
	s.log.Debug("registry request",
		"method", r.Method, "path", r.URL.Path, "status", status, "sent", rec.sent,
		"received", rec.body.n, "duration", time.Since(rec.began), "subject", rec.subject)
}

// methodLabel keeps clients from making up label values.
func methodLabel(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
		return method
	}
	return "other"
}

// recorder is a ResponseWriter that remembers what the log and metrics need.
type recorder struct {
	http.ResponseWriter
	body     body
	began    time.Time
	status   int // 0 until the header is written
	sent     int64
	subject  string
	resource resource
	// repo and tag are those of the request, redirected the bytes that the client is
	// to get elsewhere.
	repo, tag  string
	redirected int64
}

// newRecorder returns a recorder of w, and replaces the body of r by one that
// counts, and that breaks off where the client sends none of it for the patience.
func newRecorder(w http.ResponseWriter, r *http.Request, patience time.Duration) *recorder {
	rec := &recorder{ResponseWriter: w, began: time.Now()}
	if r.Body == http.NoBody || r.Body == nil {
		return rec
	}
	rec.body = body{ReadCloser: r.Body, conn: http.NewResponseController(w), patience: patience}
	r.Body = &rec.body
	rec.body.extend() // for the server too, which reads what a handler leaves
	return rec
}

// Unwrap serves http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(status int) {
	r.status = cmp.Or(r.status, status)
	r.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (r *recorder) Write(p []byte) (int, error) {
	r.status = cmp.Or(r.status, http.StatusOK)
	n, err := r.ResponseWriter.Write(p)
	r.sent += int64(n)
	return n, err
}

// ReadFrom implements io.ReaderFrom, with which the kernel sends a file.
func (r *recorder) ReadFrom(src io.Reader) (int64, error) {
	r.status = cmp.Or(r.status, http.StatusOK)
	n, err := io.Copy(r.ResponseWriter, src)
	r.sent += n
	return n, err
}

// body counts what is read of a request, and remembers that it broke off.
type body struct {
	io.ReadCloser
	conn     *http.ResponseController
	patience time.Duration
	n        int64
	err      error
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	b.extend()
	n, err := b.ReadCloser.Read(p)
	b.n += int64(n)
	switch {
	case errors.Is(err, io.EOF):
		// What comes after the body is waited for by others, for as long as they like.
		_ = b.conn.SetReadDeadline(time.Time{})
	case err != nil:
		b.err, err = err, errBrokeOff
	}
	return n, err
}

// errBrokeOff is what readers of a body see of any failure: what broke off is never to
// be taken for the end of the content.
var errBrokeOff = errors.New("the request broke off")

// extend gives the client the patience anew to send something of the body. Without
// deadlines, as in some tests, it may take for ever.
func (b *body) extend() { _ = b.conn.SetReadDeadline(time.Now().Add(b.patience)) }
