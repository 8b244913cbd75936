package refresh_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"regcred.dev"
)

// lines returns the levels and texts of what the log says above debug level.
func (b bench) lines() []string {
	var lines []string
	for line := range strings.Lines(b.log.String()) {
		if m := regexp.MustCompile(`level=(INFO|WARN|ERROR) msg="([^"]*)"`).FindStringSubmatch(line); m != nil {
			lines = append(lines, m[1]+" "+m[2])
		}
	}
	return lines
}

// TestGapIsAnnounced: status and log say when a gap will open, before it does, once
// for each step; and how long it was.
func TestGapIsAnnounced(t *testing.T) {
	p := &issuer{lifetime: time.Hour}
	bubble(t, p, func(b bench) {
		r, stop := b.start()
		b.create("a")
		l := b.login("a")
		if s := b.status(r, "a"); !s.GapAt.IsZero() {
			b.Errorf("status is %+v", s)
		}
		p.set(func(p *issuer) { p.fault = func(time.Time) error { return errDown } })
		want := func(at time.Duration, gap bool, lines ...string) {
			b.Helper()
			time.Sleep(time.Until(l.MintedAt.Add(at)))
			if s := b.status(r, "a"); gap != s.GapAt.Equal(l.ExpiresAt) || !gap && !s.GapAt.IsZero() {
				b.Errorf("after %s status is %+v", at, s)
			}
			if got := b.lines(); strings.Join(got, "\n") != strings.Join(lines, "\n") {
				b.Errorf("after %s the log says %q\nwant %q", at, got, lines)
			}
		}
		const (
			first = "WARN no new login: trying again until there is one"
			soon  = "ERROR no new login, and the last one expires soon"
			over  = "ERROR no valid login: the last one has expired"
			again = "INFO a new login again: the gap is closed"
		)
		want(26*time.Minute, false)
		want(35*time.Minute, true, first)
		want(44*time.Minute, true, first)
		want(47*time.Minute, true, first, soon)
		want(59*time.Minute, true, first, soon)
		want(61*time.Minute, true, first, soon, over)
		want(70*time.Minute, true, first, soon, over)
		p.set(func(p *issuer) { p.fault = nil })
		want(72*time.Minute, false, first, soon, over, again)
		if err := stop(); err != nil {
			b.Fatal(err)
		}
		if n := strings.Count(b.log.String(), "gap="+l.ExpiresAt.Format("2006-01-02T15:04:05.000Z07:00")); n != 4 {
			b.Errorf("%d lines name the time of the gap, want 4: %s", n, b.log)
		}
		if !regexp.MustCompile(`the gap is closed".* lasted=1[01]m`).MatchString(b.log.String()) {
			b.Errorf("the log does not say how long the gap was: %s", b.log)
		}
	})
}

// TestGapWithoutAsking: a credential that is not even asked for, because its issuer
// is down or asked for a pause, is warned of as well.
func TestGapWithoutAsking(t *testing.T) {
	const credentials = 300
	for name, fault := range map[string]error{
		"issuer does not answer":              errDown,
		"issuer asked to be asked less often": regcred.ThrottledFor(50*time.Minute, "issuer.example.com asks to be asked less often, says role/secret"),
	} {
		common := name
		t.Run(name, func(t *testing.T) {
			p := &issuer{lifetime: time.Hour, info: regcred.ProviderInfo{Rate: 100, Burst: 500}}
			bubble(t, p, func(b bench) {
				r, stop := b.start()
				for n := range credentials {
					b.create(fmt.Sprint("c", n))
				}
				l := b.login("c0")
				p.set(func(p *issuer) { p.fault = func(time.Time) error { return fault } })
				time.Sleep(35 * time.Minute)
				unasked := 0
				for n := range credentials {
					s := b.status(r, fmt.Sprint("c", n))
					if s.Failures == 0 {
						unasked++
					}
					want := fault.Error()
					if s.Failures == 0 {
						want = common // what others of the lane were told stays theirs
					}
					if s.Problem != want || !s.GapAt.Equal(l.ExpiresAt) {
						b.Fatalf("status is %+v", s)
					}
				}
				if unasked == 0 {
					b.Error("each was asked for")
				}
				time.Sleep(30 * time.Minute)
				if err := stop(); err != nil {
					b.Fatal(err)
				}
				count := map[string]int{}
				for _, line := range b.lines() {
					count[line]++
				}
				if len(count) != 3 {
					b.Errorf("the log says %v", count)
				}
				for line, n := range count {
					if n != credentials {
						b.Errorf("%d times %s", n, line)
					}
				}
			})
		})
	}
}

// TestNoGapAhead: a credential that fails without a login, or with one that never
// expires, has no gap ahead; one that works has none either.
func TestNoGapAhead(t *testing.T) {
	p := &issuer{}
	bubble(t, p, func(b bench) {
		r, _ := b.start()
		b.create("a")
		b.login("a")
		p.set(func(p *issuer) { p.fault = func(time.Time) error { return errDenied } })
		b.create("b")
		if _, err := r.Mint(b.Context(), "a"); err == nil {
			b.Error("Mint went well")
		}
		for _, guid := range []string{"a", "b"} {
			if s := b.status(r, guid); !s.GapAt.IsZero() || s.Failures == 0 {
				b.Errorf("status is %+v", s)
			}
		}
	})
}
