package fake_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"regcred.dev/regcredtest/internal/fake"
)

// begin begins a request, and returns the outcome and what was answered.
func begin(t *testing.T, i *fake.Issuer) (fake.Outcome, *httptest.ResponseRecorder) {
	t.Helper()
	w := httptest.NewRecorder()
	return i.Begin(w, httptest.NewRequest(http.MethodGet, "/", nil), "get"), w
}

func TestBegin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := fake.New(fake.Quirks{Throttle: 2, RetryAfter: 7 * time.Second, Skew: time.Hour}, time.Hour)
		for n, want := range []fake.Outcome{fake.Throttle, fake.Throttle, fake.Serve} {
			got, w := begin(t, i)
			if got != want {
				t.Errorf("request %d: outcome %d, want %d", n, got, want)
			}
			if retry := w.Header().Get("Retry-After"); (retry == "7") != (want == fake.Throttle) {
				t.Errorf("request %d: Retry-After %q", n, retry)
			}
			date, err := http.ParseTime(w.Header().Get("Date"))
			if err != nil || time.Until(date).Round(time.Minute) != time.Hour {
				t.Errorf("request %d: Date %q", n, w.Header().Get("Date"))
			}
		}
		i.Set(fake.Quirks{Throttle: -1})
		for range 3 {
			if got, _ := begin(t, i); got != fake.Throttle {
				t.Errorf("outcome %d, want all to be throttled", got)
			}
		}
		i.Set(fake.Quirks{Redirect: "https://evil.example.com/"})
		if got, w := begin(t, i); got != fake.Done || w.Code != http.StatusTemporaryRedirect {
			t.Errorf("outcome %d, status %d, want a redirect", got, w.Code)
		}
		if n := i.Calls()["get"]; n != 7 {
			t.Errorf("%d calls were counted, want 7", n)
		}
	})
}

func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := fake.New(fake.Quirks{Slow: time.Minute}, time.Hour)
		before := time.Now()
		if got, _ := begin(t, i); got != fake.Serve || time.Since(before) != time.Minute {
			t.Errorf("outcome %d after %s, want a minute", got, time.Since(before))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		before = time.Now()
		r := httptest.NewRequest(http.MethodGet, "/", nil).WithContext(ctx)
		if got := i.Begin(httptest.NewRecorder(), r, "get"); got != fake.Done || time.Since(before) != time.Second {
			t.Errorf("outcome %d after %s, want it to end with its context", got, time.Since(before))
		}
	})
}

func TestIssue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := fake.New(fake.Quirks{}, time.Hour)
		a, b := i.Issue("k", "tok-"), i.Issue("k", "tok-")
		if a.Value == b.Value || a.Expires != time.Now().Add(time.Hour) {
			t.Errorf("tokens %+v and %+v, want two that live an hour", a, b)
		}
		if _, ok := i.Find(a.Value); !ok {
			t.Error("a token that was issued is not found")
		}
		if _, ok := i.Find("other"); ok {
			t.Error("a token that was never issued is found")
		}
		i.Set(fake.Quirks{Skew: 2 * time.Hour})
		if _, ok := i.Find(a.Value); ok {
			t.Error("a token is found that has expired by the issuer's clock")
		}
		if c := i.Issue("k", ""); c.Expires != time.Now().Add(3*time.Hour) {
			t.Errorf("it expires at %s, want in an hour by a clock 2 h ahead", c.Expires)
		}
		i.Set(fake.Quirks{ExpiredAtIssue: true})
		if c := i.Issue("k", ""); !c.Expires.Before(time.Now()) {
			t.Errorf("it expires at %s, want before now", c.Expires)
		}
	})
}

func TestSameUntil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := fake.New(fake.Quirks{Lifetime: time.Hour, SameUntil: 5 * time.Minute}, time.Minute)
		first := i.Issue("a", "")
		if other := i.Issue("b", ""); other.Value == first.Value {
			t.Error("two keys share a token")
		}
		<-time.After(55*time.Minute - time.Nanosecond)
		if again := i.Issue("a", ""); again != first {
			t.Errorf("it has %s to live and was replaced", time.Until(first.Expires))
		}
		<-time.After(time.Nanosecond)
		if again := i.Issue("a", ""); again == first {
			t.Errorf("it has %s to live and was not replaced", time.Until(first.Expires))
		}
	})
}

func TestWrite(t *testing.T) {
	tests := []struct {
		garbage fake.Garbage
		ok      func(body []byte) bool
	}{
		{"", json.Valid},
		{fake.HTML, func(b []byte) bool { return !json.Valid(b) && len(b) > 0 }},
		{fake.Cut, func(b []byte) bool { return !json.Valid(b) && b[0] == '{' }},
		{fake.Void, func(b []byte) bool { return len(b) == 0 }},
		{fake.Huge, func(b []byte) bool { return json.Valid(b) && len(b) > fake.HugeSize }},
		{fake.NoToken, json.Valid},
	}
	for _, test := range tests {
		i := fake.New(fake.Quirks{Garbage: test.garbage}, time.Hour)
		w := httptest.NewRecorder()
		i.Write(w, http.StatusOK, map[string]string{"access_token": "t"})
		if !test.ok(w.Body.Bytes()) {
			t.Errorf("garbage %q: the answer begins %.40q", test.garbage, w.Body)
		}
		w = httptest.NewRecorder()
		i.Write(w, http.StatusBadRequest, map[string]string{"error": "e"})
		if !json.Valid(w.Body.Bytes()) {
			t.Errorf("garbage %q: an error is garbled: %q", test.garbage, w.Body)
		}
	}
}
