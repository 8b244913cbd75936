package refresh_test

import (
	"strings"
	"testing"
	"time"

	"regcred.dev"
	"regcred.dev/imageref"
	"regcred.dev/refresh"
)

// TestUselessLogins checks what a provider may not hand out: each is a failure
// with backoff, said in words, and the last good login stays.
func TestUselessLogins(t *testing.T) {
	tests := []struct {
		name   string
		change func(*regcred.Login)
		want   string
	}{
		{"expired at issue", func(l *regcred.Login) { l.ExpiresAt = time.Now() }, "had expired already"},
		{"expired in 1995", func(l *regcred.Login) { l.ExpiresAt = time.Date(1995, 1, 1, 0, 0, 0, 0, time.UTC) }, "had expired already, at 1995-01-01"},
		{"no password", func(l *regcred.Login) { l.Password = regcred.Secret{} }, "without a username or password"},
		{"no username", func(l *regcred.Login) { l.Username = "" }, "without a username or password"},
		{"another host", func(l *regcred.Login) { l.Hosts = []string{"evil.example.com"} }, "the login is for evil.example.com, the credential for registry.example.com/a"},
		{"another port", func(l *regcred.Login) { l.Hosts = []string{host + ":5000"} }, "the login is for registry.example.com:5000"},
		{"a URL as host", func(l *regcred.Login) { l.Hosts = []string{"https://" + host} }, "not a registry host in canonical form"},
		{"a host with a path", func(l *regcred.Login) { l.Hosts = []string{host + "/a"} }, "not a registry host in canonical form"},
		{"a host in upper case", func(l *regcred.Login) { l.Hosts = []string{"Registry.example.com"} }, "not a registry host in canonical form"},
		{"an empty host", func(l *regcred.Login) { l.Hosts = []string{""} }, "not a registry host in canonical form"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := &issuer{lifetime: time.Hour, hosts: []string{host}}
			bubble(t, p, func(b bench) {
				r, _ := b.start()
				b.create("a")
				b.login("a")
				p.set(func(p *issuer) { p.change = test.change })
				time.Sleep(50 * time.Minute)
				if got := b.login("a").Password.Reveal(); got != "token-1" {
					b.Errorf("the last good login was replaced by %s", got)
				}
				s := b.status(r, "a")
				if !strings.Contains(s.Problem, test.want) || s.Failures == 0 {
					b.Errorf("status is %+v\nwant ...%s...", s, test.want)
				}
				// From the half of the hour on: seconds at first, half a minute later.
				if n := p.count("a"); n < 20 || n > 120 {
					b.Errorf("%d mints within 50 minutes", n)
				}
				p.set(func(p *issuer) { p.change = nil })
				time.Sleep(time.Minute)
				if s := b.status(r, "a"); s.Failures != 0 || s.Problem != "" || b.login("a").Password.Reveal() == "token-1" {
					b.Errorf("it did not recover: %+v", s)
				}
			})
		})
	}
}

// TestSameTokenAgain plays an issuer with a cache: it hands out one token until
// that has a minute left. No failure, no spinning, no gap.
func TestSameTokenAgain(t *testing.T) {
	p := &issuer{lifetime: time.Hour, reuse: time.Minute}
	bubble(t, p, func(b bench) {
		r, _ := b.start()
		b.create("a")
		for range 24 * 60 {
			time.Sleep(time.Minute)
			if b.login("a").Expired(time.Now()) {
				b.Fatalf("a gap at %s", time.Now())
			}
		}
		if s := b.status(r, "a"); s.Failures != 0 {
			b.Errorf("status is %+v", s)
		}
		if n := p.count("a"); p.tokens < 24 || n > 10*p.tokens {
			b.Errorf("%d mints for %d tokens", n, p.tokens)
		}
	})
}

// TestProviderPanics: a provider that panics fails like any other, and what it
// panicked with, which may be a secret, is not logged.
func TestProviderPanics(t *testing.T) {
	p := &issuer{lifetime: time.Hour}
	bubble(t, p, func(b bench) {
		r, stop := b.start()
		p.set(func(p *issuer) { p.before = func(regcred.Credential) { panic("password is hunter2") } })
		b.create("a")
		s := b.status(r, "a")
		if s.Failures != 1 || s.Problem != "internal error" {
			b.Errorf("status is %+v", s)
		}
		p.set(func(p *issuer) { p.before = nil })
		time.Sleep(time.Second)
		b.login("a")
		if err := stop(); err != nil {
			b.Fatal(err)
		}
		if log := b.log.String(); !strings.Contains(log, "panicked") || strings.Contains(log, "hunter2") {
			b.Errorf("the log is %s", log)
		}
	})
}

