package regcredtest

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/imageref"
)

// TestStore checks that a store does what regcred.Store asks for: each method and
// each error that it names. open returns a new, empty store on each call; the
// suite closes it.
func TestStore(t *testing.T, open func(t *testing.T) regcred.Store) {
	tests := []struct {
		name string
		run  func(t *testing.T, s regcred.Store)
	}{
		{"Create", testCreate},
		{"CreateInvalid", testCreateInvalid},
		{"CreateExists", testCreateExists},
		{"RoundTrip", testRoundTrip},
		{"NothingShared", testNothingShared},
		{"List", testList},
		{"Update", testUpdate},
		{"UpdateRefused", testUpdateRefused},
		{"UpdateLocation", testUpdateLocation},
		{"UpdateConcurrently", testUpdateConcurrently},
		{"Delete", testDelete},
		{"CreateAgain", testCreateAgain},
		{"Fence", testFence},
		{"Login", testLogin},
		{"LoginVersions", testLoginVersions},
		{"Drop", testDrop},
		{"DropInFlight", testDropInFlight},
		{"DropStays", testDropStays},
		{"Revisions", testRevisions},
		{"WatchFirst", testWatchFirst},
		{"WatchChanges", testWatchChanges},
		{"WatchCoalesces", testWatchCoalesces},
		{"WatchResumes", testWatchResumes},
		{"WatchAhead", testWatchAhead},
		{"WatchManyBatches", testWatchManyBatches},
		{"WatchEnds", testWatchEnds},
		{"WatchModel", testWatchModel},
		{"Tokens", testTokens},
		{"UseTokens", testUseTokens},
		{"Revocations", testRevocations},
		{"Keys", testKeys},
		{"KeysConcurrently", testKeysConcurrently},
		{"Audit", testAudit},
		{"AuditTexts", testAuditTexts},
		{"AuditConcurrently", testAuditConcurrently},
		{"ContextEnded", testContextEnded},
		{"Closed", testClosed},
		{"SecretsAreNotShown", testSecretsAreNotShown},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := open(t)
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			})
			test.run(t, s)
		})
	}
	t.Run("ID", func(t *testing.T) {
		a, b := open(t), open(t)
		if a.ID() == "" || a.ID() == b.ID() {
			t.Errorf("the ids of two stores are %q and %q", a.ID(), b.ID())
		}
		if a.Close() != nil || b.Close() != nil || b.Close() != nil {
			t.Error("Close, or closing again, failed")
		}
	})
}

// patience bounds how long a test waits for what must come.
const patience = 20 * time.Second

// location parses a location that a test wrote.
func location(s string) imageref.Location {
	if s == "" {
		return imageref.Location{}
	}
	l, err := imageref.ParseLocation(s)
	if err != nil {
		panic(err)
	}
	return l
}

// static returns a credential with a username and password.
func static(scope regcred.Scope, at string) regcred.Credential {
	return regcred.Credential{
		Scope: scope, Location: location(at), Spelling: at, Provider: regcred.ProviderStatic,
		Username: "robot", Password: regcred.NewSecret("s3cret of " + at), Origin: regcred.OriginAPI,
	}
}

// full returns a credential with every field set that its user sets.
func full() regcred.Credential {
	c := static(regcred.AppScope("acme", "dev", "web"), "registry.example.com:5000/team/app")
	c.Spelling = "Registry.Example.com/team/app:5000"
	c.Provider = "vendor"
	c.Settings = map[string]string{"region": "us-east-1", "role": "arn:aws:iam::1:role/<pull> & \u2028 'x'"}
	c.Secrets = map[string]regcred.Secret{"key": regcred.NewSecret("line 1\nline 2\n"), "raw": regcred.NewSecret("\xff\x00\xfe")}
	c.Labels = map[string]string{"team": "a", "": "empty key", "empty": ""}
	c.Annotations = map[string]string{"note": "größer"}
	return c
}

// login returns a login with every field set.
func login(version uint64) regcred.Login {
	minted := time.Date(2026, 3, 4, 5, 6, 7, 890123456, time.FixedZone("CET", 3600))
	return regcred.Login{
		Username: "AWS", Password: regcred.NewSecret("minted \x00\xff"), Hosts: []string{"registry.example.com:5000", "b.example.com"},
		MintedAt: minted, ExpiresAt: minted.Add(12 * time.Hour), RenewableAt: minted.Add(6 * time.Hour), Version: version,
	}
}

func create(t *testing.T, s regcred.Store, c regcred.Credential) regcred.Credential {
	t.Helper()
	c, err := s.Create(t.Context(), c)
	if err != nil {
		t.Fatalf("Create: %v", err)
	}
	return c
}

func get(t *testing.T, s regcred.Store, guid string) regcred.Credential {
	t.Helper()
	c, err := s.Get(t.Context(), guid)
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	return c
}

func update(t *testing.T, s regcred.Store, guid string, change func(c *regcred.Credential)) regcred.Credential {
	t.Helper()
	c, err := s.Update(t.Context(), guid, func(c *regcred.Credential) error { change(c); return nil })
	if err != nil {
		t.Fatalf("Update: %v", err)
	}
	return c
}

func remove(t *testing.T, s regcred.Store, guid string) uint64 {
	t.Helper()
	revision, err := s.Delete(t.Context(), guid)
	if err != nil {
		t.Fatalf("Delete: %v", err)
	}
	return revision
}

func newFence(t *testing.T, s regcred.Store) uint64 {
	t.Helper()
	fence, err := s.Fence(t.Context())
	if err != nil {
		t.Fatalf("Fence: %v", err)
	}
	return fence
}

