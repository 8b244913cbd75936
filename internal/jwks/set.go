// Package jwks has the public keys of those who issue JSON Web Tokens: it reads them,
// keeps them for a while, and reads them anew where a token asks for it, no oftener than
// the issuer can bear.
package jwks

import (
	"context"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"regcred.dev"
)

// How long the keys of an issuer are used.
const (
	// keysFresh is after how long they are read again, while the old ones serve.
	keysFresh = 10 * time.Minute
	// keysStale is after how long they serve no more.
	keysStale = time.Hour
	// fetchPause is the least time between two attempts to read them, whatever tokens
	// strangers send.
	fetchPause = 10 * time.Second
	// fetchTimeout bounds one attempt.
	fetchTimeout = 10 * time.Second
)

// Set holds the newest keys of an issuer. It may be used concurrently.
type Set struct {
	fetch func(context.Context) ([]jose.JSONWebKey, error)

	mu      sync.Mutex
	keys    []jose.JSONWebKey
	readAt  time.Time // of keys
	triedAt time.Time // of the last attempt
	err     error     // of the last attempt
	flight  chan struct{}
}

// New returns a Set of the keys that fetch reads. It reads none before they are asked
// for.
func New(fetch func(context.Context) ([]jose.JSONWebKey, error)) *Set { return &Set{fetch: fetch} }

// Accept reports whether accept returns true for the issuer's keys. Where it does not
// for those that are known, they are read anew, and it is asked once more: the issuer
// may have a new key. That happens every 10 seconds at most.
//
// Errors: Unavailable where the keys cannot be read.
func (s *Set) Accept(ctx context.Context, now time.Time, accept func([]jose.JSONWebKey) bool) (bool, error) {
	keys, readAt := s.known(ctx, now)
	if len(keys) > 0 && accept(keys) {
		return true, nil
	}
	if err := s.await(ctx, now); err != nil {
		return false, err
	}
	s.mu.Lock()
	newer, newerAt, err := s.keys, s.readAt, s.err
	s.mu.Unlock()
	if newerAt.After(readAt) && accept(newer) {
		return true, nil
	}
	if err != nil {
		return false, regcred.Errorf(regcred.Unavailable, "the keys of the token's issuer cannot be read: %w", err)
	}
	return false, nil
}

// known returns the keys that may still be used, and begins to read them anew where
// they are old.
func (s *Set) known(ctx context.Context, now time.Time) ([]jose.JSONWebKey, time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	age := now.Sub(s.readAt)
	if age > keysFresh {
		s.begin(ctx, now)
	}
	if age > keysStale {
		return nil, s.readAt
	}
	return s.keys, s.readAt
}

// await begins to read the keys, unless that was tried just now, and waits for the
// attempt under way, if there is one.
func (s *Set) await(ctx context.Context, now time.Time) error {
	s.mu.Lock()
	s.begin(ctx, now)
	flight := s.flight
	s.mu.Unlock()
	if flight == nil {
		return nil
	}
	select {
	case <-flight:
		return nil
	case <-ctx.Done():
		return regcred.Errorf(regcred.Unavailable, "the keys of the token's issuer were not read in time: %w", ctx.Err())
	}
}

// begin starts an attempt to read the keys where there is none and the last one is long
// enough ago. s.mu is held.
func (s *Set) begin(ctx context.Context, now time.Time) {
	if s.flight == nil && now.Sub(s.triedAt) > fetchPause {
		s.flight, s.triedAt = make(chan struct{}), now
		go s.read(context.WithoutCancel(ctx), now, s.flight)
	}
}

// read reads the keys once. It outlives the request that began it: others wait too.
func (s *Set) read(ctx context.Context, now time.Time, done chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	keys, err := s.fetch(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err = err; err == nil {
		s.keys, s.readAt = keys, now
	}
	s.flight = nil
	close(done)
}
