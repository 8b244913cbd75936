package refresh

import (
	"math"
	"time"

	"regcred.dev"
)

// How an issuer's rate gives way, as parts of what its provider allows.
const (
	floorShare = 1.0 / 16 // below which throttling does not bring it
	stepShare  = 1.0 / 8  // by which each success raises it again
)

// An issuer that was Unavailable so many times in a row is down: it is asked only
// once in a while until it answers. A refusal is an answer: it may be for that one
// credential.
const (
	downAfter     = 16
	probeInterval = 5 * time.Second
)

// A limit says when an issuer may be asked next: a token bucket whose rate gives
// way when the issuer throttles. It is a pure function of what it was told, and
// when. The zero limit allows everything until the issuer asks for a pause.
type limit struct {
	most  float64 // mints a second that the provider allows; 0: any number
	burst float64 // at once, after a pause
	rate  float64 // a second, now: most, or less after throttling

	tokens float64   // that there were at
	at     time.Time // this time

	pausedUntil time.Time // as the issuer asked
	loweredAt   time.Time // when rate last gave way
	unanswered  int       // mints in a row for which it was Unavailable
}

func newLimit(info regcred.ProviderInfo) limit {
	burst := float64(max(info.Burst, 1))
	return limit{most: info.Rate, burst: burst, rate: info.Rate, tokens: burst}
}

// paused reports whether the issuer asked to be left alone until later than now.
func (l *limit) paused(now time.Time) bool { return now.Before(l.pausedUntil) }

// down reports whether the issuer does not answer at all. One without a limit is
// never down: it may be asked as often as anybody likes.
func (l *limit) down() bool { return l.most > 0 && l.unanswered >= downAfter }

// current returns the rate that holds now, 0 for any.
func (l *limit) current() float64 {
	if l.down() {
		return min(l.rate, 1/probeInterval.Seconds())
	}
	return l.rate
}

// available returns how many tokens there are.
func (l *limit) available(now time.Time) float64 {
	passed := max(now.Sub(l.at), 0)
	return min(l.burst, l.tokens+passed.Seconds()*l.current())
}

// enough is a token but for what is lost in floating point arithmetic.
const enough = 1 - 1e-6

// next returns from when the issuer may be asked; a time that is not after now is
// as good as now.
func (l *limit) next(now time.Time) time.Time {
	if l.most == 0 {
		return l.pausedUntil
	}
	have := l.available(now)
	if have >= enough {
		return l.pausedUntil
	}
	wait := time.Duration(math.Ceil((1 - have) / l.current() * float64(time.Second)))
	return latest(now.Add(wait), l.pausedUntil)
}

// take uses up a token.
func (l *limit) take(now time.Time) { l.add(now, -1) }

// add gives back tokens that were taken and not needed, or takes more.
func (l *limit) add(now time.Time, tokens float64) {
	l.tokens, l.at = l.available(now)+tokens, now
}

// answered tells of what became of a mint that began at a time: err is the
// provider's, nil for a login.
func (l *limit) answered(began, now time.Time, err error) {
	l.add(now, 0) // at the rate that was
	switch regcred.CodeOf(err) {
	case regcred.Unavailable:
		if l.unanswered++; l.down() {
			l.tokens = min(l.tokens, 0)
		}
		return
	case regcred.Throttled:
		l.lower(began, now)
	}
	l.unanswered = 0
	if err == nil {
		l.rate = min(l.most, l.rate+l.most*stepShare)
	}
}

// lower halves the rate, once for all mints that were under way together.
func (l *limit) lower(began, now time.Time) {
	if !began.After(l.loweredAt) {
		return
	}
	l.rate = max(l.rate/2, l.most*floorShare)
	l.tokens = min(l.tokens, 0)
	l.loweredAt = now
}

// pause keeps the issuer from being asked until a time.
func (l *limit) pause(until time.Time) { l.pausedUntil = latest(l.pausedUntil, until) }
