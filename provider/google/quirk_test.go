package google_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"regcred.dev"
	"regcred.dev/refresh"
	"regcred.dev/regcredtest/fakegoogle"
	"regcred.dev/store/memory"
)

// TestGarbage checks that an answer that makes no sense is said to be one.
func TestGarbage(t *testing.T) {
	for name, c := range kinds(t) {
		for _, kind := range fakegoogle.GarbageKinds() {
			w := newWorld(t, fakegoogle.Options{Machine: machine})
			w.addUser()
			w.addProof()
			w.google.Set(fakegoogle.Quirks{Garbage: kind})
			w.run(name+", "+string(kind), func(w *world) { w.fails(c(w), regcred.Unavailable, "answers with") })
		}
	}
}

// garbled is a Google whose answers make no sense for as long as it answers.
type garbled struct {
	*fakegoogle.Server

	kind fakegoogle.Garbage
}

func (g garbled) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.Set(fakegoogle.Quirks{Garbage: g.kind})
	defer g.Set(fakegoogle.Quirks{})
	g.Server.ServeHTTP(w, r)
}

// TestGarbageOfImpersonation has the API that impersonates answer what makes no
// sense, behind a source that works.
func TestGarbageOfImpersonation(t *testing.T) {
	for _, kind := range fakegoogle.GarbageKinds() {
		w := newWorld(t, fakegoogle.Options{})
		w.google.Grant(puller, target)
		c := w.keyed("impersonate", target)
		w.mint(c, target, fakegoogle.ScopeReadOnly)
		w.transport[fakegoogle.IAMCredentialsHost] = garbled{w.google, kind}
		w.run(string(kind), func(w *world) { w.fails(c, regcred.Unavailable, "iamcredentials.googleapis.com answers with") })
	}
}

// TestExpiredAtIssue checks that a token that has expired is no login.
func TestExpiredAtIssue(t *testing.T) {
	for name, c := range kinds(t) {
		w := newWorld(t, fakegoogle.Options{Machine: machine})
		w.addUser()
		w.addProof()
		w.google.Set(fakegoogle.Quirks{ExpiredAtIssue: true})
		w.run(name, func(w *world) { w.fails(c(w), regcred.Unavailable, "had expired already") })
	}
}

func TestThrottled(t *testing.T) {
	for name, c := range kinds(t) {
		w := newWorld(t, fakegoogle.Options{Machine: machine, Quirks: fakegoogle.Quirks{Throttle: -1, RetryAfter: 42 * time.Second}})
		_, err := w.provider.Mint(t.Context(), c(w))
		if e, ok := errors.AsType[*regcred.Error](err); !ok || e.Code != regcred.Throttled || e.RetryAfter != 42*time.Second {
			t.Errorf("%s: the error is %v, want one that asks to wait for 42 s", name, err)
		}
		n := 0
		for _, calls := range w.google.Calls() {
			n += calls
		}
		if n != 1 {
			t.Errorf("%s: %d requests, want one", name, n)
		}
	}
}

func TestSlow(t *testing.T) {
	for name, c := range kinds(t) {
		w := newWorld(t, fakegoogle.Options{Machine: machine, Quirks: fakegoogle.Quirks{Slow: time.Minute}})
		credential := c(w)
		w.bubble(func(w *world) {
			ctx, cancel := context.WithTimeout(w.Context(), 5*time.Second)
			defer cancel()
			before := time.Now()
			_, err := w.provider.Mint(ctx, credential)
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(before) != 5*time.Second {
				w.Errorf("%s: after %s: %v, want it to end at its deadline", name, time.Since(before), err)
			}
		})
	}
}

// TestSkew checks that a clock that is off costs nothing but a second request where
// times are signed.
func TestSkew(t *testing.T) {
	for name, kind := range kinds(t) {
		for _, skew := range []time.Duration{-5 * time.Minute, 5 * time.Minute, 3 * time.Hour, -3 * time.Hour} {
			w := newWorld(t, fakegoogle.Options{Machine: machine, Quirks: fakegoogle.Quirks{Skew: skew}})
			w.addUser()
			w.addProof()
			w.google.Grant(puller, target)
			w.google.Grant("user@example.com", target)
			c := kind(w)
			w.bubble(func(w *world) {
				l, err := w.provider.Mint(w.Context(), c)
				if err != nil {
					w.Errorf("%s, %s ahead: %v", name, skew, err)
					return
				}
				if left := time.Until(l.ExpiresAt); left < time.Hour-2*time.Second || left > time.Hour+2*time.Second {
					w.Errorf("%s, %s ahead: the login has %s left, want an hour", name, skew, left)
				}
			})
			if n, want := w.google.Calls()[fakegoogle.CallToken], tokenCalls(name, skew); n != want {
				t.Errorf("%s, %s ahead: the token endpoint was asked %d times, want %d", name, skew, n, want)
			}
		}
	}
}

