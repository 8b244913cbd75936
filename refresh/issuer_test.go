package refresh_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"regcred.dev"
)

// issuer is a provider that behaves as its options say, and counts. Its zero
// value hands out a new token each time, which never expires.
type issuer struct {
	lifetime time.Duration              // 0: logins never expire
	slow     time.Duration              // how long a mint takes
	hosts    []string                   // of each login
	reuse    time.Duration              // the same token again until it has less than this left
	fault    func(now time.Time) error  // asked at each mint; errHang: no answer until ctx ends
	change   func(l *regcred.Login)     // what each login is before it is handed out
	before   func(c regcred.Credential) // called in each mint
	info     regcred.ProviderInfo       // what Describe returns, but for the name
	issuerOf func(c regcred.Credential) string
	faultOf  func(c regcred.Credential) error // as fault

	mu       sync.Mutex
	tokens   int
	mints    map[string]int // by guid, failed ones too
	inFlight map[string]int
	all      int  // mints under way
	most     int  // of them at once
	doubled  bool // two at once for one credential
	last     map[string]regcred.Login
}

var errHang = errors.New("hang")

func (p *issuer) Describe() regcred.ProviderInfo {
	info := p.info
	info.Name = "issuer"
	return info
}

func (p *issuer) Check(regcred.Credential) error { return nil }

func (p *issuer) Uses(regcred.Credential) []string { return nil }

// Issuer is the setting of that name.
func (p *issuer) Issuer(c regcred.Credential) string {
	if p.issuerOf != nil {
		return p.issuerOf(c)
	}
	return c.Settings["issuer"]
}

func (p *issuer) Mint(ctx context.Context, c regcred.Credential) (regcred.Login, error) {
	defer p.enter(c.GUID)()
	p.mu.Lock()
	before, slow, fault := p.before, p.slow, p.fault
	p.mu.Unlock()
	if before != nil {
		before(c)
	}
	if slow > 0 {
		select {
		case <-time.After(slow):
		case <-ctx.Done():
			return regcred.Login{}, ctx.Err()
		}
	}
	if err := p.failure(ctx, c, fault); err != nil {
		return regcred.Login{}, err
	}
	return p.issue(c.GUID), nil
}

func (p *issuer) failure(ctx context.Context, c regcred.Credential, fault func(time.Time) error) error {
	var err error
	if fault != nil {
		err = fault(time.Now())
	}
	if p.faultOf != nil {
		err = p.faultOf(c)
	}
	if errors.Is(err, errHang) {
		<-ctx.Done()
		return ctx.Err()
	}
	return err
}

// set changes options while mints may be under way.
func (p *issuer) set(change func(p *issuer)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
}

// enter counts a mint; what it returns ends it.
func (p *issuer) enter(guid string) (leave func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mints == nil {
		p.mints, p.inFlight, p.last = map[string]int{}, map[string]int{}, map[string]regcred.Login{}
	}
	p.mints[guid]++
	p.inFlight[guid]++
	p.doubled = p.doubled || p.inFlight[guid] > 1
	p.all++
	p.most = max(p.most, p.all)
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.inFlight[guid]--
		p.all--
	}
}

func (p *issuer) issue(guid string) regcred.Login {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l, ok := p.last[guid]; ok && p.reuse > 0 && time.Until(l.ExpiresAt) >= p.reuse {
		return l
	}
	p.tokens++
	l := regcred.Login{
		Username: "issuer",
		Password: regcred.NewSecret(fmt.Sprintf("token-%d", p.tokens)),
		Hosts:    p.hosts,
	}
	if p.lifetime > 0 {
		l.ExpiresAt = time.Now().Add(p.lifetime)
	}
	if p.change != nil {
		p.change(&l)
	}
	p.last[guid] = l
	return l
}

// count returns how many mints there were for a credential.
func (p *issuer) count(guid string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mints[guid]
}

// given returns how many tokens there were.
func (p *issuer) given() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tokens
}

// check fails the test where two mints were under way for one credential.
func (p *issuer) check(t *testing.T) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.doubled {
		t.Error("two mints were under way for one credential")
	}
}
