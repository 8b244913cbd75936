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

// TestLongOperation: what takes far longer than a body may take to arrive is finished.
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
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://regcred/regcred/v1/registry/actions/check", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer x")
		begin := time.Now()
		resp, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var found client.RegistryCheck
		if err := json.NewDecoder(resp.Body).Decode(&found); err != nil || resp.StatusCode != http.StatusOK || time.Since(begin) < time.Hour {
			t.Errorf("%s after %s, %v", resp.Status, time.Since(begin), err)
		}
		transport.CloseIdleConnections()
		close(listener)
		_ = server.Close()
		if err := <-ended; !errors.Is(err, net.ErrClosed) && !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
}