func TestUnknownProvider(t *testing.T) {
	bubble(t, &issuer{}, func(b bench) {
		r, _ := b.start()
		c, err := b.store.Create(b.Context(), regcred.Credential{Provider: "ecr"})
		if err != nil {
			b.Fatal(err)
		}
		if s := b.status(r, c.GUID); s.Problem != `this server has no provider "ecr": it has issuer` {
			b.Errorf("status is %+v", s)
		}
	})
}

// TestMintTimeout: a provider that hangs is given up, and said to hang.
func TestMintTimeout(t *testing.T) {
	p := &issuer{fault: func(time.Time) error { return errHang }}
	bubble(t, p, func(b bench) {
		r, _ := b.start()
		b.create("a")
		time.Sleep(30*time.Second + 50*time.Millisecond)
		if s := b.status(r, "a"); s.Failures != 1 || !strings.Contains(s.Problem, "gave no login within 30s") {
			b.Errorf("status is %+v", s)
		}
	})
}

// TestHangingNearTheEnd: an issuer that hangs for 40% of a short lifetime leaves
// no gap, though what is left is less than the mint timeout.
func TestHangingNearTheEnd(t *testing.T) {
	p := &issuer{lifetime: 40 * time.Second}
	bubble(t, p, func(b bench) {
		b.start()
		b.create("a")
		l := b.login("a")
		due := refresh.Due(l, "a")
		hang := func(now time.Time) error {
			if now.Before(due.Add(-time.Second)) || now.After(due.Add(15*time.Second)) {
				return nil
			}
			return errHang
		}
		p.set(func(p *issuer) { p.fault = hang })
		for range 5 * 60 {
			time.Sleep(time.Second)
			if b.login("a").Expired(time.Now()) {
				b.Fatalf("a gap at %s", time.Now())
			}
		}
	})
}

// TestLocationIsFound: a credential without a location gets its login's host, in
// a change that makes it no newer version.
func TestLocationIsFound(t *testing.T) {
	bubble(t, &issuer{lifetime: time.Hour, hosts: []string{host, "other.example.com"}}, func(b bench) {
		b.start()
		c, err := b.store.Create(b.Context(), regcred.Credential{Provider: "issuer"})
		if err != nil {
			b.Fatal(err)
		}
		b.login(c.GUID)
		if c, err = b.store.Get(b.Context(), c.GUID); err != nil || c.Location.String() != host || c.Version != 1 {
			b.Errorf("the credential is %+v, %v", c, err)
		}
		b.wantMints(c.GUID, 1)
	})
}

// TestLocationIsTaken: status says so, the login is not minted again and again,
// and it is stored once the place is free.
func TestLocationIsTaken(t *testing.T) {
	p := &issuer{lifetime: time.Hour, hosts: []string{host}}
	bubble(t, p, func(b bench) {
		r, _ := b.start()
		location, err := imageref.ParseLocation(host)
		if err != nil {
			b.Fatal(err)
		}
		first, err := b.store.Create(b.Context(), regcred.Credential{Provider: "issuer", Location: location})
		if err != nil {
			b.Fatal(err)
		}
		second, err := b.store.Create(b.Context(), regcred.Credential{Provider: "issuer"})
		if err != nil {
			b.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		s := b.status(r, second.GUID)
		if !strings.Contains(s.Problem, host) || !strings.Contains(s.Problem, first.GUID) || s.HasLogin {
			b.Errorf("status is %+v", s)
		}
		b.wantMints(second.GUID, 1)
		if _, err := b.store.Delete(b.Context(), first.GUID); err != nil {
			b.Fatal(err)
		}
		time.Sleep(time.Minute)
		b.login(second.GUID)
		b.wantMints(second.GUID, 1)
	})
}

// TestNoLocation: without a location and without hosts nobody could find the login.
func TestNoLocation(t *testing.T) {
	bubble(t, &issuer{}, func(b bench) {
		r, _ := b.start()
		c, err := b.store.Create(b.Context(), regcred.Credential{Provider: "issuer"})
		if err != nil {
			b.Fatal(err)
		}
		if s := b.status(r, c.GUID); !strings.Contains(s.Problem, "give the credential a location") {
			b.Errorf("status is %+v", s)
		}
	})
}
