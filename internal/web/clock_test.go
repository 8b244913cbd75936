package web_test

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"regcred.dev/internal/web"
	"regcred.dev/regcredtest"
)

var noon = time.Date(2026, 2, 28, 12, 0, 0, 0, time.UTC)

func dated(at time.Time) http.Header {
	return http.Header{"Date": {at.UTC().Format(http.TimeFormat)}}
}

func TestSkew(t *testing.T) {
	tests := []struct {
		name         string
		header       http.Header
		sent, answer time.Duration // since noon
		want         time.Duration
	}{
		{"the same", dated(noon), 0, 0, 0},
		{"cut off", dated(noon), 999 * time.Millisecond, 999 * time.Millisecond, 0},
		{"a slow answer, dated at its start", dated(noon), 0, time.Minute, 0},
		{"a slow answer, dated at its end", dated(noon.Add(time.Minute)), 0, time.Minute, 0},
		{"two seconds ahead is too little", dated(noon.Add(2 * time.Second)), 0, 0, 0},
		{"three seconds ahead", dated(noon.Add(3 * time.Second)), 0, 0, 3 * time.Second},
		{"three seconds behind is too little", dated(noon.Add(-3 * time.Second)), 0, 0, 0},
		{"four seconds behind", dated(noon.Add(-4 * time.Second)), 0, 0, -3 * time.Second},
		{"five minutes ahead", dated(noon.Add(5 * time.Minute)), 0, time.Second, 5*time.Minute - time.Second},
		{"five minutes behind", dated(noon.Add(-5 * time.Minute)), 0, time.Second, -5*time.Minute + time.Second},
		{"a day ahead", dated(noon.AddDate(0, 0, 1)), 0, 0, 24 * time.Hour},
		{"RFC 850", http.Header{"Date": {"Saturday, 28-Feb-26 12:05:00 GMT"}}, 0, 0, 5 * time.Minute},
		{"asctime", http.Header{"Date": {"Sat Feb 28 12:05:00 2026"}}, 0, 0, 5 * time.Minute},
		{"no header", http.Header{}, 0, 0, 0},
		{"nil", nil, 0, 0, 0},
		{"no date", http.Header{"Date": {"noon"}}, 0, 0, 0},
		{"empty", http.Header{"Date": {""}}, 0, 0, 0},
	}
	for _, test := range tests {
		if got := web.Skew(test.header, noon.Add(test.sent), noon.Add(test.answer)); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

// TestSkewBounds: a server whose clock is right never yields a skew, however slow it
// is; of one whose clock is not, at most a second and the latency are missing, and
// never is it too much.
func TestSkewBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		duration := func(name string, low, high time.Duration) time.Duration {
			return time.Duration(rapid.Int64Range(int64(low), int64(high)).Draw(t, name))
		}
		sent := noon.Add(duration("start", 0, time.Second))
		latency := duration("latency", 0, time.Minute)
		wrote := sent.Add(duration("written after", 0, latency))

		if got := web.Skew(dated(wrote), sent, sent.Add(latency)); got != 0 {
			t.Fatalf("a clock that is right: %s", got)
		}
		off := duration("off", time.Minute+5*time.Second, 24*time.Hour)
		ahead := web.Skew(dated(wrote.Add(off)), sent, sent.Add(latency))
		if ahead > off || ahead < off-time.Second-latency {
			t.Fatalf("ahead by %s: %s", off, ahead)
		}
		behind := web.Skew(dated(wrote.Add(-off)), sent, sent.Add(latency))
		if behind < -off || behind > -off+time.Second+latency {
			t.Fatalf("behind by %s: %s", off, behind)
		}
	})
}

func TestRetryAfter(t *testing.T) {
	tests := []struct {
		value string
		want  time.Duration
	}{
		{"", 0}, {"0", 0}, {"1", time.Second}, {"007", 7 * time.Second}, {"3599", time.Hour - time.Second},
		{"3600", time.Hour}, {"3601", time.Hour}, {"4294967296", time.Hour}, {"99999999999999999999999", time.Hour},
		{"-1", 0}, {"+1", 0}, {"1.5", 0}, {"1s", 0}, {"soon", 0}, {"１", 0}, {"1, 2", 0},
		{"Sat, 28 Feb 2026 12:00:30 GMT", 30 * time.Second}, {"Sat, 28 Feb 2026 11:00:00 GMT", 0},
		{"Fri, 31 Dec 9999 23:59:59 GMT", time.Hour}, {"Mon, 01 Jan 0001 00:00:00 GMT", 0},
		{"Saturday, 28-Feb-26 12:00:30 GMT", 30 * time.Second}, {"2026-02-28T12:00:30Z", 0},
	}
	for _, test := range tests {
		if got := web.RetryAfter(http.Header{"Retry-After": {test.value}}, noon); got != test.want {
			t.Errorf("%q: %s, want %s", test.value, got, test.want)
		}
	}
	if got := web.RetryAfter(nil, noon); got != 0 {
		t.Errorf("no header: %s", got)
	}
}

func FuzzRetryAfter(f *testing.F) {
	f.Fuzz(func(t *testing.T, value string) {
		if got := web.RetryAfter(http.Header{"Retry-After": {value}}, noon); got < 0 || got > time.Hour {
			t.Errorf("%q: %s", value, got)
		}
		far := dated(noon)
		far.Set("Date", value)
		if got := web.Skew(far, noon, noon); got < 0 && got > -2*time.Second || got > 0 && got <= 2*time.Second {
			t.Errorf("a skew of %s", got)
		}
	})
}

// TestRecorder uses one from many goroutines: it tells the skew of who answered last,
// and a failure changes nothing.
func TestRecorder(t *testing.T) {
	at := func(skew time.Duration) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Date", time.Now().Add(skew).UTC().Format(http.TimeFormat))
		})
	}
	recorder := &web.Recorder{Transport: regcredtest.HandlerTransport{"right": at(0), "wrong": at(5 * time.Minute)}}
	ask := func(host string) error {
		resp, err := recorder.RoundTrip(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+host, nil))
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	isOff := func(skew time.Duration) bool { return skew > 4*time.Minute && skew <= 5*time.Minute }

	var all sync.WaitGroup
	for range 8 {
		for _, host := range []string{"right", "wrong", "nobody"} {
			all.Go(func() {
				if err := ask(host); (err != nil) != (host == "nobody") {
					t.Errorf("%s: %v", host, err)
				}
				if skew := recorder.Skew(); skew != 0 && !isOff(skew) {
					t.Errorf("a skew of %s", skew)
				}
			})
		}
	}
	all.Wait()
	for _, host := range []string{"wrong", "nobody"} {
		if err := ask(host); (err != nil) != (host == "nobody") || !isOff(recorder.Skew()) {
			t.Errorf("after %s: %s, %v", host, recorder.Skew(), err)
		}
	}
	if err := ask("right"); err != nil || recorder.Skew() != 0 {
		t.Errorf("after right: %s, %v", recorder.Skew(), err)
	}
}
