package refresh_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"regcred.dev"
	"regcred.dev/refresh"
)

var minted = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// TestDue checks the bounds between which a login is due, in time since it was
// minted.
func TestDue(t *testing.T) {
	const never = -1
	tests := []struct {
		name               string
		expires, renewable time.Duration // since minted; 0: not set
		earliest, latest   time.Duration // between which it is due
	}{
		{"12 hours", 12 * time.Hour, 0, 324 * time.Minute, 396 * time.Minute},
		{"30 seconds", 30 * time.Second, 0, 13500 * time.Millisecond, 16500 * time.Millisecond},
		{"never expires", 0, 0, never, never},
		{"never expires, renewable", 0, time.Hour, never, never},
		{"renewable earlier than due", time.Hour, time.Minute, 27 * time.Minute, 33 * time.Minute},
		{"renewable later than due", time.Hour, 50 * time.Minute, 50 * time.Minute, 50 * time.Minute},
		{"renewable when it expires", time.Hour, time.Hour, time.Hour, time.Hour},
		{"renewable after it expired", time.Hour, 2 * time.Hour, time.Hour, time.Hour},
		{"a second", time.Second, 0, time.Second, time.Second},
		{"a millisecond", time.Millisecond, 0, time.Second, time.Second},
		{"expired when minted", -time.Hour, 0, time.Second, time.Second},
		{"a hundred years", 876000 * time.Hour, 0, 394200 * time.Hour, 481800 * time.Hour},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for version := range uint64(50) {
				l := regcred.Login{MintedAt: minted, Version: version}
				if test.expires != 0 {
					l.ExpiresAt = minted.Add(test.expires)
				}
				if test.renewable != 0 {
					l.RenewableAt = minted.Add(test.renewable)
				}
				due := refresh.Due(l, "guid-1")
				if test.earliest == never {
					if !due.IsZero() {
						t.Fatalf("due at %s, want never", due)
					}
					continue
				}
				if after := due.Sub(minted); after < test.earliest || after > test.latest {
					t.Fatalf("version %d: due after %s, want %s to %s", version, after, test.earliest, test.latest)
				}
			}
		})
	}
}

// TestDueIsSpread checks that credentials stored one after the other are due
// evenly over the tenth of a lifetime, and each always at the same time.
func TestDueIsSpread(t *testing.T) {
	const lifetime, credentials, parts = 12 * time.Hour, 10_000, 10
	var count [parts]int
	for n := range credentials {
		guid := fmt.Sprintf("credential-%06d", n)
		l := regcred.Login{MintedAt: minted, ExpiresAt: minted.Add(lifetime), Version: 1}
		due := refresh.Due(l, guid)
		if again := refresh.Due(l, guid); again != due {
			t.Fatalf("%s is due at %s and at %s", guid, due, again)
		}
		after := due.Sub(minted) - lifetime*45/100
		count[min(int(after*parts/(lifetime/10)), parts-1)]++
	}
	for part, n := range count {
		if n < credentials/parts*8/10 || n > credentials/parts*12/10 {
			t.Errorf("part %d of %d has %d of %d credentials", part, parts, n, credentials)
		}
	}
}

// TestDueConverges plays an issuer that hands out the same token until it
// expires: each time half of what is left passes, so that it is asked a few dozen
// times at most.
func TestDueConverges(t *testing.T) {
	expires := minted.Add(12 * time.Hour)
	now, asked := minted, 0
	for now.Before(expires) {
		now = refresh.Due(regcred.Login{MintedAt: now, ExpiresAt: expires, Version: 1}, "guid-1")
		asked++
	}
	if asked < 10 || asked > 25 {
		t.Errorf("it was asked %d times within 12 hours", asked)
	}
}

// TestBackoff checks the longest and shortest wait.
func TestBackoff(t *testing.T) {
	const most = 1 - 1e-9 // the greatest r
	tests := []struct {
		failures          int
		left              time.Duration
		shortest, longest time.Duration
	}{
		{0, 0, 100 * time.Millisecond, time.Second},
		{1, 0, 100 * time.Millisecond, time.Second},
		{2, 0, 100 * time.Millisecond, 2 * time.Second},
		{3, 0, 100 * time.Millisecond, 4 * time.Second},
		{6, 0, 100 * time.Millisecond, 32 * time.Second},
		{7, 0, 100 * time.Millisecond, time.Minute},
		{8, 0, 100 * time.Millisecond, time.Minute},
		{math.MaxInt, 0, 100 * time.Millisecond, time.Minute},
		{-1, 0, 100 * time.Millisecond, time.Second},
		{math.MaxInt, -time.Hour, 100 * time.Millisecond, time.Minute},
		{math.MaxInt, time.Hour, 100 * time.Millisecond, time.Minute},
		{math.MaxInt, time.Minute, 100 * time.Millisecond, 30 * time.Second},
		{math.MaxInt, time.Second, 100 * time.Millisecond, 500 * time.Millisecond},
		{math.MaxInt, 150 * time.Millisecond, 100 * time.Millisecond, 100 * time.Millisecond},
		{math.MaxInt, 50 * time.Millisecond, 50 * time.Millisecond, 50 * time.Millisecond},
		{1, time.Nanosecond, time.Nanosecond, time.Nanosecond},
	}
	for _, test := range tests {
		shortest := refresh.Backoff(test.failures, test.left, 0)
		longest := refresh.Backoff(test.failures, test.left, most).Round(time.Microsecond)
		if test.longest < time.Microsecond {
			longest = refresh.Backoff(test.failures, test.left, most)
		}
		if shortest != test.shortest || longest != test.longest {
			t.Errorf("Backoff(%d, %s) is %s to %s, want %s to %s", test.failures, test.left, shortest, longest, test.shortest, test.longest)
		}
	}
}

// TestBackoffBounds checks what holds for any failure: a wait is never zero, never
// longer than a minute, and never goes beyond the end of the current login.
func TestBackoffBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		failures := rapid.Int().Draw(t, "failures")
		left := time.Duration(rapid.Int64().Draw(t, "left"))
		wait := refresh.Backoff(failures, left, rapid.Float64Range(0, 0.999999).Draw(t, "r"))
		if wait <= 0 || wait > time.Minute || left > 0 && wait > left {
			t.Errorf("waits %s", wait)
		}
	})
}
