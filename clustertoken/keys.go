package clustertoken

import (
	"context"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"regcred.dev"
)

// How long the keys of an issuer are used. Kubernetes names a key by its hash, so that
// a name never means another key: a new key shows in a name that is not known.
const (
	// keysFresh is after how long they are read again, while the old ones serve.
	keysFresh = 10 * time.Minute
	// keysStale is after how long they serve no more.
	keysStale = time.Hour
	// fetchPause is the least time between two attempts to read them, whatever the
	// tokens of strangers name.
	fetchPause = 10 * time.Second
	// fetchTimeout bounds one attempt.
	fetchTimeout = 10 * time.Second
)

// keySet holds the newest keys of an issuer.
type keySet struct {
	fetch func(context.Context) ([]jose.JSONWebKey, error)

	mu      sync.Mutex
	keys    []jose.JSONWebKey
	readAt  time.Time // of keys
	triedAt time.Time // of the last attempt
	err     error     // of the last attempt
	flight  chan struct{}
}

// find returns the keys of an id: more than one only where the issuer says so.
//
// Errors: Unauthenticated where the issuer has none of that id; Unavailable where that
// cannot be found out.
func (s *keySet) find(ctx context.Context, now time.Time, id string) ([]jose.JSONWebKey, error) {
	keys, flight := s.look(ctx, now, id)
	if len(keys) > 0 {
		return keys, nil
	}
	if flight != nil {
		select {
		case <-flight:
		case <-ctx.Done():
			return nil, regcred.Errorf(regcred.Unavailable, "the keys of the cluster's issuer were not read in time: %w", ctx.Err())
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if keys := s.valid(now, id); len(keys) > 0 {
		return keys, nil
	}
	if s.err != nil {
		return nil, regcred.Errorf(regcred.Unavailable, "the keys of the cluster's issuer cannot be read: %w", s.err)
	}
	return nil, refused("its issuer has no key of the name that it gives")
}

// look returns the keys of an id as far as they are known, and the attempt under way
// to read them anew, nil where there is none. It begins one where that is due.
func (s *keySet) look(ctx context.Context, now time.Time, id string) ([]jose.JSONWebKey, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys := s.valid(now, id)
	due := len(keys) == 0 || now.Sub(s.readAt) > keysFresh
	if due && s.flight == nil && now.Sub(s.triedAt) > fetchPause {
		s.flight, s.triedAt = make(chan struct{}), now
		go s.read(context.WithoutCancel(ctx), now, s.flight)
	}
	return keys, s.flight
}

func (s *keySet) valid(now time.Time, id string) []jose.JSONWebKey {
	if now.Sub(s.readAt) > keysStale {
		return nil
	}
	return (&jose.JSONWebKeySet{Keys: s.keys}).Key(id)
}

// read reads the keys once. It outlives the request that began it: others wait too.
func (s *keySet) read(ctx context.Context, now time.Time, done chan struct{}) {
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
