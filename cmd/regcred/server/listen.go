package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"syscall"

	"regcred.dev"
	"regcred.dev/config"
	"regcred.dev/internal/stall"
	"regcred.dev/internal/tlsfiles"
)

// maxSocketPath is the longest path of a Unix socket on every system that has
// them, in bytes.
const maxSocketPath = 103

// dataDir makes the data directory and returns its absolute path. One that others
// may write to is refused: they could put a key or a token of theirs there.
func dataDir(path string) (string, error) {
	dir, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("data directory: %w", err)
	}
	if len(filepath.Join(dir, socketDir, SocketName)) > maxSocketPath {
		return "", regcred.Errorf(regcred.Invalid, "data directory %s: its path is too long for a socket in it: use a shorter one", dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("data directory: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return "", fmt.Errorf("data directory: %w", err)
	}
	if info.Mode().Perm()&0o022 != 0 {
		return "", regcred.Errorf(regcred.Invalid, "data directory %s: others may write to it (mode %v): chmod go-w it", dir, info.Mode().Perm())
	}
	return dir, nil
}

// listenTCP opens an address, which setting sets. Clients that stall are cut.
func listenTCP(ctx context.Context, address, setting string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, regcred.Errorf(regcred.Unavailable, "cannot listen on %s, another program does: choose another address with %s", address, setting)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot listen: %w", err)
	}
	return stall.Listener(l, stall.Patience), nil
}

// listen opens the TCP address and the local socket. Where the configuration has
// certificates, TLS is spoken at the address; the socket needs none.
func (s *Server) listen(ctx context.Context) (err error) {
	if s.tcp, err = listenTCP(ctx, s.cfg.Listen, "--listen"); err != nil {
		return err
	}
	if s.cfg.TLS != nil {
		config, err := s.tlsConfig(s.cfg.TLS)
		if err != nil {
			return err
		}
		s.tcp = tls.NewListener(s.tcp, config)
	}
	if err := s.findPublicURL(); err != nil {
		return err
	}
	return s.listenLocally(ctx)
}

// tlsConfig returns the configuration of a server with the files that are named. Where
// Crane's repositories are for clients with certificates, these are asked for, and
// verified by package crane.
func (s *Server) tlsConfig(c *config.TLS) (*tls.Config, error) {
	o := tlsfiles.Options{ClientCA: c.ClientCA, RequireClient: c.RequireClientCertificate, Log: s.log}
	o.RequestClient = s.cfg.Registry.Crane != nil && s.cfg.Registry.Crane.ClientCA != ""
	for _, pair := range c.Certificates {
		o.Certificates = append(o.Certificates, tlsfiles.Pair(pair))
	}
	return tlsfiles.Config(o)
}

// scheme is that of the URLs of the TCP address.
func (s *Server) scheme() string {
	if s.cfg.TLS != nil {
		return "https"
	}
	return "http"
}

// findPublicURL says how clients reach the server: as the configuration does, or by
// the address that it listens on.
func (s *Server) findPublicURL() error {
	addr, ok := s.tcp.Addr().(*net.TCPAddr)
	if ok && !addr.IP.IsLoopback() && s.cfg.TLS == nil {
		s.log.Warn("plain HTTP is served beyond this machine: set tls in the configuration, or put a proxy in front that ends TLS", "listen", addr.String())
	}
	switch {
	case s.cfg.PublicURL != nil:
		s.public = s.cfg.PublicURL
	case ok && addr.IP.IsUnspecified():
		return regcred.Errorf(regcred.Invalid, "listening on %s, which is every address of this machine: set public_url (--public-url) to how clients reach it, such as https://regcred.example.com", s.cfg.Listen)
	default:
		s.public = &url.URL{Scheme: s.scheme(), Host: s.tcp.Addr().String()}
	}
	return nil
}

// socketDir is where the local socket is made, in the data directory.
const socketDir = ".socket"

// listenLocally opens the local socket. It is made where only its owner can reach
// it, and moved into its place once its mode is right: nobody else gets in between.
func (s *Server) listenLocally(ctx context.Context) error {
	fail := func(err error) error { return fmt.Errorf("local socket: %w", err) }
	dir := s.path(socketDir)
	// The store's lock says that no other server uses this directory: what is there
	// was left behind.
	if err := os.RemoveAll(dir); err != nil {
		return fail(err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fail(err)
	}
	defer func() { _ = os.Remove(dir) }()
	private := filepath.Join(dir, SocketName)
	listener, err := new(net.ListenConfig).Listen(ctx, "unix", private)
	if err != nil {
		return fail(err)
	}
	if unix, ok := listener.(*net.UnixListener); ok {
		unix.SetUnlinkOnClose(false) // it is elsewhere by then
	}
	s.socket = listener
	if err := os.Chmod(private, 0o600); err != nil {
		return fail(err)
	}
	if err := os.Remove(s.path(SocketName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fail(err)
	}
	if err := os.Rename(private, s.path(SocketName)); err != nil {
		return fail(err)
	}
	return nil
}
