package s3test

import (
	"io"
	"log"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"strings"
	"sync"
	"testing"
	"time"
)

// A Fault is what a Proxy can do to a request.
type Fault string

// The faults. Those of answers leave requests alone that have no answer with an
// object's content: anything but GET of an object.
const (
	Drop       Fault = "drop"        // the connection ends, the server hears nothing
	DropAnswer Fault = "drop answer" // the connection ends after the request was carried out
	Fail       Fault = "500"         // InternalError, the server hears nothing
	FailAfter  Fault = "500 after"   // InternalError after the request was carried out
	SlowDown   Fault = "503"         // SlowDown, the server hears nothing
	// AccessDenied is the answer to a login that may not do this.
	AccessDenied Fault = "403"
	Truncate     Fault = "truncate" // content ends before its Content-Length
	Shorten      Fault = "shorten"  // content ends early, and Content-Length says so too
	Wrong        Fault = "wrong"    // one bit of the content is another one
)

// Lossless are the faults after which a client that tries again gets what is there.
var Lossless = []Fault{Drop, DropAnswer, Fail, FailAfter, SlowDown, Truncate, Shorten}

// Faults are what a Proxy does. The zero value does nothing.
type Faults struct {
	// Rate is the share of requests that fail, from 0 to 1.
	Rate float64
	// Kinds are how they fail, each as often. Default: Lossless.
	Kinds []Fault
	// Only limits the faults to some requests. Nil: all.
	Only func(*http.Request) bool
	// Before is called with each request before it is sent on. Nil: nothing is.
	Before func(*http.Request)
	// Latency is added to each request.
	Latency time.Duration
	// Seed makes the choice of what fails repeatable, as far as requests come in the
	// same order.
	Seed uint64
}

// Proxy is a way to the server that breaks on order, and counts. It leaves the header
// Host alone, which clients sign: a URL presigned for the Endpoint is good there.
type Proxy struct {
	// Endpoint is its URL.
	Endpoint string

	mu     sync.Mutex
	faults Faults
	random *rand.Rand
	counts map[string]int
	failed map[Fault]int
}

// Proxy starts a proxy in front of the server, which ends with the test.
func (s *Server) Proxy(t testing.TB, f Faults) *Proxy {
	t.Helper()
	p := &Proxy{counts: map[string]int{}, failed: map[Fault]int{}}
	p.Set(f)
	// Compression is off since it would add a header to what was signed.
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}
	forward := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = "http", s.host()
			r.Out.Host = r.In.Host
		},
		Transport:      transport,
		FlushInterval:  -1,
		ModifyResponse: p.spoil,
		ErrorLog:       log.New(io.Discard, "", 0), // what breaks is meant to
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) {
			panic(http.ErrAbortHandler) // the server or the client is gone
		},
	}
	server := httptest.NewServer(p.handler(forward))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		transport.CloseIdleConnections()
	})
	p.Endpoint = server.URL
	return p
}

// Set changes the faults from the next request on.
func (p *Proxy) Set(f Faults) {
	if f.Kinds == nil {
		f.Kinds = Lossless
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults, p.random = f, rand.New(rand.NewPCG(f.Seed, 0))
}

// Counts returns how many requests there were since the last Reset, by method. Those
// that failed on order count too.
func (p *Proxy) Counts() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.counts)
}

// Failed returns how often each fault happened since the last Reset.
func (p *Proxy) Failed() map[Fault]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.failed)
}

// Reset begins to count anew.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.counts)
	clear(p.failed)
}

func (p *Proxy) handler(forward http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fault, faults := p.decide(r)
		if faults.Latency > 0 {
			select {
			case <-time.After(faults.Latency):
			case <-r.Context().Done():
			}
		}
		if faults.Before != nil {
			faults.Before(r)
		}
		switch fault {
		case Drop:
			panic(http.ErrAbortHandler)
		case DropAnswer:
			forward.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		case Fail:
			answer(w, http.StatusInternalServerError, "InternalError")
		case FailAfter:
			forward.ServeHTTP(httptest.NewRecorder(), r)
			answer(w, http.StatusInternalServerError, "InternalError")
		case SlowDown:
			answer(w, http.StatusServiceUnavailable, "SlowDown")
		case AccessDenied:
			answer(w, http.StatusForbidden, "AccessDenied")
		default:
			forward.ServeHTTP(w, r.WithContext(withFault(r.Context(), fault)))
		}
	})
}

// decide counts a request and returns what to do to it.
func (p *Proxy) decide(r *http.Request) (Fault, Faults) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts[r.Method]++
	f := p.faults
	if f.Only != nil && !f.Only(r) || p.random.Float64() >= f.Rate {
		return "", f
	}
	fault := f.Kinds[p.random.IntN(len(f.Kinds))]
	switch fault {
	case Truncate, Shorten, Wrong:
		if !readsObject(r) {
			return "", f
		}
	}
	p.failed[fault]++
	return fault, f
}

// readsObject reports whether a request is for the content of an object: for a path
// of a bucket and a key, not for a list.
func readsObject(r *http.Request) bool {
	_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	return r.Method == http.MethodGet && key != "" && !r.URL.Query().Has("uploadId")
}

// answer fails a request as S3 does.
func answer(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(`<?xml version="1.0" encoding="UTF-8"?>` + // the client may be gone
		"<Error><Code>" + code + "</Code><Message>a fault of the test</Message></Error>"))
}