func putLogin(t *testing.T, s regcred.Store, guid string, l regcred.Login, fence uint64) uint64 {
	t.Helper()
	revision, err := s.PutLogin(t.Context(), guid, l, fence)
	if err != nil {
		t.Fatalf("PutLogin: %v", err)
	}
	return revision
}

func dropLogin(t *testing.T, s regcred.Store, guid string) uint64 {
	t.Helper()
	revision, err := s.DropLogin(t.Context(), guid)
	if err != nil {
		t.Fatalf("DropLogin: %v", err)
	}
	return revision
}

// wantCode checks that err has a code, and that its message holds each of the
// parts.
func wantCode(t *testing.T, what string, err error, code regcred.Code, parts ...string) {
	t.Helper()
	if err == nil || regcred.CodeOf(err) != code {
		t.Errorf("%s: error %v; want the code %v", what, err, code)
		return
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%s: error %q does not name %q", what, err, part)
		}
	}
}

// wantEqual compares two values of the contract. Secrets are compared by their
// own Equal, which also keeps them out of the difference.
func wantEqual(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got, contract()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// methods calls every method that may fail, to see how it fails.
func methods(s regcred.Store) map[string]func(ctx context.Context) error {
	return map[string]func(ctx context.Context) error{
		"Create": func(ctx context.Context) error {
			_, err := s.Create(ctx, static(regcred.Foundation, "never.example.com"))
			return err
		},
		"Get":  func(ctx context.Context) error { _, err := s.Get(ctx, "x"); return err },
		"List": func(ctx context.Context) error { _, err := s.List(ctx, regcred.Filter{}); return err },
		"Update": func(ctx context.Context) error {
			_, err := s.Update(ctx, "x", func(*regcred.Credential) error { return nil })
			return err
		},
		"Delete":    func(ctx context.Context) error { _, err := s.Delete(ctx, "x"); return err },
		"Fence":     func(ctx context.Context) error { _, err := s.Fence(ctx); return err },
		"PutLogin":  func(ctx context.Context) error { _, err := s.PutLogin(ctx, "x", regcred.Login{}, 1); return err },
		"DropLogin": func(ctx context.Context) error { _, err := s.DropLogin(ctx, "x"); return err },
		"Login":     func(ctx context.Context) error { _, err := s.Login(ctx, "x"); return err },
		"Watch": func(ctx context.Context) error {
			for _, err := range s.Watch(ctx, 0) {
				if err != nil {
					return err
				}
			}
			return nil
		},
		"CreateToken": func(ctx context.Context) error { return s.CreateToken(ctx, regcred.APIToken{ID: "x"}) },
		"Token":       func(ctx context.Context) error { _, err := s.Token(ctx, "x"); return err },
		"Tokens":      func(ctx context.Context) error { _, err := s.Tokens(ctx); return err },
		"UseTokens": func(ctx context.Context) error {
			return s.UseTokens(ctx, map[string]time.Time{"x": time.Now()})
		},
		"DeleteToken": func(ctx context.Context) error { return s.DeleteToken(ctx, "x") },
		"Audit": func(ctx context.Context) error {
			return s.Audit(ctx, regcred.AuditEntry{At: time.Now(), Operation: "x"})
		},
		"AuditLog": func(ctx context.Context) error {
			_, _, err := s.AuditLog(ctx, regcred.AuditQuery{})
			return err
		},
		"PruneAudit":  func(ctx context.Context) error { _, err := s.PruneAudit(ctx, time.Now()); return err },
		"Revoke":      func(ctx context.Context) error { return s.Revoke(ctx, regcred.Revocation{Subject: "x"}) },
		"Revocations": func(ctx context.Context) error { _, err := s.Revocations(ctx, time.Now()); return err },
		"Key": func(ctx context.Context) error {
			_, err := s.Key(ctx, "x", func() (regcred.Secret, error) { return regcred.NewSecret("k"), nil })
			return err
		},
	}
}

func testContextEnded(t *testing.T, s regcred.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, call := range methods(s) {
		if err := call(ctx); err == nil || !strings.Contains(err.Error(), context.Canceled.Error()) {
			t.Errorf("%s with a context that has ended: %v", name, err)
		}
	}
	if list, err := s.List(t.Context(), regcred.Filter{}); err != nil || len(list) != 0 {
		t.Errorf("a call that failed left %v, %v", list, err)
	}
}

func testClosed(t *testing.T, s regcred.Store) {
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for name, call := range methods(s) {
		wantCode(t, name+" after Close", call(t.Context()), regcred.Unavailable)
	}
	covered := methods(s)
	for m := range reflect.TypeFor[regcred.Store]().Methods() {
		if _, ok := covered[m.Name]; !ok && m.Name != "ID" && m.Name != "Close" {
			t.Errorf("this suite does not know the method %s", m.Name)
		}
	}
}

// testSecretsAreNotShown prints what a store returns in every way that fmt has.
func testSecretsAreNotShown(t *testing.T, s regcred.Store) {
	const canary = "canary-4711"
	c := full()
	c.Password = regcred.NewSecret(canary)
	c.Secrets["key"] = regcred.NewSecret(canary)
	c = create(t, s, c)
	l := login(1)
	l.Password = regcred.NewSecret(canary)
	putLogin(t, s, c.GUID, l, newFence(t, s))
	stored, err := s.Login(t.Context(), c.GUID)
	if err != nil {
		t.Fatal(err)
	}
	batch := watch(t, s, 0).next()
	for _, value := range []any{c, get(t, s, c.GUID), stored, &stored, batch, batch.Changes[0], batch.Changes[0].Login} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			if got := fmt.Sprintf(verb, value); len(Leaks([]byte(got), canary)) > 0 {
				t.Errorf("%s of a %T shows the secret: %s", verb, value, got)
			}
		}
	}
}
