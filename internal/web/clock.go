package web

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// minSkew is the least difference of clocks that counts: a Date header has whole
// seconds (RFC 9110, section 6.6.1), and the answer took its time.
const minSkew = 2 * time.Second

// Skew returns how far a server's clock is ahead of this machine's, negative where
// it is behind, by the Date header of an answer to a request that was sent and
// answered at these times. It is never more than they differ, and less by at most a
// second and the time that the answer took; 0 where they may well agree.
func Skew(h http.Header, sent, received time.Time) time.Duration {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return 0
	}
	// The server wrote it somewhere between, and cut off up to a second.
	earliest, latest := date.Sub(received), date.Add(time.Second).Sub(sent)
	switch {
	case earliest > minSkew:
		return earliest
	case latest < -minSkew:
		return latest
	}
	return 0
}

// maxRetryAfter bounds what a Retry-After header may ask for.
const maxRetryAfter = time.Hour

// RetryAfter reads the header of that name (RFC 9110, section 10.2.3), seconds or
// a date; 0 where there is none that makes sense. More than an hour counts as one.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	value := h.Get("Retry-After")
	if value != "" && strings.Trim(value, "0123456789") == "" {
		seconds, err := strconv.ParseUint(value, 10, 64)
		if err != nil || seconds > uint64(maxRetryAfter/time.Second) {
			return maxRetryAfter
		}
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), maxRetryAfter)
}

// Recorder is a transport that notes the skew of the newest answer: for libraries
// that keep the headers to themselves.
type Recorder struct {
	// Transport carries the requests; it must be set.
	Transport http.RoundTripper

	mu   sync.Mutex
	skew time.Duration
}

// RoundTrip implements http.RoundTripper.
func (r *Recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	sent := time.Now()
	resp, err := r.Transport.RoundTrip(req)
	if err == nil {
		skew := Skew(resp.Header, sent, time.Now())
		r.mu.Lock()
		r.skew = skew
		r.mu.Unlock()
	}
	return resp, err
}

// Skew returns how far the clock of whoever answered last is ahead.
func (r *Recorder) Skew() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.skew
}
