package refresh

import (
	"time"

	"regcred.dev"
)

// What tests look at from outside.
type (
	Limit   = limit
	Renewal = renewal
)

var (
	NewLimit   = newLimit
	Spread     = spread
	RetryAfter = retryAfter
)

const ProbeInterval = probeInterval

// NewRenewal returns a login's times: when it was minted, is due and expires.
func NewRenewal(minted, due, expires time.Time) Renewal { return renewal{minted, due, expires} }

func (r Renewal) Times() (minted, due, expires time.Time) { return r.minted, r.due, r.expires }

func (l *Limit) Next(now time.Time) time.Time             { return l.next(now) }
func (l *Limit) Take(now time.Time)                       { l.take(now) }
func (l *Limit) Pause(until time.Time)                    { l.pause(until) }
func (l *Limit) Rate() float64                            { return l.current() }
func (l *Limit) Answered(began, now time.Time, err error) { l.answered(began, now, err) }

// SetJitter makes a Refresher's waits follow from a function, in place of chance.
func (r *Refresher) SetJitter(jitter func(guid string) float64) { r.jitter = jitter }

// Learn takes in a change, as the store's watch tells of it.
func (r *Refresher) Learn(c regcred.Change) { r.learn(c) }

// Groups returns how many sources the Refresher knows.
func (r *Refresher) Groups() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.groups)
}
