package service_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"regcred.dev"
	"regcred.dev/catalog"
	"regcred.dev/service"
)

// TestUpdateServes: the old login serves until the new one is there, and where
// there is none for as long as it lives.
func TestUpdateServes(t *testing.T) {
	bubble(t, nil, func(b bench) {
		c := b.create("acme", "first-key")
		release := make(chan struct{})
		b.issuer.set(func(regcred.Credential, *regcred.Login) error { <-release; return nil })
		done := make(chan error)
		go func() {
			_, err := b.Update(b.Context(), regcred.Local, c.GUID, key("second-key"))
			done <- err
		}()
		time.Sleep(2 * time.Second)
		b.wantPassword(c.GUID, "token-1")
		close(release)
		if err := <-done; err != nil {
			b.Fatal(err)
		}
		b.wantPassword(c.GUID, "token-2")

		b.issuer.set(func(regcred.Credential, *regcred.Login) error { return regcred.Errorf(regcred.Denied, "no such key") })
		out, err := b.Update(b.Context(), regcred.Local, c.GUID, key("third-key"))
		if err != nil || out.Login == nil || !strings.Contains(out.Login.Problem, "no such key") {
			b.Errorf("an update that cannot be minted from: %+v, %v", out.Login, err)
		}
		b.wantPassword(c.GUID, "token-2")
	})
}

// TestUpdateChecked: what does not work changes nothing; that the registry cannot
// be asked is a warning.
func TestUpdateChecked(t *testing.T) {
	for _, test := range []struct {
		name   string
		during func(regcred.Credential, *regcred.Login) error
		probe  error
		code   regcred.Code
		want   string
	}{
		{
			name:   "the issuer refuses",
			during: func(regcred.Credential, *regcred.Login) error { return regcred.Errorf(regcred.Denied, "no such key") },
			code:   regcred.Denied, want: "no such key; nothing was changed",
		},
		{name: "the registry refuses", probe: regcred.Errorf(regcred.Denied, "wrong login"), code: regcred.Denied, want: "wrong login; nothing was changed"},
		{
			name: "a login that had expired",
			during: func(_ regcred.Credential, l *regcred.Login) error {
				l.ExpiresAt = time.Now()
				return nil
			},
			code: regcred.Unavailable, want: "expired already",
		},
		{
			name: "a login for another registry",
			during: func(_ regcred.Credential, l *regcred.Login) error {
				l.Hosts = []string{"other.example.com"}
				return nil
			},
			code: regcred.Invalid, want: "for other.example.com, not for registry.example.com; nothing was changed",
		},
		{
			name:   "no login",
			during: func(_ regcred.Credential, l *regcred.Login) error { l.Password = regcred.Secret{}; return nil },
			code:   regcred.Unavailable, want: "nothing was changed",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, nil, func(b bench) {
				c := b.create("acme", "first-key")
				b.issuer.set(test.during)
				b.registry.err = test.probe
				up := key("second-key")
				up.Check = true
				_, err := b.Update(b.Context(), regcred.Local, c.GUID, up)
				if regcred.CodeOf(err) != test.code || !strings.Contains(regcred.MessageOf(err), test.want) {
					b.Errorf("error %s: %v, want %s and %q", regcred.CodeOf(err), err, test.code, test.want)
				}
				stored, err := b.store.Get(b.Context(), c.GUID)
				if err != nil || stored.Version != 1 || stored.Secrets["key"].Reveal() != "first-key" {
					b.Errorf("it was changed: version %d, %v", stored.Version, err)
				}
				b.wantPassword(c.GUID, "token-1")
			})
		})
	}
}

func TestUpdateCheckWarns(t *testing.T) {
	bubble(t, nil, func(b bench) {
		c := b.create("acme", "first-key")
		b.registry.err = regcred.Errorf(regcred.Unavailable, "its name does not resolve")
		up := key("second-key")
		up.Check = true
		out, err := b.Update(b.Context(), regcred.Local, c.GUID, up)
		if err != nil || len(out.Warnings) != 1 || !strings.Contains(out.Warnings[0], "does not resolve") {
			b.Errorf("warnings %q, %v", out.Warnings, err)
		}
		b.wantPassword(c.GUID, "token-3") // the second was tried out
	})
}

// TestUpdateMeanwhile: of two updates that are tried at the same time, one is made.
func TestUpdateMeanwhile(t *testing.T) {
	bubble(t, nil, func(b bench) {
		c := b.create("acme", "first-key")
		var errs [2]error
		done := make(chan struct{})
		for n, text := range []string{"second-key", "third-key"} {
			go func() {
				up := key(text)
				up.Check = true
				_, errs[n] = b.Update(b.Context(), regcred.Local, c.GUID, up)
				done <- struct{}{}
			}()
		}
		<-done
		<-done
		if (errs[0] == nil) == (errs[1] == nil) || regcred.CodeOf(errors.Join(errs[:]...)) != regcred.Stale {
			b.Errorf("errors %v, want one that is stale", errs)
		}
	})
}

// TestUpdateSaysNoSecret: neither what is new nor what was minted from it is said,
// whatever becomes of it.
func TestUpdateSaysNoSecret(t *testing.T) {
	bubble(t, nil, func(b bench) {
		c := b.create("acme", "canary-first-key")
		b.issuer.set(func(_ regcred.Credential, l *regcred.Login) error {
			l.Password = regcred.NewSecret("canary-login")
			return nil
		})
		for _, err := range []error{nil, regcred.Errorf(regcred.Denied, "wrong login"), regcred.Errorf(regcred.Unavailable, "down"), errors.New("broken")} {
			b.registry.err = err
			up := key("canary-second-key")
			up.Check, up.Revoke = true, true
			out, err := b.Update(b.Context(), regcred.Local, c.GUID, up)
			if said := strings.Join(out.Warnings, " ") + regcred.MessageOf(errors.Join(err)); err != nil && strings.Contains(said, "canary") {
				b.Errorf("it says a secret: %s", said)
			}
		}
		synctest.Wait()
		if strings.Contains(b.log.String(), "canary") || !strings.Contains(b.log.String(), "credential updated") {
			b.Errorf("the log holds a secret, or nothing of the update:\n%s", b.log)
		}
	})
}

// TestUpdateOfDeclared: what the configuration declares is changed there alone.
func TestUpdateOfDeclared(t *testing.T) {
	bubble(t, nil, func(b bench) {
		if err := b.Declare(b.Context(), []service.Declaration{{Where: "regcred.yaml:3", NewCredential: service.NewCredential{
			Location: host, Username: "u", Password: regcred.NewSecret("p"),
		}}}); err != nil {
			b.Fatal(err)
		}
		list, _, err := b.List(b.Context(), regcred.Local, catalog.Query{Limit: 10})
		if err != nil || len(list) != 1 {
			b.Fatal(list, err)
		}
		guid := list[0].GUID
		_, updateErr := b.Update(b.Context(), regcred.Local, guid, service.CredentialUpdate{Revoke: true})
		deleteErr := b.Delete(b.Context(), regcred.Local, guid)
		for _, err := range []error{updateErr, deleteErr} {
			if regcred.CodeOf(err) != regcred.ReadOnly {
				b.Errorf("error %v, want that it is read-only", err)
			}
		}
	})
}
