package ecr_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"regcred.dev"
	"regcred.dev/provider/ecr"
	"regcred.dev/refresh"
	"regcred.dev/regcredtest/fakeecr"
	"regcred.dev/store/memory"
)

// refreshed runs a Refresher on one credential and simulated time, and hands the
// test how that fares and its login, nil where there is none.
func refreshed(t *testing.T, w world, c regcred.Credential, test func(t *testing.T, look func() (refresh.Status, *regcred.Login))) {
	t.Helper()
	store := memory.New()
	stored, err := store.Create(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	r := refresh.New(refresh.Options{Store: store, Providers: map[string]regcred.Provider{ecr.Name: w.provider}})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	test(t, func() (refresh.Status, *regcred.Login) {
		synctest.Wait()
		status, _ := r.Status(stored.GUID)
		l, err := store.Login(t.Context(), stored.GUID)
		if regcred.CodeOf(err) == regcred.NotFound {
			return status, nil
		}
		return status, &l
	})
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

var today = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// pass lets simulated time go by.
func pass(d time.Duration) { <-time.After(d) }

// TestExpiredAtIssue: a token that has expired when it comes is a failure with
// backoff, never a spin. The one of moto's server did in 2015.
func TestExpiredAtIssue(t *testing.T) {
	tests := []struct {
		name   string
		change func(*fakeecr.Options)
		says   string
	}{
		{"moto", func(o *fakeecr.Options) { o.Constant = true }, "2015-01-01"},
		{"an hour ago", func(o *fakeecr.Options) { o.ExpiredAtIssue = true }, "expired already"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pass(time.Until(today)) // synctest begins in 2000, when 2015 was to come
				w := newWorld(test.change)
				refreshed(t, w, credential(host), func(t *testing.T, look func() (refresh.Status, *regcred.Login)) {
					pass(time.Hour)
					status, l := look()
					if l != nil || status.Failures == 0 || !strings.Contains(status.Problem, "expired already") || !strings.Contains(status.Problem, test.says) {
						t.Errorf("after an hour: %+v, login %v", status, l)
					}
					// 1 s, doubled up to a minute, each with full jitter: some 120 an hour.
					if n := len(w.Requests()); n < 60 || n > 250 {
						t.Errorf("%d requests in an hour", n)
					}
				})
			})
		})
	}
}

// TestThrottledRefresh: AWS is left alone for as long as it asks, and then the login
// comes by itself.
func TestThrottledRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(func(o *fakeecr.Options) { o.Throttle, o.RetryAfter = 3, 30*time.Second })
		refreshed(t, w, credential(host), func(t *testing.T, look func() (refresh.Status, *regcred.Login)) {
			if status, l := look(); l != nil || !strings.Contains(status.Problem, "less often") {
				t.Errorf("at first: %+v, login %v", status, l)
			}
			pass(5 * time.Minute)
			if status, l := look(); l == nil || status.Failures != 0 {
				t.Errorf("later: %+v, login %v", status, l)
			}
			if n := len(w.Requests()); n != 4 {
				t.Errorf("%d requests, want 3 that were refused and one", n)
			}
		})
	})
}

// TestRenewal: three days, one request for each half of a lifetime, no gap, though
// AWS's clock is off; then one that hands out the same token while it can.
func TestRenewal(t *testing.T) {
	tests := []struct {
		name   string
		quirks fakeecr.Quirks
		most   int // requests
	}{
		{"as AWS does", fakeecr.Quirks{}, 15},
		{"a clock 4 minutes ahead", fakeecr.Quirks{Skew: 4 * time.Minute}, 15},
		{"a clock 6 minutes behind", fakeecr.Quirks{Skew: -6 * time.Minute}, 30},
		{"the same token again", fakeecr.Quirks{SameUntil: 10 * time.Minute}, 80},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(func(o *fakeecr.Options) { o.Quirks = test.quirks })
				refreshed(t, w, credential(host), func(t *testing.T, look func() (refresh.Status, *regcred.Login)) {
					for range 3 * 24 * 12 {
						if status, l := look(); l == nil || l.Expired(time.Now()) || status.Failures != 0 {
							t.Fatalf("at %s: %+v, login %v", time.Now(), status, l)
						}
						pass(5 * time.Minute)
					}
					if n := len(w.Requests()); n < 6 || n > test.most {
						t.Errorf("%d requests in three days", n)
					}
				})
			})
		})
	}
}

// TestSlow: a mint ends with its context.
func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(func(o *fakeecr.Options) { o.Slow = time.Hour })
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		before := time.Now()
		_, err := w.provider.Mint(ctx, credential(host, "role-arn", pullRole))
		if err == nil || time.Since(before) != 30*time.Second || !strings.Contains(err.Error(), "sts:AssumeRole") {
			t.Errorf("after %s: %v", time.Since(before), err)
		}
	})
}
