package refresh_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"regcred.dev"
	"regcred.dev/refresh"
)

var (
	errDown     = regcred.Errorf(regcred.Unavailable, "issuer.example.com does not answer")
	errThrottle = regcred.ThrottledFor(0, "issuer.example.com asks to be asked less often")
	errDenied   = regcred.Errorf(regcred.Denied, "issuer.example.com refuses the key")
)

// asked plays an issuer that is asked as often as the limit allows, and answers
// each time with err; it returns how often that was within a time.
func asked(l *refresh.Limit, from time.Time, within time.Duration, err error) int {
	n := 0
	for now := from; now.Before(from.Add(within)); {
		if next := l.Next(now); next.After(now) {
			now = next
			continue
		}
		l.Take(now)
		l.Answered(now, now, err)
		n++
	}
	return n
}

// TestLimit checks rate and burst, over an hour.
func TestLimit(t *testing.T) {
	tests := []struct {
		name     string
		rate     float64
		burst    int
		err      error
		min, max int
	}{
		{"20 a second", 20, 200, nil, 72_199, 72_201},
		{"one in ten seconds", 0.1, 1, nil, 360, 361},
		{"no burst is one", 1, 0, nil, 3600, 3601},
		{"refusals cost as much", 1, 1, errDenied, 3600, 3601},
		{"throttling goes to a sixteenth", 16, 1, errThrottle, 3600, 3650},
		{"down is asked every five seconds", 100, 1, errDown, 735, 737},
		{"down is asked no more than it may be", 0.1, 1, errDown, 360, 361},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := refresh.NewLimit(regcred.ProviderInfo{Rate: test.rate, Burst: test.burst})
			if n := asked(&l, minted, time.Hour, test.err); n < test.min || n > test.max {
				t.Errorf("asked %d times, want %d to %d", n, test.min, test.max)
			}
		})
	}
}

// TestLimitAdapts: throttling halves the rate once for all that were under way
// together, successes raise it again, and no further than the provider allows.
func TestLimitAdapts(t *testing.T) {
	l := refresh.NewLimit(regcred.ProviderInfo{Rate: 16, Burst: 4})
	want := func(what string, rate float64) {
		t.Helper()
		if l.Rate() != rate {
			t.Errorf("%s: the rate is %g, want %g", what, l.Rate(), rate)
		}
	}
	now := minted
	for range 4 {
		l.Take(now)
	}
	later := now.Add(time.Second)
	for range 4 {
		l.Answered(now, later, errThrottle)
	}
	want("four throttled together", 8)
	if next := l.Next(later); !next.After(later) {
		t.Error("the burst was not used up")
	}
	later = later.Add(time.Second)
	l.Answered(later, later, errThrottle)
	want("throttled again", 4)
	for range 10 {
		later = later.Add(time.Second)
		l.Answered(later, later, errThrottle)
	}
	want("the floor", 1)
	l.Answered(later, later, nil)
	want("a success", 3)
	for range 100 {
		l.Answered(later, later, nil)
	}
	want("many of them", 16)
	for range 16 {
		want("not down yet", 16)
		l.Answered(later, later, errDown)
	}
	want("down", 1/refresh.ProbeInterval.Seconds())
	l.Answered(later, later, errDenied)
	want("it answers", 16)
}

// TestLimitPause: a pause holds, with or without a rate, and a shorter one does
// not end it.
func TestLimitPause(t *testing.T) {
	for _, rate := range []float64{0, 10} {
		l := refresh.NewLimit(regcred.ProviderInfo{Rate: rate})
		l.Pause(minted.Add(time.Minute))
		l.Pause(minted.Add(time.Second))
		if next := l.Next(minted); !next.Equal(minted.Add(time.Minute)) {
			t.Errorf("rate %g: next at %s", rate, next)
		}
		if next := l.Next(minted.Add(time.Minute)); next.After(minted.Add(time.Minute)) {
			t.Errorf("rate %g: after the pause, next at %s", rate, next)
		}
	}
}

// TestLimitBounds: whatever an issuer answers, it is asked at most burst times and
// as often as its rate says, in any stretch from the start; and never not at all.
func TestLimitBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.Float64Range(0.01, 1000).Draw(t, "rate")
		burst := rapid.IntRange(0, 100).Draw(t, "burst")
		l := refresh.NewLimit(regcred.ProviderInfo{Rate: rate, Burst: burst})
		now := minted
		for n := 1; n <= 200; n++ {
			if next := l.Next(now); next.After(now) {
				if next.Sub(now) > max(refresh.ProbeInterval, time.Duration(16.1/rate*float64(time.Second))) {
					t.Fatalf("rate %g: nothing for %s", rate, next.Sub(now))
				}
				now = next
			}
			if next := l.Next(now); next.After(now) {
				t.Fatalf("at %s it is to be asked at %s", now, next)
			}
			l.Take(now)
			l.Answered(now, now, rapid.SampledFrom([]error{nil, nil, errDown, errThrottle, errDenied}).Draw(t, "answer"))
			if most := float64(max(burst, 1)) + rate*now.Sub(minted).Seconds() + 0.01; float64(n) > most {
				t.Fatalf("asked %d times within %s, at most %g are allowed", n, now.Sub(minted), most)
			}
		}
	})
}
