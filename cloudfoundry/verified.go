package cloudfoundry

import (
	"sync"
	"time"
)

const (
	// keepVerified is how long a signature that was verified counts: to verify one takes
	// most of what a request costs. It is also how long a token still counts after its key
	// is found to be gone.
	keepVerified = 5 * time.Second
	// maxVerified bounds how many are kept. An entry has the claims of one token, mostly
	// less than 2 KB.
	maxVerified = 5000
)

// verified has the claims of tokens that the UAA has signed, by the whole token's hash.
// Nothing but the signature is taken as read: time, audience and issuer are looked at anew
// for each request.
type verified struct {
	mu      sync.Mutex
	entries map[tokenHash]signed
}

type signed struct {
	claims claims
	until  time.Time
}

// get returns the claims of a token whose signature was verified a moment before now.
func (v *verified) get(now time.Time, token tokenHash) (claims, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	s, ok := v.entries[token]
	return s.claims, ok && now.Before(s.until)
}

// put keeps the claims of a token whose signature is verified now.
func (v *verified) put(now time.Time, token tokenHash, c claims) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.entries == nil {
		v.entries = map[tokenHash]signed{}
	}
	if len(v.entries) >= maxVerified {
		v.makeRoom(now)
	}
	v.entries[token] = signed{c, now.Add(keepVerified)}
}

// makeRoom removes what is over, and where that is not enough some other.
func (v *verified) makeRoom(now time.Time) {
	for token, s := range v.entries {
		if !now.Before(s.until) {
			delete(v.entries, token)
		}
	}
	for token := range v.entries {
		if len(v.entries) < maxVerified*9/10 {
			return
		}
		delete(v.entries, token)
	}
}
