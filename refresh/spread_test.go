package refresh_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"regcred.dev"
	"regcred.dev/refresh"
)

// fleet returns the logins of n credentials at now. age says when each was minted,
// in parts of its lifetime.
func fleet(n int, lifetime time.Duration, now time.Time, age func(n int) float64) []refresh.Renewal {
	logins := make([]refresh.Renewal, n)
	for i := range logins {
		minted := now.Add(-time.Duration(age(i) * float64(lifetime)))
		l := regcred.Login{MintedAt: minted, ExpiresAt: minted.Add(lifetime), Version: 1}
		logins[i] = refresh.NewRenewal(minted, refresh.Due(l, fmt.Sprint("guid-", i)), l.ExpiresAt)
	}
	return logins
}

// busiest returns the most starts within any stretch of a length.
func busiest(starts []time.Time, length time.Duration) int {
	sorted := slices.SortedFunc(slices.Values(starts), time.Time.Compare)
	most, first := 0, 0
	for i, start := range sorted {
		for !sorted[first].After(start.Add(-length)) {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// TestSpread checks how fast a restart renews, in times of the rate in the long
// run: a thousand logins of 12 hours, one every 21.6 seconds. It looks at each half
// an hour until there is no backlog.
func TestSpread(t *testing.T) {
	const n, lifetime, window = 1000, 12 * time.Hour, 30 * time.Minute
	const steady = n * float64(window) / float64(lifetime/2)
	r := rand.New(rand.NewPCG(1, 2))
	evenly := func(away float64) func(int) float64 { // minted one after the other, until the server went away
		return func(i int) float64 { return 0.5*float64(i)/n + away }
	}
	tests := []struct {
		name    string
		age     func(int) float64
		backlog time.Duration // within which it is gone
		most    float64
	}{
		{"away for half an hour", evenly(0.5 / 12), 3 * time.Hour, 1.21},
		{"away for two hours", evenly(2.0 / 12), 11 * time.Hour, 1.21},
		{"away for three hours", evenly(3.0 / 12), 8 * time.Hour, 1.21},
		{"at random times, away for an hour", func(int) float64 { return 0.5*r.Float64() + 1.0/12 }, 5 * time.Hour, 1.25},
		{"created together, away in the middle", func(int) float64 { return 0.5 }, time.Hour, 5.6},
		{"created together, away past all", func(int) float64 { return 0.56 }, time.Hour, 5.6},
		{"created together, away until little is left", func(int) float64 { return 0.9 }, time.Hour, 10.8},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			logins := fleet(n, lifetime, minted, test.age)
			starts := slices.DeleteFunc(refresh.Spread(minted, logins), func(at time.Time) bool { return at.After(minted.Add(test.backlog)) })
			most := float64(busiest(starts, window)-1) / steady
			t.Logf("%d starts, at most %.2f times the steady rate", len(starts), most)
			if most > test.most {
				t.Errorf("within %s it starts up to %.2f times as many as in the long run, want %.2f", window, most, test.most)
			}
		})
	}
}

// TestSpreadLeavesRoom: where a restart took no time to speak of, no login is so
// late afterwards that an issuer which is then out for 40% of a lifetime would
// leave a gap, however the credentials were created, and however many restarts
// there are in a row (up to six).
func TestSpreadLeavesRoom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lifetime := rapid.SampledFrom([]time.Duration{15 * time.Minute, time.Hour, 12 * time.Hour}).Draw(t, "lifetime")
		ages := rapid.SliceOfN(rapid.Float64Range(0, 0.55), 1, 300).Draw(t, "ages")
		if rapid.Bool().Draw(t, "together") {
			for i := range ages {
				ages[i] = ages[0]
			}
		}
		// None is overdue: a server that ran renewed them.
		logins := slices.DeleteFunc(fleet(len(ages), lifetime, minted, func(i int) float64 { return ages[i] }), func(l refresh.Renewal) bool {
			_, due, _ := l.Times()
			return due.Before(minted)
		})
		now := minted
		for range rapid.IntRange(1, 6).Draw(t, "restarts") {
			starts := refresh.Spread(now, logins)
			next := now.Add(time.Duration(rapid.Float64Range(0, 0.02).Draw(t, "until the next") * float64(lifetime)))
			var left []refresh.Renewal
			for i, l := range logins {
				minted, _, expires := l.Times()
				if age := float64(starts[i].Sub(minted)) / float64(lifetime); age > 0.581 {
					t.Fatalf("renewed after %.3f of its lifetime, at %s; expires %s", age, starts[i], expires)
				}
				if starts[i].After(next) {
					left = append(left, l)
				}
			}
			logins, now = left, next
		}
	})
}

// TestSpreadAfterOutage: a restart soon after an outage, while some logins are still
// overdue, does not delay those that are new already: the next outage may come 60%
// of a lifetime after the last one.
func TestSpreadAfterOutage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const lifetime = 15 * time.Minute
		overdue := rapid.IntRange(0, 30).Draw(t, "overdue")
		n := overdue + rapid.IntRange(1, 30).Draw(t, "new")
		logins := fleet(n, lifetime, minted, func(i int) float64 {
			if i < overdue {
				return rapid.Float64Range(0.55, 0.95).Draw(t, "age")
			}
			return rapid.Float64Range(0, 0.03).Draw(t, "age of a new one")
		})
		for i, start := range refresh.Spread(minted, logins)[overdue:] {
			_, due, _ := logins[overdue+i].Times()
			if start.After(due.Add(lifetime/200)) && start.After(minted.Add(lifetime/2+lifetime/200)) {
				t.Fatalf("a login due at %s is renewed at %s", due, start)
			}
		}
	})
}

// TestSpreadBounds checks what holds for any logins: none is renewed before it is
// due, or later than after half of what was left; the order is that of their due
// times; and a login that is not due is renewed in time where nothing is overdue
// before it.
func TestSpreadBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		logins := make([]refresh.Renewal, rapid.IntRange(0, 200).Draw(t, "n"))
		for i := range logins {
			lifetime := time.Duration(rapid.Int64Range(1, int64(1000*time.Hour)).Draw(t, "lifetime"))
			age := rapid.Float64Range(0, 0.999999).Draw(t, "age")
			due := rapid.Float64Range(0, 1).Draw(t, "due")
			at := minted.Add(-time.Duration(age * float64(lifetime)))
			logins[i] = refresh.NewRenewal(at, at.Add(time.Duration(due*float64(lifetime))), at.Add(lifetime))
		}
		starts := refresh.Spread(minted, logins)
		for i, l := range logins {
			_, due, expires := l.Times()
			from := due
			if from.Before(minted) {
				from = minted
			}
			if starts[i].Before(from) {
				t.Fatalf("login %d starts at %s, is due at %s", i, starts[i], due)
			}
			if half := expires.Sub(from) / 2; starts[i].Sub(from) > max(half, time.Second) {
				t.Fatalf("login %d starts at %s: more than half of what is left until %s has passed", i, starts[i], expires)
			}
			for j, other := range logins {
				if _, otherDue, _ := other.Times(); otherDue.After(due) && otherDue.After(minted) && starts[j].Before(starts[i]) {
					t.Fatalf("login %d, due at %s, starts after one that is due at %s", i, due, otherDue)
				}
			}
		}
	})
}

// BenchmarkSpread plans a restart of 100,000 credentials of one issuer, of which
// one in ten is overdue.
func BenchmarkSpread(b *testing.B) {
	const n = 100_000
	logins := fleet(n, 12*time.Hour, minted, func(i int) float64 { return 0.55 * float64(i) / n })
	for b.Loop() {
		refresh.Spread(minted, logins)
	}
}
