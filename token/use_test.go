package token_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/store/memory"
	"regcred.dev/token"
)

// recording counts what is written of uses, and may fail.
type recording struct {
	*memory.Store
	writes []map[string]time.Time
	err    error
}

func (r *recording) UseTokens(ctx context.Context, uses map[string]time.Time) error {
	r.writes = append(r.writes, uses)
	if r.err != nil {
		return r.err
	}
	return r.Store.UseTokens(ctx, uses)
}

// TestRecordUses: the use of a token is written when it is asked for, never when it
// is used, and once however often that was.
func TestRecordUses(t *testing.T) {
	store := &recording{Store: memory.New()}
	s := newService(t, store, token.Options{})
	made, secret, err := s.CreateAPIToken(t.Context(), regcred.APIToken{Name: "ci", Role: regcred.RolePuller})
	if err != nil {
		t.Fatal(err)
	}
	at := made.CreatedAt
	for _, later := range []time.Duration{1, 3, 2} {
		if _, err := s.Authenticate(t.Context(), at.Add(later), secret.Reveal()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Authenticate(t.Context(), at, secret.Reveal()+"x"); err == nil {
		t.Fatal("a wrong token was let in")
	}
	if len(store.writes) != 0 {
		t.Fatalf("%d writes while tokens were used", len(store.writes))
	}
	store.err = regcred.Errorf(regcred.Unavailable, "away")
	if err := s.RecordUses(t.Context()); regcred.CodeOf(err) != regcred.Unavailable {
		t.Errorf("RecordUses while the store is away: %v", err)
	}
	store.err = nil
	for range 2 {
		if err := s.RecordUses(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]time.Time{made.ID: at.Add(3)}
	if diff := cmp.Diff([]map[string]time.Time{want, want}, store.writes); diff != "" {
		t.Errorf("what was written, the first time in vain (-want +got): %s", diff)
	}
	if stored, err := store.Token(t.Context(), made.ID); err != nil || !stored.LastUsedAt.Equal(at.Add(3)) {
		t.Errorf("last used %s, %v", stored.LastUsedAt, err)
	}
}

// TestExpiredIsNoUse: who is turned away has not used a token.
func TestExpiredIsNoUse(t *testing.T) {
	store := &recording{Store: memory.New()}
	s := newService(t, store, token.Options{})
	expires := time.Now().Add(time.Hour)
	made, secret, err := s.CreateAPIToken(t.Context(), regcred.APIToken{Name: "ci", Role: regcred.RolePuller, ExpiresAt: expires})
	if err != nil {
		t.Fatal(err)
	}
	for _, raw := range []string{secret.Reveal(), "rcat_" + made.ID + "_" + zeros} {
		if _, err := s.Authenticate(t.Context(), expires, raw); err == nil {
			t.Errorf("an expired or wrong token was let in")
		}
	}
	if err := s.RecordUses(t.Context()); err != nil || len(store.writes) != 0 {
		t.Errorf("%v was recorded, %v", store.writes, err)
	}
}

const zeros = "0000000000000000000000000000000000000000000000000000000000000000"
