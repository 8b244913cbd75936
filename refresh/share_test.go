package refresh_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"regcred.dev"
)

var shares = regcred.ProviderInfo{Shared: true}

// createShared stores credentials that differ in their scopes alone.
func (b bench) createShared(guids ...string) {
	b.Helper()
	for _, guid := range guids {
		b.createOf(guid, host, regcred.OrgScope(guid), map[string]string{"key": "shared"})
	}
}

func (b bench) wantAllMints(want int) {
	b.Helper()
	synctest.Wait()
	b.issuer.mu.Lock()
	defer b.issuer.mu.Unlock()
	got := 0
	for _, n := range b.issuer.mints {
		got += n
	}
	if got != want {
		b.Errorf("%d mints, want %d", got, want)
	}
}

func (b bench) wantToken(guid, want string) {
	b.Helper()
	if got := b.login(guid).Password.Reveal(); got != want {
		b.Errorf("%s has %s, want %s", guid, got, want)
	}
}

// TestShared: credentials with the same source share a mint each period, and keep
// its time; others, and those of a provider that does not share, do not.
func TestShared(t *testing.T) {
	for _, info := range []regcred.ProviderInfo{shares, {}} {
		bubble(t, &issuer{lifetime: 12 * time.Hour, slow: time.Second, info: info}, func(b bench) {
			r, _ := b.start()
			var guids []string
			for n := range 50 {
				guids = append(guids, fmt.Sprint("c", n))
			}
			b.createShared(guids...)
			time.Sleep(10*24*time.Hour + time.Minute)
			synctest.Wait()
			// The earliest of them renews, after little more than 45% of a lifetime.
			periods := int(10*24*time.Hour/(12*time.Hour*45/100)) + 1
			if !info.Shared {
				if b.issuer.given() < 50*(periods-6) {
					b.Errorf("not shared: %d tokens", b.issuer.given())
				}
				return
			}
			if b.issuer.given() < periods-4 || b.issuer.given() > periods {
				b.Errorf("%d tokens in about %d periods", b.issuer.given(), periods)
			}
			for _, guid := range guids {
				if l := b.login(guid); l.Expired(time.Now()) || l.ExpiresAt.Sub(l.MintedAt) != 12*time.Hour {
					b.Errorf("%s has %+v", guid, l)
				}
				if s := b.status(r, guid); s.Failures != 0 {
					b.Errorf("status is %+v", s)
				}
			}
		})
	}
}

