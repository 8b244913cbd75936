package memory

import (
	"context"
	"maps"
	"slices"
	"time"

	"regcred.dev"
	"regcred.dev/store/internal/rules"
)

// CreateToken implements regcred.TokenStore.
func (s *Store) CreateToken(ctx context.Context, t regcred.APIToken) error {
	t, err := rules.Token(t)
	if err != nil {
		return err
	}
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	if s.token(t.ID) >= 0 {
		return rules.TokenTaken(t.ID)
	}
	s.tokens = append(s.tokens, t)
	return nil
}

// token returns the index of a token, -1 where there is none.
func (s *Store) token(id string) int {
	return slices.IndexFunc(s.tokens, func(t regcred.APIToken) bool { return t.ID == id })
}

// Token implements regcred.TokenStore.
func (s *Store) Token(ctx context.Context, id string) (regcred.APIToken, error) {
	if err := s.lock(ctx); err != nil {
		return regcred.APIToken{}, err
	}
	defer s.mu.Unlock()
	i := s.token(id)
	if i < 0 {
		return regcred.APIToken{}, rules.NoToken(id)
	}
	return cloneToken(s.tokens[i]), nil
}

// Tokens implements regcred.TokenStore.
func (s *Store) Tokens(ctx context.Context) ([]regcred.APIToken, error) {
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	list := make([]regcred.APIToken, len(s.tokens))
	for i, t := range s.tokens {
		list[i] = cloneToken(t)
	}
	return list, nil
}

// UseTokens implements regcred.TokenStore.
func (s *Store) UseTokens(ctx context.Context, uses map[string]time.Time) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	for i, t := range s.tokens {
		if at := uses[t.ID]; at.After(t.LastUsedAt) {
			s.tokens[i].LastUsedAt = rules.Time(at)
		}
	}
	return nil
}

// DeleteToken implements regcred.TokenStore.
func (s *Store) DeleteToken(ctx context.Context, id string) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	i := s.token(id)
	if i < 0 {
		return rules.NoToken(id)
	}
	s.tokens = slices.Delete(s.tokens, i, i+1)
	return nil
}

// Revoke implements regcred.TokenStore.
func (s *Store) Revoke(ctx context.Context, r regcred.Revocation) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	s.revoked[r.Subject] = rules.Widen(s.revoked[r.Subject], r)
	return nil
}

// Revocations implements regcred.TokenStore, in the order of subjects.
func (s *Store) Revocations(ctx context.Context, now time.Time) ([]regcred.Revocation, error) {
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var list []regcred.Revocation
	for _, subject := range slices.Sorted(maps.Keys(s.revoked)) {
		if r := s.revoked[subject]; now.Before(r.Until) {
			list = append(list, r)
		}
	}
	return list, nil
}

// Key implements regcred.TokenStore. create is called without a lock; where two
// callers make a key at the same time, one of the two is thrown away.
func (s *Store) Key(ctx context.Context, name string, create func() (regcred.Secret, error)) (regcred.Secret, error) {
	if key, ok, err := s.key(ctx, name); ok || err != nil {
		return key, err
	}
	made, err := create()
	if err != nil {
		return regcred.Secret{}, err
	}
	if err := s.lock(ctx); err != nil {
		return regcred.Secret{}, err
	}
	defer s.mu.Unlock()
	if _, ok := s.keys[name]; !ok {
		s.keys[name] = made
	}
	return s.keys[name], nil
}

func (s *Store) key(ctx context.Context, name string) (regcred.Secret, bool, error) {
	if err := s.lock(ctx); err != nil {
		return regcred.Secret{}, false, err
	}
	defer s.mu.Unlock()
	key, ok := s.keys[name]
	return key, ok, nil
}

func cloneToken(t regcred.APIToken) regcred.APIToken {
	t.Hash, t.Repositories = slices.Clone(t.Hash), slices.Clone(t.Repositories)
	return t
}
