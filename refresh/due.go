package refresh

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"time"

	"regcred.dev"
)

// minInterval is the least time between two successful mints of a credential that
// nobody changed: an issuer that hands out the same token until it expires is
// asked ever more often, but no more than this.
const minInterval = time.Second

// Due returns when a login minted from the credential with this guid is to be
// renewed: after 45 to 55% of its lifetime, the share following from the guid and
// the login's version, so that credentials stored together are not renewed
// together, and a restart changes nothing. Zero means never: the login does not
// expire.
//
// A login that the issuer does not renew before a certain time is due then, or
// where that is too late when it expires. None is due within a second of when it
// was minted.
func Due(l regcred.Login, guid string) time.Time {
	if l.ExpiresAt.IsZero() {
		return time.Time{}
	}
	lifetime := l.ExpiresAt.Sub(l.MintedAt)
	due := l.MintedAt.Add(time.Duration(float64(lifetime) * (0.45 + 0.1*share(guid, l.Version))))
	due = latest(due, l.RenewableAt)
	if due.After(l.ExpiresAt) {
		due = l.ExpiresAt
	}
	return latest(due, l.MintedAt.Add(minInterval))
}

// DueWithin is Due, but at most maxAge after the login was minted; 0 is no bound. What
// the issuer does not renew before a certain time is not due before that.
func DueWithin(l regcred.Login, guid string, maxAge time.Duration) time.Time {
	due := Due(l, guid)
	if maxAge <= 0 {
		return due
	}
	bound := latest(l.MintedAt.Add(max(maxAge, minInterval)), l.RenewableAt)
	if due.IsZero() {
		return bound
	}
	return earliest(due, bound)
}

// share returns a number in [0, 1) that follows from a guid and a version, and is
// spread evenly.
func share(guid string, version uint64) float64 {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(guid), version))
	return float64(binary.BigEndian.Uint32(sum[:])) / (math.MaxUint32 + 1)
}

func latest(t, u time.Time) time.Time {
	if t.Before(u) {
		return u
	}
	return t
}

func earliest(t, u time.Time) time.Time {
	if u.Before(t) {
		return u
	}
	return t
}

const (
	minBackoff   = 100 * time.Millisecond
	firstBackoff = time.Second
	maxBackoff   = time.Minute
)

// Backoff returns how long to wait after so many failures in a row (1 is the
// first), when the current login is valid for left, which is zero or less where
// there is none. r is a random number in [0, 1).
//
// It is full jitter: a random part of 1 s, doubled with each failure up to 60 s.
// While a login is valid it is at most half of what is left, so that there are
// tries until the end, and never beyond that end. It is never zero.
func Backoff(failures int, left time.Duration, r float64) time.Duration {
	ceiling := maxBackoff
	if doublings := max(failures, 1) - 1; doublings < 6 {
		ceiling = firstBackoff << doublings
	}
	wait := time.Duration(r * float64(ceiling))
	if left <= 0 {
		return max(wait, minBackoff)
	}
	return min(max(min(wait, left/2), minBackoff), left)
}

// jitter returns a random number in [0, 1) for Backoff. It need not be a secret.
func jitter(string) float64 {
	return rand.Float64()
}

// minTimeout is what a mint is given even where the current login ends sooner.
const minTimeout = 5 * time.Second

// timeout returns how long a mint may take: limit, or while a login is valid for
// left half of that, so that an issuer that hangs leaves time for another try.
func timeout(limit, left time.Duration) time.Duration {
	if left <= 0 {
		return limit
	}
	return min(limit, max(left/2, minTimeout))
}