// TestSharedSources: what differs in anything but the scope is another source.
func TestSharedSources(t *testing.T) {
	bubble(t, &issuer{lifetime: time.Hour, info: shares}, func(b bench) {
		b.start()
		base := regcred.Credential{Username: "u", Password: regcred.NewSecret("p"), Settings: map[string]string{"a": "b"}}
		changes := map[string]func(*regcred.Credential){
			"the same":             func(*regcred.Credential) {},
			"again the same":       func(*regcred.Credential) {},
			"username":             func(c *regcred.Credential) { c.Username = "up" },
			"password":             func(c *regcred.Credential) { c.Password = regcred.NewSecret("q") },
			"what is which":        func(c *regcred.Credential) { c.Username, c.Password = "up", regcred.Secret{} },
			"a setting":            func(c *regcred.Credential) { c.Settings["a"] = "c" },
			"the name of one":      func(c *regcred.Credential) { c.Settings = map[string]string{"ab": ""} },
			"one more":             func(c *regcred.Credential) { c.Settings["c"] = "d" },
			"a secret":             func(c *regcred.Credential) { c.Secrets = map[string]regcred.Secret{"s": regcred.NewSecret("t")} },
			"a secret as settings": func(c *regcred.Credential) { c.Settings["s"] = "t" },
		}
		for name, change := range changes {
			b.createOf(name, host, regcred.OrgScope(name), map[string]string{"not": "yet"})
			_, err := b.store.Update(b.Context(), name, func(c *regcred.Credential) error {
				c.Username, c.Password, c.Settings = base.Username, base.Password, map[string]string{"a": "b"}
				change(c)
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
		}
		elsewhere := b.createOf("location", host+"/path", regcred.Foundation, map[string]string{"not": "yet"})
		synctest.Wait()
		tokens := map[string]string{}
		for name := range changes {
			token := b.login(name).Password.Reveal()
			if other, ok := tokens[token]; ok && !strings.Contains(name+other, "the same") {
				b.Errorf("%s and %s share a login", name, other)
			}
			tokens[token] = name
		}
		if len(tokens) != len(changes)-1 {
			b.Errorf("%d tokens for %d sources", len(tokens), len(changes)-1)
		}
		if token := b.login(elsewhere.GUID).Password.Reveal(); tokens[token] != "" {
			b.Errorf("%s shares that of another location", tokens[token])
		}
	})
}

// TestSharedMint: who asks for a new login gets one, and the others take it in
// their time.
func TestSharedMint(t *testing.T) {
	bubble(t, &issuer{lifetime: time.Hour, info: shares}, func(b bench) {
		r, _ := b.start()
		b.createShared("a", "b")
		synctest.Wait()
		b.wantAllMints(1)
		time.Sleep(10 * time.Minute)
		if l, err := r.Mint(b.Context(), "a"); err != nil || l.Password.Reveal() != "token-2" {
			b.Errorf("got %+v, %v", l, err)
		}
		b.wantToken("b", "token-1")
		time.Sleep(25 * time.Minute) // b is due, a is not
		b.wantToken("b", "token-2")
		b.wantAllMints(2)
	})
}

// TestSharedMintFails: where a new login was asked for in vain, the next try is for
// a new one too, not for the same one that others have.
func TestSharedMintFails(t *testing.T) {
	for _, guid := range []string{"a", "b"} {
		p := &issuer{lifetime: time.Hour, info: shares}
		bubble(t, p, func(b bench) {
			r, _ := b.start()
			b.createShared("a", "b")
			synctest.Wait()
			p.set(func(p *issuer) { p.fault = func(time.Time) error { return errDown } })
			if _, err := r.Mint(b.Context(), guid); !errors.Is(err, errDown) {
				b.Errorf("Mint: %v", err)
			}
			p.set(func(p *issuer) { p.fault = nil })
			time.Sleep(time.Minute)
			b.wantToken(guid, "token-2")
		})
	}
}

// TestSharedDropped: a login that was dropped because it leaked does not come back
// from another credential that has the same, not even over a restart.
func TestSharedDropped(t *testing.T) {
	for _, guids := range [][2]string{{"a", "b"}, {"b", "a"}} {
		for _, restart := range []bool{false, true} {
			bubble(t, &issuer{lifetime: time.Hour, info: shares}, func(b bench) { sharedDropped(b, guids[0], guids[1], restart) })
		}
	}
}

func sharedDropped(b bench, dropped, other string, restart bool) {
	_, stop := b.start()
	b.createShared("a", "b")
	synctest.Wait()
	b.wantAllMints(1)
	if restart {
		if err := stop(); err != nil {
			b.Fatal(err)
		}
	}
	time.Sleep(time.Second)
	if _, err := b.store.DropLogin(b.Context(), dropped); err != nil {
		b.Fatal(err)
	}
	if restart {
		b.start()
		b.createShared("c")
	}
	fresh := b.login(dropped).Password.Reveal()
	if fresh == "token-1" {
		b.Error("the dropped login is back")
	}
	b.wantToken(other, "token-1")
	// The new one is good for all.
	time.Sleep(time.Minute)
	b.createShared("d")
	b.wantToken("d", fresh)
	time.Sleep(35 * time.Minute)
	if got := b.login(other).Password.Reveal(); got == "token-1" {
		b.Errorf("%s was not renewed", other)
	}
}

// TestSharedFails: what one is refused is refused to all who wait for it, without
// asking for each.
func TestSharedFails(t *testing.T) {
	p := &issuer{lifetime: time.Hour, slow: 2 * time.Second, info: shares, fault: func(time.Time) error { return errDenied }}
	bubble(t, p, func(b bench) {
		r, _ := b.start()
		b.createShared("a", "b", "c", "d", "e")
		if _, err := r.Ensure(b.Context(), "c"); !errors.Is(err, errDenied) {
			b.Errorf("Ensure: %v", err)
		}
		b.wantAllMints(1)
		for _, guid := range []string{"a", "b", "c", "d", "e"} {
			if s := b.status(r, guid); s.Failures != 1 || s.Problem != errDenied.Error() {
				b.Errorf("status is %+v", s)
			}
		}
		p.set(func(p *issuer) { p.fault = nil })
		time.Sleep(time.Minute)
		for _, guid := range []string{"a", "b", "c", "d", "e"} {
			b.wantToken(guid, "token-1")
		}
	})
}

// TestSharedGone: where the one that mints is deleted or changed meanwhile, one of
// those who wait for it mints.
func TestSharedGone(t *testing.T) {
	p := &issuer{lifetime: time.Hour, slow: 10 * time.Second, info: shares}
	for _, way := range []string{"delete", "change"} {
		bubble(t, p, func(b bench) {
			r, _ := b.start()
			b.createShared("a")
			synctest.Wait()
			b.createShared("b", "c")
			time.Sleep(5 * time.Second)
			if way == "change" {
				b.change("a")
			} else if _, err := b.store.Delete(b.Context(), "a"); err != nil {
				b.Fatal(err)
			}
			time.Sleep(30 * time.Second)
			if x, y := b.login("b").Password.Reveal(), b.login("c").Password.Reveal(); x != y {
				b.Errorf("they have %s and %s", x, y)
			}
			if way == "change" && b.login("a").Password.Reveal() == b.login("b").Password.Reveal() {
				b.Error("what was changed shares a login with what was not")
			}
			for _, guid := range []string{"a", "b", "c"} {
				if _, err := b.store.Delete(b.Context(), guid); err != nil && regcred.CodeOf(err) != regcred.NotFound {
					b.Fatal(err)
				}
			}
			synctest.Wait()
			if n := r.Groups(); n != 0 {
				b.Errorf("%d sources are left", n)
			}
		})
	}
}

// TestSharedDeletedWhileWaiting: who is deleted while it waits for another's mint
// is told so.
func TestSharedDeletedWhileWaiting(t *testing.T) {
	bubble(t, &issuer{lifetime: time.Hour, slow: 10 * time.Second, info: shares}, func(b bench) {
		r, _ := b.start()
		b.createShared("a", "b")
		synctest.Wait()
		ended := make(chan error, 1)
		go func() {
			_, err := r.Ensure(b.Context(), "b")
			ended <- err
		}()
		time.Sleep(time.Second)
		if _, err := b.store.Delete(b.Context(), "b"); err != nil {
			b.Fatal(err)
		}
		if err := <-ended; regcred.CodeOf(err) != regcred.NotFound {
			b.Errorf("Ensure: %v", err)
		}
	})
}

// TestSharedUnreadable: a login that cannot be read cannot be lent.
func TestSharedUnreadable(t *testing.T) {
	bubble(t, &issuer{lifetime: time.Hour, info: shares}, func(b bench) {
		store := &faulty{Store: b.store}
		b.store = store
		b.start()
		b.createShared("a")
		synctest.Wait()
		store.set("Login", errStore)
		b.createShared("b")
		synctest.Wait()
		store.set("Login", nil)
		b.wantToken("b", "token-2")
	})
}
