package github_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"regcred.dev"
	"regcred.dev/imageref"
	"regcred.dev/provider/github"
	"regcred.dev/refresh"
	"regcred.dev/regcredtest/fakegithub"
	"regcred.dev/store/memory"
)

// TestRefresh runs a Refresher on one credential for some simulated time. It has
// no location: that is found.
func TestRefresh(t *testing.T) {
	tests := []struct {
		name        string
		quirks      fakegithub.Quirks
		run         time.Duration
		least, most int    // calls
		problem     string // "": there is a login
	}{
		{"a clock that is ahead", fakegithub.Quirks{Skew: 5 * time.Minute}, 100 * time.Hour, 180, 230, ""},
		{"a clock that is behind", fakegithub.Quirks{Skew: -5 * time.Minute}, 100 * time.Hour, 360, 460, ""}, // two a mint
		{"expired at issue", fakegithub.Quirks{ExpiredAtIssue: true}, time.Hour, 30, 240, "expired already"},
		{"over the hour's limit", fakegithub.Quirks{Throttle: -1}, 59 * time.Minute, 1, 1, "less often"},
		{"over it for a while", fakegithub.Quirks{Throttle: 1}, 62 * time.Minute, 2, 2, ""},
		{"suddenly slow", fakegithub.Quirks{Slow: time.Hour}, time.Hour, 30, 120, "no login within"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := options()
				o.Quirks = test.quirks
				fake, store := fakegithub.New(o), memory.New()
				c := credential(t)
				c.Location = imageref.Location{}
				if _, err := store.Create(t.Context(), c); err != nil {
					t.Fatal(err)
				}
				r := refresh.New(refresh.Options{Store: store, Providers: map[string]regcred.Provider{github.Name: provider(fake)}})
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- r.Run(ctx) }()
				<-time.After(test.run)
				synctest.Wait()
				s, _ := r.Status(c.GUID)
				if n := fake.Calls()[fakegithub.CallToken]; n < test.least || n > test.most {
					t.Errorf("%d calls, want %d to %d", n, test.least, test.most)
				}
				if !strings.Contains(s.Problem, test.problem) || (s.Problem == "") != (test.problem == "") || s.HasLogin != (test.problem == "") {
					t.Errorf("want the problem %q: %+v", test.problem, s)
				}
				if test.problem == "" && !s.ExpiresAt.After(time.Now()) {
					t.Errorf("the login expired at %s", s.ExpiresAt)
				}
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			})
		})
	}
}
