package bearer_test

import (
	"strings"
	"testing"
	"time"

	"regcred.dev/provider/internal/bearer"
)

func TestIsToken(t *testing.T) {
	for text, want := range map[string]bool{
		"ya29.a0Af_-~/+=": true, "!": true, strings.Repeat("t", bearer.MaxLength): true,
		"": false, "a b": false, "a\r\nX: y": false, "a\x00": false, "a\x7f": false, "ä": false, "\xff": false,
		strings.Repeat("t", bearer.MaxLength+1): false,
	} {
		if got := bearer.IsToken(text); got != want {
			t.Errorf("%.20q: %t", text, got)
		}
	}
}

func TestCheckExpiry(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		expires time.Time
		ok      bool
	}{
		{now.Add(12 * time.Hour), true},
		{now.Add(7 * 24 * time.Hour), true},
		{time.Time{}, true}, // expired: what that means is up to whoever asked
		{now.Add(8 * 24 * time.Hour), false},
		{time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), false},
	} {
		if err := bearer.CheckExpiry(test.expires, now); (err == nil) != test.ok {
			t.Errorf("%s: %v", test.expires, err)
		}
	}
}
