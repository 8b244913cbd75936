package memory

import (
	"context"
	"slices"

	"regcred.dev"
	"regcred.dev/store/internal/rules"
)

// Fence implements regcred.Store.
func (s *Store) Fence(ctx context.Context) (uint64, error) {
	if err := s.lock(ctx); err != nil {
		return 0, err
	}
	defer s.mu.Unlock()
	s.fence++
	return s.fence, nil
}

// PutLogin implements regcred.Store.
func (s *Store) PutLogin(ctx context.Context, guid string, login regcred.Login, fence uint64) (uint64, error) {
	if err := s.lock(ctx); err != nil {
		return 0, err
	}
	defer s.mu.Unlock()
	r, err := s.live(guid)
	if err != nil {
		return 0, err
	}
	if err := rules.Fence(fence, s.fence); err != nil {
		return 0, err
	}
	login, err = rules.Login(guid, r.credential.Version, login)
	if err != nil {
		return 0, err
	}
	r.login = &login
	s.note(r)
	return s.revision, nil
}

// DropLogin implements regcred.Store.
func (s *Store) DropLogin(ctx context.Context, guid string) (uint64, error) {
	if err := s.lock(ctx); err != nil {
		return 0, err
	}
	defer s.mu.Unlock()
	r, err := s.live(guid)
	if err != nil {
		return 0, err
	}
	r.login = nil
	r.credential.Version++
	s.note(r)
	r.credential.DropRevision = s.revision
	return s.revision, nil
}

// Login implements regcred.Store.
func (s *Store) Login(ctx context.Context, guid string) (regcred.Login, error) {
	if err := s.lock(ctx); err != nil {
		return regcred.Login{}, err
	}
	defer s.mu.Unlock()
	r, err := s.live(guid)
	if err != nil || r.login == nil {
		return regcred.Login{}, rules.NoLogin(guid)
	}
	return cloneLogin(*r.login), nil
}

func cloneLogin(l regcred.Login) regcred.Login {
	l.Hosts = slices.Clone(l.Hosts)
	return l
}
