package token

import (
	"context"
	"sync"
	"time"
)

// RecordUses stores which API tokens were used since the last call, and when. Call
// it every minute or so, and before the store is closed: a token is thus written
// once in that time, however often it is used.
//
// Errors: those of the store; the next call then stores it.
func (s *Service) RecordUses(ctx context.Context) error {
	uses := s.used.take()
	if len(uses) == 0 {
		return nil
	}
	err := s.store.UseTokens(ctx, uses)
	if err != nil {
		for id, at := range uses {
			s.used.note(id, at)
		}
	}
	return err
}

// uses are those that are not stored yet, by the token's id.
type uses struct {
	mu   sync.Mutex
	last map[string]time.Time
}

func (u *uses) note(id string, at time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.last == nil {
		u.last = map[string]time.Time{}
	}
	if at.After(u.last[id]) {
		u.last[id] = at
	}
}

func (u *uses) take() map[string]time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	taken := u.last
	u.last = nil
	return taken
}
