package refresh_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"regcred.dev"
)

// Outages are as long and as close together as the guarantee allows, every second
// time, and else shorter and farther apart; in parts of a lifetime. One in which all
// are denied is played for half an hour at most: each try is answered, and so there
// are many.
const (
	longestOutage = 0.4
	shortestPeace = 0.6
	longestDenial = 30 * time.Minute
)

// outageKinds are the ways in which an issuer is out, the likelier ones more often.
var outageKinds = []string{"refuses", "refuses", "hangs", "hangs", "hangs", "slow errors", "slow errors", "throttles", "throttles", "denies"}

// What an issuer does wrong though it is not out, as parts of all mints.
const (
	slowAnswers      = 0.03
	slowestAnswer    = 4 * time.Second
	passingErrors    = 0.005
	passingThrottles = 0.002
	largestSkew      = 5 * time.Minute
)

// simProvider asks issuers that fail as a seed says.
type simProvider struct {
	sim *simulation

	mu       sync.Mutex
	issuers  map[string]*simIssuer
	asked    map[string]int      // by guid
	last     map[string][]string // the last mints, in words
	inFlight map[string]bool
	mints    int
	tokens   int
}

// simShared is the same, for logins that may be shared.
type simShared struct{ *simProvider }

// simIssuer is one issuer: its outages, its clock and its limit.
type simIssuer struct {
	name     string
	lifetime time.Duration
	quota    float64

	began      time.Time // the outage under way, or the last one
	ended      time.Time
	kind       string
	retryAfter time.Duration
	next       time.Time // one begins
	outages    int

	skew     time.Duration // how far its clock is ahead
	skewed   time.Time     // until when
	skews    int
	tokens   float64 // left of its quota
	tokensAt time.Time
}

func newSimProvider(s *simulation) *simProvider {
	p := &simProvider{sim: s, issuers: map[string]*simIssuer{}, asked: map[string]int{}, last: map[string][]string{}, inFlight: map[string]bool{}}
	for _, class := range classes {
		for n := range class.issuers {
			name := fmt.Sprint(class.name, "/", n)
			first := time.Duration(s.chance(name, 0).Float64() * float64(class.lifetime))
			p.issuers[name] = &simIssuer{
				name: name, lifetime: class.lifetime, quota: class.quota,
				next: time.Now().Add(settled + first), skewed: time.Now(), tokensAt: time.Now(),
			}
		}
	}
	return p
}

// Describe implements regcred.Provider.
func (p *simProvider) Describe() regcred.ProviderInfo {
	return regcred.ProviderInfo{Name: "alone", Rate: 5, Burst: 10}
}

// Describe implements regcred.Provider.
func (p simShared) Describe() regcred.ProviderInfo {
	return regcred.ProviderInfo{Name: "shared", Rate: 5, Burst: 10, Shared: true}
}

// Check implements regcred.Provider.
func (p *simProvider) Check(regcred.Credential) error { return nil }

// Uses implements regcred.Provider.
func (p *simProvider) Uses(regcred.Credential) []string { return nil }

// Issuer implements regcred.Provider.
func (p *simProvider) Issuer(c regcred.Credential) string { return c.Settings["issuer"] }

// Mint implements regcred.Provider.
func (p *simProvider) Mint(ctx context.Context, c regcred.Credential) (regcred.Login, error) {
	began := time.Now()
	l, err := p.mint(ctx, c)
	p.remember(c.GUID, fmt.Sprintf("%s +%s: %v", began.Format(time.TimeOnly), time.Since(began), err))
	return l, err
}

// remember keeps the last words of what became of a credential's mints.
func (p *simProvider) remember(guid, what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.last[guid]) == 20 {
		p.last[guid] = p.last[guid][1:]
	}
	p.last[guid] = append(p.last[guid], what)
}

func (p *simProvider) mint(ctx context.Context, c regcred.Credential) (regcred.Login, error) {
	r, leave := p.enter(c.GUID)
	defer leave()
	latency := time.Duration(20+r.IntN(200)) * time.Millisecond
	answer := time.Duration(0) // of that, the way back
	if r.Float64() < slowAnswers {
		latency = time.Duration(r.Int64N(int64(slowestAnswer)))
		answer = latency / 2
	}
	is, err := p.arrive(ctx, c, r)
	if !sleep(ctx, latency-answer) {
		return regcred.Login{}, ctx.Err()
	}
	if err != nil {
		return regcred.Login{}, err
	}
	date, expires, token := p.issue(is)
	if answer > 0 && !sleep(ctx, answer) {
		return regcred.Login{}, ctx.Err()
	}
	return regcred.Login{
		Username: "sim", Password: regcred.NewSecret(token),
		ExpiresAt: expires.Add(-skewOf(date, time.Now().Add(-latency), time.Now())),
	}, nil
}

// skewOf returns how far an issuer's clock is ahead, by the date of an answer,
// which has whole seconds.
func skewOf(date, sent, received time.Time) time.Duration {
	if behind := date.Sub(received); behind > 2*time.Second {
		return behind
	}
	if ahead := date.Add(time.Second).Sub(sent); ahead < -2*time.Second {
		return ahead
	}
	return 0
}

