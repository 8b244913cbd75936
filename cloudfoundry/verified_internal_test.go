package cloudfoundry

import (
	"encoding/binary"
	"testing"
	"time"
)

// TestVerifiedIsBounded: however many tokens there are, no more than maxVerified are kept,
// none for longer than keepVerified, and what is over goes first.
func TestVerifiedIsBounded(t *testing.T) {
	var v verified
	now := time.Unix(1000, 0)
	token := func(n int) (hash tokenHash) {
		binary.BigEndian.PutUint64(hash[:], uint64(n))
		return hash
	}
	for n := range 3 * maxVerified {
		v.put(now, token(n), claims{UserID: "u"})
		if c, ok := v.get(now, token(n)); !ok || c.UserID != "u" {
			t.Fatal(n, c, ok)
		}
	}
	if len(v.entries) > maxVerified {
		t.Errorf("%d entries", len(v.entries))
	}
	last := token(3*maxVerified - 1)
	if _, ok := v.get(now.Add(keepVerified-1), last); !ok {
		t.Error("gone too early")
	}
	now = now.Add(keepVerified)
	if _, ok := v.get(now, last); ok {
		t.Error("there for too long")
	}
	for n := range maxVerified {
		v.put(now, token(-1-n), claims{})
	}
	if len(v.entries) != maxVerified {
		t.Errorf("%d entries: some went before those that were over", len(v.entries))
	}
}
