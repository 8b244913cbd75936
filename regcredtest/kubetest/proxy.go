package kubetest

import (
	"context"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// Faults are what a Proxy does to requests. The zero value does nothing.
type Faults struct {
	// Rate is the share of requests that fail, from 0 to 1; watches apart.
	Rate float64
	// Statuses are what they fail with, each as often. Default: 409, 429 with a
	// Retry-After of one second, and 500. Half of the failures with 500 happen after
	// the request was carried out.
	Statuses []int
	// Watches has watches fail too.
	Watches bool
	// Before is called with each request before it is sent on. Nil: nothing is.
	Before func(Call)
	// Latency is added to each request.
	Latency time.Duration
	// Only limits the faults to some requests. Nil: all.
	Only func(Call) bool
	// Seed makes the choice of what fails repeatable, as far as requests come in the
	// same order.
	Seed uint64
}

// Call is a request to the API server, as its authorization sees it.
type Call struct {
	// Verb is get, list, watch, create, update, patch, delete or deletecollection.
	Verb string
	// Resource is the plural, such as "secrets", with its subresource, if any:
	// "namespaces/finalize".
	Resource  string
	Namespace string
	Name      string
}

// Proxy is a way to the API server that fails on order, and counts.
type Proxy struct {
	config *rest.Config

	mu      sync.Mutex
	faults  Faults
	random  *rand.Rand
	calls   map[Call]int
	watches map[int]context.CancelFunc
	next    int
}

// Proxy starts a proxy in front of the API server, which ends with the test. It
// speaks HTTP/1.1 without TLS, and passes on who asks.
func (c *Cluster) Proxy(t testing.TB, f Faults) *Proxy {
	t.Helper()
	target, err := url.Parse(c.url)
	if err != nil {
		t.Fatal(err)
	}
	// Only the way from the proxy to the server: who asks is in the request already.
	transport, err := rest.TransportFor(&rest.Config{Host: c.url, TLSClientConfig: c.Config().TLSClientConfig})
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{calls: map[Call]int{}, watches: map[int]context.CancelFunc{}}
	p.Set(f)
	forward := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:     transport,
		FlushInterval: -1,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			w.WriteHeader(http.StatusBadGateway) // the server is down, or the client is gone
		},
	}
	server := httptest.NewServer(p.handler(forward))
	t.Cleanup(func() {
		p.DropWatches()
		server.CloseClientConnections()
		server.Close()
	})
	p.config = c.Config()
	p.config.Host, p.config.TLSClientConfig = server.URL, rest.TLSClientConfig{}
	return p
}

// Config returns how to reach the API server through the proxy, as its admin.
func (p *Proxy) Config() *rest.Config { return rest.CopyConfig(p.config) }

// Set changes the faults from the next request on.
func (p *Proxy) Set(f Faults) {
	if f.Statuses == nil {
		f.Statuses = []int{http.StatusConflict, http.StatusTooManyRequests, http.StatusInternalServerError}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults, p.random = f, rand.New(rand.NewPCG(f.Seed, 0))
}

// DropWatches breaks off all watches.
func (p *Proxy) DropWatches() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, cancel := range p.watches {
		cancel()
	}
}

// Count returns how many requests there were since the last Reset that match;
// nil matches all. Those that failed on order count too.
func (p *Proxy) Count(match func(Call) bool) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for call, count := range p.calls {
		if match == nil || match(call) {
			n += count
		}
	}
	return n
}

// Calls returns the numbers of requests since the last Reset, by verb and resource:
// "update secrets".
func (p *Proxy) Calls() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := map[string]int{}
	for call, count := range p.calls {
		all[call.Verb+" "+call.Resource] += count
	}
	return all
}

// Reset begins to count anew.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.calls)
}

