package fake

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"maps"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Issuer is the part of a fake that all have. It may be used concurrently.
type Issuer struct {
	lifetime time.Duration

	mu     sync.Mutex
	quirks Quirks
	calls  map[string]int
	last   map[string]Token // by whom it is for
	issued map[string]Token // by value
}

// Token is a token that was issued. Its times are by the issuer's clock.
type Token struct {
	Value   string
	Issued  time.Time
	Expires time.Time
}

// New returns an Issuer whose tokens live as long as the quirks say, or else for
// lifetime.
func New(q Quirks, lifetime time.Duration) *Issuer {
	return &Issuer{
		lifetime: lifetime, quirks: q,
		calls: map[string]int{}, last: map[string]Token{}, issued: map[string]Token{},
	}
}

// Set replaces the quirks from the next request on.
func (i *Issuer) Set(q Quirks) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.quirks = q
}

// Quirks returns the quirks as they are now.
func (i *Issuer) Quirks() Quirks {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.quirks
}

// Now returns the time by the issuer's clock.
func (i *Issuer) Now() time.Time { return time.Now().Add(i.Quirks().Skew) }

// Calls returns how often each call was begun, throttled ones too.
func (i *Issuer) Calls() map[string]int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return maps.Clone(i.calls)
}

// Outcome is what Begin found.
type Outcome int

// The outcomes.
const (
	Serve    Outcome = iota // the fake answers
	Throttle                // the fake answers in its vendor's words that there were too many requests
	Done                    // there is nothing left to answer
)

// Begin is how the answer to each request begins: it counts the request under
// call, sets the Date header, is slow, redirects, and fails. Before a Throttle it sets
// Retry-After.
func (i *Issuer) Begin(w http.ResponseWriter, r *http.Request, call string) Outcome {
	q, throttled := i.begin(call)
	if q.Slow > 0 {
		wait := time.NewTimer(q.Slow)
		defer wait.Stop()
		select {
		case <-wait.C:
		case <-r.Context().Done():
			return Done
		}
	}
	w.Header().Set("Date", i.Now().UTC().Format(http.TimeFormat))
	switch {
	case q.Redirect != "":
		w.Header().Set("Location", q.Redirect)
		w.WriteHeader(http.StatusTemporaryRedirect)
		return Done
	case q.Status != 0:
		http.Error(w, http.StatusText(q.Status), q.Status)
		return Done
	case throttled:
		if q.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(q.RetryAfter.Seconds())))
		}
		return Throttle
	}
	return Serve
}

func (i *Issuer) begin(call string) (q Quirks, throttled bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.calls[call]++
	throttled = i.quirks.Throttle != 0
	if i.quirks.Throttle > 0 {
		i.quirks.Throttle--
	}
	return i.quirks, throttled
}

// Issue returns a token for whoever or whatever key names: prefix and a random
// rest, or with SameUntil the one of before.
func (i *Issuer) Issue(key, prefix string) Token {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := time.Now().Add(i.quirks.Skew)
	if t, ok := i.last[key]; ok && t.Expires.Sub(now) > i.quirks.SameUntil && i.quirks.SameUntil > 0 {
		return t
	}
	lifetime := i.lifetime
	if i.quirks.Lifetime > 0 {
		lifetime = i.quirks.Lifetime
	}
	t := Token{Value: prefix + rand.Text(), Issued: now, Expires: now.Add(lifetime)}
	if i.quirks.ExpiredAtIssue {
		t.Expires = now.Add(-time.Hour)
	}
	i.last[key], i.issued[t.Value] = t, t
	return t
}

// Find returns the token with this value, and whether it was issued here and has
// not expired.
func (i *Issuer) Find(value string) (Token, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	t, ok := i.issued[value]
	return t, ok && time.Now().Add(i.quirks.Skew).Before(t.Expires)
}

// Write answers with status and v as JSON, garbled where the status is a success
// and the quirks say so.
func (i *Issuer) Write(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic("fake: an answer that is no JSON: " + err.Error())
	}
	contentType := "application/json"
	if status < 300 {
		switch i.Quirks().Garbage {
		case HTML:
			contentType, body = "text/html; charset=utf-8", []byte("<!DOCTYPE html><title>Sign in</title>")
		case Cut:
			body = body[:len(body)/2]
		case Void:
			body = nil
		case Huge:
			body = append(bytes.Repeat([]byte(" "), HugeSize), body...)
		case NoToken, NoExpiry, BadExpiry:
		}
	}
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", contentType)
	}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
