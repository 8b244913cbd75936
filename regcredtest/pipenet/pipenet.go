// Package pipenet connects a client to an HTTP server by memory alone, so that the clock
// of a bubble of testing/synctest runs for both.
package pipenet

import (
	"errors"
	"net"
	"net/http"
	"testing"
)

// Connect has s serve one connection until the test ends, and returns the client's end
// of it.
func Connect(t testing.TB, s *http.Server) net.Conn {
	t.Helper()
	theirs, ours := net.Pipe()
	l := make(listener, 1)
	l <- theirs
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() {
		_ = ours.Close()
		_ = s.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return ours
}

// listener is a net.Listener of the connections in a channel.
type listener chan net.Conn

// Accept implements net.Listener.
func (l listener) Accept() (net.Conn, error) {
	if c, ok := <-l; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

// Close implements net.Listener.
func (l listener) Close() error { close(l); return nil }

// Addr implements net.Listener.
func (listener) Addr() net.Addr { return &net.TCPAddr{} }