func (p *Proxy) handler(forward http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		call := ParseCall(r.Method, r.URL)
		status, latency := p.decide(call)
		if latency > 0 {
			select {
			case <-time.After(latency):
			case <-r.Context().Done():
			}
		}
		if before := p.before(); before != nil {
			before(call)
		}
		if call.Verb == "watch" && status == 0 {
			ctx, done := p.watching(r.Context())
			defer done()
			forward.ServeHTTP(w, r.WithContext(ctx))
			return
		}
		carriedOut := status == http.StatusInternalServerError && call.Verb != "watch" && p.even()
		switch {
		case status == 0:
			forward.ServeHTTP(w, r)
			return
		case carriedOut:
			forward.ServeHTTP(httptest.NewRecorder(), r)
		}
		fail(w, status)
	})
}

// decide counts a request and returns the status to fail it with, or 0.
func (p *Proxy) decide(call Call) (status int, latency time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls[call]++
	f := p.faults
	if f.Only != nil && !f.Only(call) {
		return 0, 0
	}
	if (call.Verb != "watch" || f.Watches) && p.random.Float64() < f.Rate {
		status = f.Statuses[p.random.IntN(len(f.Statuses))]
	}
	return status, f.Latency
}

func (p *Proxy) before() func(Call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.faults.Before
}

func (p *Proxy) even() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.random.IntN(2) == 0
}

// watching returns a context that DropWatches ends.
func (p *Proxy) watching(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	id := p.next
	p.next++
	p.watches[id] = cancel
	return ctx, func() {
		cancel()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.watches, id)
	}
}

var reasons = map[int]metav1.StatusReason{
	http.StatusConflict:            metav1.StatusReasonConflict,
	http.StatusTooManyRequests:     metav1.StatusReasonTooManyRequests,
	http.StatusForbidden:           metav1.StatusReasonForbidden,
	http.StatusInternalServerError: metav1.StatusReasonInternalError,
	http.StatusServiceUnavailable:  metav1.StatusReasonServiceUnavailable,
}

// fail answers as the API server does.
func fail(w http.ResponseWriter, status int) {
	answer := metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   metav1.StatusFailure, Code: int32(status),
		Reason: reasons[status], Message: "a fault of the test",
	}
	if status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "1")
		answer.Details = &metav1.StatusDetails{RetryAfterSeconds: 1}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer) // the client may be gone
}

// verbs are those of requests that name an object, and of those that do not.
var (
	objectVerbs = map[string]string{
		http.MethodGet: "get", http.MethodHead: "get", http.MethodPost: "create", http.MethodPut: "update",
		http.MethodPatch: "patch", http.MethodDelete: "delete",
	}
	collectionVerbs = map[string]string{http.MethodGet: "list", http.MethodDelete: "deletecollection"}
)

// ParseCall returns what a request asks for. One that is not for a resource has the
// path as its resource.
func ParseCall(method string, u *url.URL) Call {
	parts := strings.Split(strings.Trim(u.Path, "/"), "/")
	switch {
	case len(parts) > 2 && parts[0] == "api":
		parts = parts[2:]
	case len(parts) > 3 && parts[0] == "apis":
		parts = parts[3:]
	default:
		return Call{Verb: objectVerbs[method], Resource: u.Path}
	}
	var call Call
	if len(parts) > 2 && parts[0] == "namespaces" && !slices.Contains([]string{"finalize", "status"}, parts[2]) {
		call.Namespace, parts = parts[1], parts[2:]
	}
	call.Resource = parts[0]
	if len(parts) > 1 {
		call.Name = parts[1]
	}
	if len(parts) > 2 {
		call.Resource += "/" + parts[2]
	}
	verbs := maps.Clone(objectVerbs)
	if call.Name == "" {
		maps.Copy(verbs, collectionVerbs)
		call.Name, _ = strings.CutPrefix(u.Query().Get("fieldSelector"), "metadata.name=")
	}
	call.Verb = verbs[method]
	if call.Verb == "list" && u.Query().Get("watch") != "" {
		call.Verb = "watch"
	}
	return call
}
