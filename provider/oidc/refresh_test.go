package oidc_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"regcred.dev"
	"regcred.dev/provider/oidc"
	"regcred.dev/refresh"
	"regcred.dev/regcredtest/fakeoidc"
	"regcred.dev/store/memory"
)

// refreshed runs a Refresher on one credential at the fake's Quay for some
// simulated time, and then calls check.
func refreshed(t *testing.T, fake *fakeoidc.Server, d time.Duration, check func(s refresh.Status, login regcred.Login, err error)) {
	t.Helper()
	store := memory.New()
	c := quayCredential(t, fake)
	c.Secrets["token"] = regcred.NewSecret(fake.Subject(1000 * time.Hour))
	if _, err := store.Create(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	r := refresh.New(refresh.Options{Store: store, Providers: map[string]regcred.Provider{oidc.Name: provider(fake)}})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	<-time.After(d)
	synctest.Wait()
	s, _ := r.Status(c.GUID)
	login, err := store.Login(t.Context(), c.GUID)
	check(s, login, err)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestRefreshExpiredAtIssue shows that tokens which expired before they were given
// are failures, asked for ever less often.
func TestRefreshExpiredAtIssue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options()
		o.ExpiredAtIssue = true
		fake := fakeoidc.New(o)
		refreshed(t, fake, time.Hour, func(s refresh.Status, _ regcred.Login, err error) {
			if s.Failures == 0 || !strings.Contains(s.Problem, "expired already") || err == nil {
				t.Errorf("%+v; the login: %v", s, err)
			}
			if n := fake.Calls()[fakeoidc.CallRobot]; n < 30 || n > 240 {
				t.Errorf("%d mints in an hour, want one or two a minute", n)
			}
		})
	})
}

// TestRefreshThrottled shows that the issuer is left alone for as long as it asks.
func TestRefreshThrottled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options()
		o.Throttle, o.RetryAfter = 1, 10*time.Minute
		fake := fakeoidc.New(o)
		refreshed(t, fake, 9*time.Minute, func(s refresh.Status, _ regcred.Login, err error) {
			if n := fake.Calls()[fakeoidc.CallRobot]; n != 1 || s.Failures != 1 || err == nil {
				t.Errorf("%d mints in nine minutes, want one: %+v", n, s)
			}
		})
	})
}

// TestRefreshSameToken shows that an issuer which hands out the same token until
// shortly before its end leaves no gap, and is not asked all the time.
func TestRefreshSameToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options()
		o.SameUntil, o.Skew = 5*time.Minute, 5*time.Minute
		fake := fakeoidc.New(o)
		refreshed(t, fake, 100*time.Hour, func(s refresh.Status, login regcred.Login, err error) {
			if err != nil || login.Expired(time.Now()) || s.Failures != 0 {
				t.Errorf("%+v; the login expires at %s, %v", s, login.ExpiresAt, err)
			}
			if n := fake.Calls()[fakeoidc.CallRobot]; n < 100 || n > 100*20 {
				t.Errorf("%d mints of 100 tokens", n)
			}
		})
	})
}