// enter counts a mint, of which there is one at a time for each credential.
func (p *simProvider) enter(guid string) (r *rand.Rand, leave func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.inFlight[guid] {
		p.sim.Errorf("seed %d: two mints of %s at once", p.sim.seed, guid)
	}
	p.inFlight[guid] = true
	p.asked[guid]++
	p.mints++
	return p.sim.chance(guid, p.asked[guid]), func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.inFlight[guid] = false
	}
}

// arrive returns what the issuer makes of a request that arrives now. One that
// hangs does not answer, not even when the outage is over.
func (p *simProvider) arrive(ctx context.Context, c regcred.Credential, r *rand.Rand) (*simIssuer, error) {
	now := time.Now()
	p.mu.Lock()
	is := p.issuers[c.Settings["issuer"]]
	is.advance(p.sim, now)
	out, kind, retryAfter := now.Before(is.ended), is.kind, is.retryAfter
	over := is.overQuota(now)
	p.mu.Unlock()
	passing := r.Float64()
	switch {
	case out && kind == "hangs":
		<-ctx.Done()
		return is, ctx.Err()
	case out && kind == "slow errors":
		if !sleep(ctx, slowestAnswer) {
			return is, ctx.Err()
		}
		return is, regcred.Errorf(regcred.Unavailable, "%s answers with status 502", is.name)
	case out && kind == "throttles":
		return is, regcred.ThrottledFor(retryAfter, "%s asks to be asked less often", is.name)
	case out && kind == "denies":
		return is, regcred.Errorf(regcred.Denied, "%s refuses", is.name)
	case out, passing < passingErrors:
		return is, regcred.Errorf(regcred.Unavailable, "%s answers with status 503", is.name)
	case over, passing < passingErrors+passingThrottles:
		return is, regcred.ThrottledFor(time.Duration(r.IntN(3))*time.Second, "%s asks to be asked less often", is.name)
	}
	return is, nil
}

// advance brings an issuer to now.
func (is *simIssuer) advance(s *simulation, now time.Time) {
	for !now.Before(is.next) {
		r := s.chance(is.name+" outages", is.outages)
		share, peace := longestOutage, shortestPeace
		if r.IntN(2) == 0 {
			share *= r.Float64()
		}
		if r.IntN(2) == 0 {
			peace += r.Float64()
		}
		is.began, is.ended = is.next, is.next.Add(is.part(share))
		is.next = is.ended.Add(is.part(peace))
		is.kind = outageKinds[r.IntN(len(outageKinds))]
		if is.kind == "denies" { // a mistake that somebody mends
			is.ended = earliest(is.ended, is.began.Add(longestDenial))
		}
		is.retryAfter = []time.Duration{0, time.Second, 30 * time.Second, 10 * time.Minute, time.Hour}[r.IntN(5)]
		is.outages++
	}
	for !now.Before(is.skewed) {
		r := s.chance(is.name+" skews", is.skews)
		is.skew = []time.Duration{0, largestSkew, -largestSkew, time.Duration((2*r.Float64() - 1) * float64(largestSkew))}[r.IntN(4)]
		is.skewed = is.skewed.Add(time.Duration(r.ExpFloat64() * float64(24*time.Hour)))
		is.skews++
	}
}

func (is *simIssuer) part(share float64) time.Duration {
	return time.Duration(share * float64(is.lifetime))
}

// overQuota takes one of what the issuer allows, and reports whether there was none.
func (is *simIssuer) overQuota(now time.Time) bool {
	if is.quota == 0 {
		return false
	}
	is.tokens = min(5, is.tokens+now.Sub(is.tokensAt).Seconds()*is.quota)
	is.tokensAt = now
	if is.tokens < 1 {
		return true
	}
	is.tokens--
	return false
}

// issue returns a new token, when it expires, and the date of the answer: both by
// the issuer's own clock.
func (p *simProvider) issue(is *simIssuer) (date, expires time.Time, token string) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tokens++
	token = fmt.Sprintf("token-%d expires at %d", p.tokens, now.Add(is.lifetime).UnixNano())
	return now.Add(is.skew).Truncate(time.Second), now.Add(is.skew + is.lifetime), token
}

// trueExpiry returns when the issuer of a login ceases to accept it.
func trueExpiry(l regcred.Login) time.Time {
	var n, at int64
	if _, err := fmt.Sscanf(l.Password.Reveal(), "token-%d expires at %d", &n, &at); err != nil {
		panic(err)
	}
	return time.Unix(0, at)
}

// outages returns how many there were.
func (p *simProvider) outages() int {
	n := 0
	for _, is := range p.issuers {
		n += is.outages
	}
	return n
}

// explain says what a credential's issuer went through last.
func (p *simProvider) explain(guid string) string {
	class, _, _ := strings.Cut(guid, "-")
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []string
	for name, is := range p.issuers {
		if strings.Contains(name, class) {
			all = append(all, fmt.Sprintf("%s: %s from %s to %s (retry after %s), clock %s ahead", name, is.kind, is.began, is.ended, is.retryAfter, is.skew))
		}
	}
	return strings.Join(append(all, p.last[guid]...), "\n")
}
