package kubernetes

import (
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"k8s.io/client-go/rest"

	"regcred.dev"
	"regcred.dev/deliver"
)

// replica returns a Target that stands for election, at an API server that answers
// nothing but 404, and how many requests and connections that has had.
func replica(t *testing.T) (target *Target, requests, connections *atomic.Int64) {
	t.Helper()
	requests, connections = new(atomic.Int64), new(atomic.Int64)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		w.WriteHeader(http.StatusNotFound)
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	target, err := New(Options{
		Config:         &rest.Config{Host: server.URL, TLSClientConfig: rest.TLSClientConfig{CAData: ca}},
		LeaderElection: &LeaderElection{Namespace: "regcred", Name: "regcred"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return target, requests, connections
}

// TestSyncOnlyByTheWatch: a replica that was elected writes while its Watch has a session,
// which ends with the Lease; never by a session of a Sync's own.
func TestSyncOnlyByTheWatch(t *testing.T) {
	target, requests, _ := replica(t)
	target.setLeading(true)
	report, err := target.Sync(t.Context(), book(map[string]string{"registry.example.com": "1"}), deliver.SyncOptions{})
	if err != nil || !strings.Contains(strings.Join(report.Warnings, " "), "does not deliver now") || requests.Load() != 0 {
		t.Errorf("it ends with %v, warns %q, and sends %d requests", err, report.Warnings, requests.Load())
	}
}

// TestCandidate: a replica is known by one name for as long as it runs, and its Lease has
// connections of its own.
func TestCandidate(t *testing.T) {
	target, requests, connections := replica(t)
	first, err := target.stands()
	if err != nil {
		t.Fatal(err)
	}
	again, err := target.stands()
	if err != nil || first.identity == "" || again.identity != first.identity {
		t.Errorf("it stands as %q, and then as %q (%v)", first.identity, again.identity, err)
	}
	other, _, _ := replica(t)
	if second, err := other.stands(); err != nil || second.identity == first.identity {
		t.Errorf("another one stands as %q too (%v)", first.identity, err)
	}
	c, err := newClient(&target.o)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := c.secret(t.Context(), "shop", "regcred"); s != nil || err != nil {
		t.Fatal(s, err)
	}
	if _, err := first.leases.get(t.Context()); regcred.CodeOf(explain("", err)) != regcred.Unavailable {
		t.Fatal(err)
	}
	if requests.Load() != 2 || connections.Load() != 2 {
		t.Errorf("%d requests took %d connections, want 2", requests.Load(), connections.Load())
	}
}
