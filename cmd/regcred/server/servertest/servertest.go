// Package servertest runs a server for tests of what talks to one.
package servertest

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"regcred.dev"
	"regcred.dev/client"
	"regcred.dev/cmd/regcred/server"
	"regcred.dev/config"
)

// Server is one that runs until the test ends.
type Server struct {
	t testing.TB
	// URL is where it listens.
	URL string
	// Dir is its data directory.
	Dir string
}

// Start starts a server in a directory of its own, at a free port.
func Start(t testing.TB, cfg config.Config) *Server {
	t.Helper()
	cfg.DataDir, cfg.Listen = t.TempDir(), "127.0.0.1:0"
	ctx, cancel := context.WithCancel(context.Background())
	s, err := server.Open(ctx, cfg, "test", slog.New(slog.DiscardHandler))
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return &Server{t: t, URL: s.URL(), Dir: cfg.DataDir}
}

// Socket returns the path of its local socket.
func (s *Server) Socket() string { return filepath.Join(s.Dir, server.SocketName) }

// Local returns a client whose caller is the server's owner.
func (s *Server) Local() *client.Client { return client.NewLocal(s.Socket()) }

// AdminToken returns the API token of its admin.
func (s *Server) AdminToken() regcred.Secret {
	s.t.Helper()
	token, err := os.ReadFile(filepath.Join(s.Dir, server.AdminTokenName))
	if err != nil {
		s.t.Fatal(err)
	}
	return regcred.NewSecret(strings.TrimSpace(string(token)))
}
