package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"regcred.dev"
	"regcred.dev/api"
	"regcred.dev/client"
	"regcred.dev/registry"
	"regcred.dev/registry/blob"
	"regcred.dev/service"
	"regcred.dev/store/memory"
)

// slowBlobs take an hour to list.
type slowBlobs struct{ registry.Blobs }

// List implements registry.Blobs.
func (b slowBlobs) List(ctx context.Context, prefix, after string) iter.Seq2[registry.Info, error] {
	return func(yield func(registry.Info, error) bool) {
		select {
		case <-ctx.Done():
			yield(registry.Info{}, ctx.Err())
		case <-time.After(time.Hour):
			b.Blobs.List(ctx, prefix, after)(yield)
		}
	}
}

// pipes is a listener whose connections are in memory.
type pipes chan net.Conn

// Accept implements net.Listener.
func (p pipes) Accept() (net.Conn, error) {
	c, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

// Close implements net.Listener.
func (p pipes) Close() error { return nil }

// Addr implements net.Listener.
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// dial connects a client to the listener.
func (p pipes) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	p <- ours
	return theirs, nil
}

// TestLongOperation: what takes hours is finished, while no answer takes longer than
// proxies wait.
func TestLongOperation(t *testing.T) {
	dir, err := blob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	synctest.Test(t, func(t *testing.T) {
		h := api.New(api.Options{
			Service: service.New(service.Options{
				Store: memory.New(), Images: service.Images{Storage: registry.NewStorage(slowBlobs{dir}, registry.StorageOptions{})},
			}),
			Authenticate: func(context.Context, time.Time, string) (regcred.Caller, error) { return regcred.Local, nil },
		})
		listener, server := make(pipes), &http.Server{Handler: h}
		ended := make(chan error, 1)
		go func() { ended <- server.Serve(listener) }()
		transport := &http.Transport{DialContext: listener.dial}
		begin := time.Now()
		op, where := ask(t, transport, http.MethodPost, "/regcred/v1/registry/actions/check", http.StatusAccepted)
		if where != "/regcred/v1/registry/operations/"+op.ID || op.State != client.Running {
			t.Errorf("it is at %s: %+v", where, op)
		}
		for op.State == client.Running {
			asked := time.Now()
			op, _ = ask(t, transport, http.MethodGet, where+"?wait=1h", http.StatusOK)
			if took := time.Since(asked); took > 30*time.Second {
				t.Fatalf("an answer took %s", took)
			}
		}
		if op.State != client.Done || op.Check == nil || op.EndedAt == nil || time.Since(begin) < time.Hour {
			t.Errorf("after %s: %+v", time.Since(begin), op)
		}
		transport.CloseIdleConnections()
		close(listener)
		_ = server.Close()
		if err := <-ended; !errors.Is(err, net.ErrClosed) && !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
}

// ask sends a request about an operation, and returns that and the header Location.
func ask(t *testing.T, transport http.RoundTripper, method, path string, status int) (op client.RegistryOperation, location string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://regcred"+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer x")
	resp, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&op); err != nil || resp.StatusCode != status {
		t.Fatalf("%s %s: %s, %v", method, path, resp.Status, err)
	}
	return op, resp.Header.Get("Location")
}