// tokenCalls is how often a kind of identity asks the token endpoint, whose clock
// is ahead. A JWT of this machine's time that is 5 minutes old is good for another
// 55.
func tokenCalls(name string, ahead time.Duration) int {
	switch {
	case strings.HasPrefix(name, "key") && ahead != 5*time.Minute:
		return 2
	case strings.HasPrefix(name, "key"), strings.HasPrefix(name, "user"):
		return 1
	}
	return 0
}

// TestSkewNoExcuse checks that a refusal for another reason is told, and the clock
// beside it.
func TestSkewNoExcuse(t *testing.T) {
	w := newWorld(t, fakegoogle.Options{Quirks: fakegoogle.Quirks{Skew: time.Hour}})
	w.google.DeleteKey(w.key)
	w.fails(w.keyed(), regcred.Denied, "the key was deleted", "clock is off by")
	if n := w.google.Calls()[fakegoogle.CallToken]; n != 2 {
		t.Errorf("%d requests, want 2", n)
	}
}

// refreshed runs a Refresher on a credential for a while, and looks at the login
// each minute: look gets nil where there is none. It returns the last status.
func (w *world) refreshed(c regcred.Credential, long time.Duration, look func(*regcred.Login)) refresh.Status {
	var status refresh.Status
	w.bubble(func(w *world) {
		store := memory.New()
		if _, err := store.Create(w.Context(), c); err != nil {
			w.Fatal(err)
		}
		r := refresh.New(refresh.Options{Store: store, Providers: map[string]regcred.Provider{"google": w.provider}})
		ctx, cancel := context.WithCancel(w.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.Run(ctx) }()
		for end := time.Now().Add(long); time.Now().Before(end); {
			<-time.After(time.Minute)
			synctest.Wait()
			l, err := store.Login(w.Context(), c.GUID)
			if err != nil {
				look(nil)
			} else {
				look(&l)
			}
		}
		status, _ = r.Status(c.GUID)
		cancel()
		if err := <-ended; err != nil {
			w.Error(err)
		}
	})
	return status
}

// TestRefreshMetadata runs a day on a metadata server that hands out the same
// token until near its end: the login is always valid, and it is asked little.
func TestRefreshMetadata(t *testing.T) {
	for _, until := range []time.Duration{0, 4 * time.Minute, fakegoogle.MetadataCache, 30 * time.Second} {
		w := newWorld(t, fakegoogle.Options{Machine: machine, Quirks: fakegoogle.Quirks{SameUntil: until}})
		w.refreshed(credential(location), 24*time.Hour, func(l *regcred.Login) {
			if l == nil || l.Expired(time.Now()) {
				t.Errorf("cached until %s before the end: there is no valid login at %s", until, time.Now())
			}
		})
		n := w.google.Calls()[fakegoogle.CallMetadata]
		t.Logf("cached until %s before the end: %d requests in a day", until, n)
		if most := map[bool]int{true: 150, false: 26}[until == 30*time.Second]; n > most {
			t.Errorf("cached until %s before the end: %d requests in a day, want at most %d", until, n, most)
		}
	}
}

// TestRefreshExpiredAtIssue checks that tokens that have expired lead to no login
// and no spin.
func TestRefreshExpiredAtIssue(t *testing.T) {
	w := newWorld(t, fakegoogle.Options{Quirks: fakegoogle.Quirks{ExpiredAtIssue: true}})
	status := w.refreshed(w.keyed(), time.Hour, func(l *regcred.Login) {
		if l != nil {
			t.Errorf("there is a login that expired at %s", l.ExpiresAt)
		}
	})
	if n := w.google.Calls()[fakegoogle.CallToken]; n < 30 || n > 300 {
		t.Errorf("%d requests in an hour, want one in half a minute or so", n)
	}
	if status.HasLogin || status.Failures < 30 || !strings.Contains(status.Problem, "had expired already") {
		t.Errorf("the status is %+v", status)
	}
}

// TestRefreshThrottled checks that the issuer is left alone for as long as it asks.
func TestRefreshThrottled(t *testing.T) {
	w := newWorld(t, fakegoogle.Options{Quirks: fakegoogle.Quirks{Throttle: 1, RetryAfter: 10 * time.Minute}})
	minutes := 0
	w.refreshed(w.keyed(), 15*time.Minute, func(l *regcred.Login) {
		if l == nil {
			minutes++
		}
	})
	if n := w.google.Calls()[fakegoogle.CallToken]; n != 2 || minutes < 9 || minutes > 12 {
		t.Errorf("%d requests, and the login came after %d minutes, want 2 and about 10", n, minutes)
	}
}
