package keyring_test

import (
	"testing"
	"time"

	"regcred.dev"
	"regcred.dev/imageref"
	"regcred.dev/keyring"
)

var (
	foundation = regcred.Foundation
	org        = regcred.OrgScope("acme")
	space      = regcred.SpaceScope("acme", "dev")
	app        = regcred.AppScope("acme", "dev", "web")

	now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
)

func location(t testing.TB, s string) imageref.Location {
	t.Helper()
	if s == "" {
		return imageref.Location{}
	}
	l, err := imageref.ParseLocation(s)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func image(t testing.TB, s string) imageref.Image {
	t.Helper()
	img, err := imageref.ParseImage(s)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// credential is a row of a table: the guid is also the user name.
type credential struct {
	guid     string
	scope    regcred.Scope
	location string
	login    func(*regcred.Login) *regcred.Login // nil: leave it as it is
}

func noLogin(*regcred.Login) *regcred.Login { return nil }

func loginFor(hosts ...string) func(*regcred.Login) *regcred.Login {
	return func(l *regcred.Login) *regcred.Login { l.Hosts = hosts; return l }
}

func expired(l *regcred.Login) *regcred.Login { l.ExpiresAt = now; return l }

func userName(name string) func(*regcred.Login) *regcred.Login {
	return func(l *regcred.Login) *regcred.Login { l.Username = name; return l }
}

// change returns the change that creates a credential.
func change(t testing.TB, c credential, revision uint64) regcred.Change {
	t.Helper()
	l := &regcred.Login{Username: c.guid, Password: regcred.NewSecret("password of " + c.guid)}
	if c.login != nil {
		l = c.login(l)
	}
	return regcred.Change{
		Revision:   revision,
		Credential: regcred.Credential{GUID: c.guid, Scope: c.scope, Location: location(t, c.location), Provider: "p", Version: 1},
		Login:      l,
	}
}

func apply(b *keyring.Book, changes ...regcred.Change) *keyring.Book {
	batch := regcred.Batch{Changes: changes, Current: true}
	for _, c := range changes {
		batch.Revision = max(batch.Revision, c.Revision)
	}
	return b.Apply(batch)
}

func book(t testing.TB, credentials ...credential) *keyring.Book {
	t.Helper()
	var changes []regcred.Change
	for i, c := range credentials {
		changes = append(changes, change(t, c, uint64(i+1)))
	}
	return apply(new(keyring.Book), changes...)
}

// found returns the guid of the credential that an image resolves to.
func found(t testing.TB, b *keyring.Book, s regcred.Scope, img string) string {
	t.Helper()
	m, ok := b.Lookup(s, image(t, img))
	if !ok {
		return ""
	}
	return m.Entry.GUID
}
