// Package tlsfiles configures TLS servers from certificate files, which it reads again
// when they change: a renewed certificate needs no restart.
package tlsfiles

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"slices"
	"sync"
	"time"

	"regcred.dev"
)

// interval is how often the files are read at most, and only while clients connect.
// They are few and small, so that reading them is less than a handshake costs; and no
// way of replacing them goes unnoticed.
const interval = time.Second

// Pair names the files of a certificate and its key, both in PEM form. The
// certificate is first in its file, those that lead to its authority follow.
type Pair struct {
	Certificate, Key string
}

// Options name the files.
type Options struct {
	// Certificates are the server's; a client gets the first that is good for the name
	// it asks for, or else the first. Required.
	Certificates []Pair
	// ClientCA is a file of certificates in PEM form. A client that sends a certificate
	// is let in only where one of these vouches for it. "" asks clients for none.
	ClientCA string
	// RequireClient turns clients away that send none.
	RequireClient bool
	// RequestClient asks clients for a certificate that somebody else verifies, who
	// knows other authorities. Unless RequireClient turns them away, any client is let
	// in, and what it sent is in tls.ConnectionState.PeerCertificates, not verified; its
	// VerifiedChains, which only certificates of ClientCA get into, are then empty.
	RequestClient bool
	// Log is told of files that have changed, and of those that cannot be used; nil
	// discards.
	Log *slog.Logger
}

// Config returns the configuration of a TLS server, for HTTP/2 and HTTP/1.1. Files
// that change are taken within a second of the next client. Where they are no good,
// such as a certificate whose key is yet to come, the last good ones stay.
//
// Errors: Invalid where the files are missing now, or no good.
func Config(o Options) (*tls.Config, error) {
	if len(o.Certificates) == 0 || o.RequireClient && o.ClientCA == "" {
		return nil, regcred.Errorf(regcred.Invalid, "TLS needs a certificate, and the authorities of clients where those must have one")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	f := &files{o: o}
	content, current, err := f.load()
	if err != nil {
		return nil, err
	}
	f.seen, f.current, f.read = content, current, time.Now()
	outer := current.Clone()
	outer.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return f.latest(time.Now()), nil }
	return outer, nil
}

// files are the files and what was made of them.
type files struct {
	o Options

	mu      sync.Mutex
	current *tls.Config
	seen    [][]byte // what the files held when they were read last, good or not
	problem string   // why that is no good
	read    time.Time
	reading bool
}

// latest returns the configuration for a client that connects now. One of them reads
// the files, if that is due; others do not wait for it.
func (f *files) latest(now time.Time) *tls.Config {
	if f.begin(now) {
		f.end(f.load())
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.current
}

// begin reports whether the caller is to read the files; it then calls end.
func (f *files) begin(now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.reading || now.Sub(f.read) < interval {
		return false
	}
	f.reading, f.read = true, now
	return true
}

// load reads the files. The configuration is nil where they hold what they held.
func (f *files) load() ([][]byte, *tls.Config, error) {
	content, err := f.o.contents()
	if err != nil || slices.EqualFunc(content, f.seen, bytes.Equal) {
		return content, nil, err
	}
	config, err := f.o.parse(content)
	return content, config, err
}

// end takes what was read, and says what has changed.
func (f *files) end(content [][]byte, next *tls.Config, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reading, f.seen = false, content
	switch {
	case next != nil:
		f.current, f.problem = next, ""
		f.o.Log.Info("changed TLS files are in use", "expires", next.Certificates[0].Leaf.NotAfter)
	case err != nil && err.Error() != f.problem:
		f.problem = err.Error()
		f.o.Log.Error("changed TLS files cannot be used, the last good ones stay in use", "error", err)
	}
}
