package regcredtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"regcred.dev"
	"regcred.dev/imageref"
)

// ProviderSetup says what TestProvider has to know of a provider.
type ProviderSetup struct {
	// New returns the provider, with an issuer behind it that answers.
	New func(t *testing.T) regcred.Provider
	// Credential works with it. Each value of its Secrets and its Password must be
	// unique and at least 8 bytes long.
	Credential regcred.Credential
	// Invalid are changes to Credential, by a name for the test: each makes it one
	// that Check refuses with an error that names the field.
	Invalid map[string]InvalidChange
	// Examples are what stands in for the files of Describe's examples, by the
	// setting's name: values that Check takes. Credential's own Secrets need not be
	// repeated.
	Examples map[string]string
	// Unique says that each login has a password of its own.
	Unique bool
	// Lifetime is how long a login lives; 0: it never expires.
	Lifetime time.Duration
}

// InvalidChange makes a credential one that its provider refuses.
type InvalidChange struct {
	Change func(*regcred.Credential)
	// Names is what the error must name: the setting, or "username".
	Names string
}

// TestProvider checks that a provider does what regcred.Provider asks for. The
// default logger is replaced while it runs, so it must not run in parallel with
// other tests.
func TestProvider(t *testing.T, setup ProviderSetup) {
	logged := captureLog(t)
	tests := []struct {
		name string
		run  func(t *testing.T, s ProviderSetup, p regcred.Provider)
	}{
		{"Describe", testDescribe},
		{"Examples", testExamples},
		{"Check", testCheck},
		{"CheckUnknown", testCheckUnknown},
		{"CheckMissing", testCheckMissing},
		{"CheckInvalid", testCheckInvalid},
		{"Mint", testMint},
		{"MintAgain", testMintAgain},
		{"MintInvalid", testMintInvalid},
		{"MintConcurrently", testMintConcurrently},
		{"MintEnds", testMintEnds},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(t, setup, setup.New(t)) })
	}
	for _, secret := range setup.secrets() {
		if found := Leaks(logged.bytes(), secret); found != nil {
			t.Errorf("a secret of the credential is in the log: %v", found)
		}
	}
}

// testDescribe checks that the description is complete and always the same.
func testDescribe(t *testing.T, s ProviderSetup, p regcred.Provider) {
	info := p.Describe()
	if len(info.Fields) > 0 && len(info.Examples) == 0 {
		t.Error("it has settings, and no example")
	}
	if info.Name == "" || info.Name != s.Credential.Provider {
		t.Errorf("its name is %q, the credential's provider %q", info.Name, s.Credential.Provider)
	}
	if !isSentence(info.Doc) || info.Permissions == "" {
		t.Errorf("it needs a sentence that describes it, and one on permissions: %q, %q", info.Doc, info.Permissions)
	}
	seen := map[string]bool{}
	for _, f := range info.Fields {
		if f.Name == "" || f.Name != strings.ToLower(f.Name) || strings.ContainsAny(f.Name, " =,\t\n") || seen[f.Name] {
			t.Errorf("field %q: a name is in lower case, without spaces, and unique", f.Name)
		}
		seen[f.Name] = true
		if !isSentence(f.Doc) {
			t.Errorf("field %q needs a sentence that describes it, not %q", f.Name, f.Doc)
		}
		if f.Required && f.Default != "" || f.Secret && f.Default != "" {
			t.Errorf("field %q is required or secret, and has a default", f.Name)
		}
	}
	if again := p.Describe(); fmt.Sprint(again) != fmt.Sprint(info) {
		t.Errorf("it describes itself as %v and as %v", info, again)
	}
}

// testExamples checks that each example passes Check, with something in the place
// of its files.
func testExamples(t *testing.T, s ProviderSetup, p regcred.Provider) {
	for _, example := range p.Describe().Examples {
		c, err := s.example(example)
		if err == nil {
			err = p.Check(c)
		}
		if err != nil {
			t.Errorf("the example %q: %v", example, err)
		}
	}
}

// example returns the credential that an example makes: [LOCATION] and then --set
// NAME=VALUE or --set-file NAME=PATH.
func (s ProviderSetup) example(text string) (regcred.Credential, error) {
	c := regcred.Credential{GUID: s.Credential.GUID, Provider: s.Credential.Provider}
	words := strings.Fields(text)
	if len(words) > 0 && !strings.HasPrefix(words[0], "--") {
		var err error
		if c.Location, err = imageref.ParseLocation(words[0]); err != nil {
			return c, err
		}
		words = words[1:]
	}
	for ; len(words) >= 2; words = words[2:] {
		name, value, ok := strings.Cut(words[1], "=")
		secret, known := s.Credential.Secrets[name]
		if !known {
			secret = regcred.NewSecret(s.Examples[name])
		}
		switch {
		case ok && words[0] == "--set":
			setSetting(&c, name, value)
		case ok && words[0] == "--set-file" && !secret.IsZero():
			setSecret(&c, name, secret.Reveal())
		default:
			return c, fmt.Errorf("%s %s is no flag that is understood, or nothing stands in for its file", words[0], words[1])
		}
	}
	if len(words) > 0 {
		return c, fmt.Errorf("what is %q?", words[0])
	}
	return c, nil
}

func isSentence(s string) bool { return len(s) > 10 && strings.HasSuffix(s, ".") }

func testCheck(t *testing.T, s ProviderSetup, p regcred.Provider) {
	if err := p.Check(s.Credential); err != nil {
		t.Errorf("the credential that works: %v", err)
	}
}

// testCheckUnknown sets what no field names, and secrets and settings the other
// way round.
func testCheckUnknown(t *testing.T, s ProviderSetup, p regcred.Provider) {
	s.refused(t, p, "no-such-setting", func(c *regcred.Credential) { setSetting(c, "no-such-setting", "x") })
	s.refused(t, p, "no-such-secret", func(c *regcred.Credential) { setSecret(c, "no-such-secret", "x") })
	for _, f := range p.Describe().Fields {
		s.refused(t, p, f.Name, func(c *regcred.Credential) {
			if f.Secret {
				setSetting(c, f.Name, "x")
			} else {
				setSecret(c, f.Name, "x")
			}
		})
	}
}

func testCheckMissing(t *testing.T, s ProviderSetup, p regcred.Provider) {
	for _, f := range p.Describe().Fields {
		if f.Required {
			s.refused(t, p, f.Name, func(c *regcred.Credential) {
				delete(c.Settings, f.Name)
				delete(c.Secrets, f.Name)
			})
		}
	}
}

func testCheckInvalid(t *testing.T, s ProviderSetup, p regcred.Provider) {
	for _, name := range slices.Sorted(maps.Keys(s.Invalid)) {
		t.Run(name, func(t *testing.T) { s.refused(t, p, s.Invalid[name].Names, s.Invalid[name].Change) })
	}
}

// testMint checks that a login can be used, and expires when it should.
func testMint(t *testing.T, s ProviderSetup, p regcred.Provider) {
	before := time.Now()
	l, err := p.Mint(t.Context(), s.Credential.Clone())
	after := time.Now()
	if err != nil {
		t.Fatal(err)
	}
	if l.Username == "" || l.Password.IsZero() {
		t.Error("the login has no username or no password")
	}
	if strings.Contains(l.Username, ":") {
		t.Errorf("the username %q cannot be used in HTTP Basic authentication", l.Username)
	}
	if len(l.Hosts) == 0 && s.Credential.Location.IsZero() {
		t.Error("neither the login nor the credential says for which host it is")
	}
	for _, host := range l.Hosts {
		if loc, err := imageref.ParseLocation(host); err != nil || loc.Host() != host {
			t.Errorf("the host %q is not in canonical form", host)
		}
	}
	if !s.Credential.Location.IsZero() && !l.Serves(s.Credential.Location.Host()) {
		t.Errorf("the login is for %v, the credential for %s", l.Hosts, s.Credential.Location)
	}
	if !l.MintedAt.IsZero() || l.Version != 0 {
		t.Errorf("MintedAt and Version are the caller's to set: %s, %d", l.MintedAt, l.Version)
	}
	s.checkExpiry(t, l, before, after)
}

// checkExpiry checks when a login that was minted between two times expires.
func (s ProviderSetup) checkExpiry(t *testing.T, l regcred.Login, before, after time.Time) {
	t.Helper()
	if s.Lifetime == 0 {
		if !l.ExpiresAt.IsZero() {
			t.Errorf("the login expires at %s, want never", l.ExpiresAt)
		}
		return
	}
	const rounding = time.Second
	from, to := before.Add(s.Lifetime-rounding), after.Add(s.Lifetime+rounding)
	if l.ExpiresAt.Before(from) || l.ExpiresAt.After(to) {
		t.Errorf("the login expires at %s, want a time from %s to %s", l.ExpiresAt, from, to)
	}
	if !l.RenewableAt.IsZero() && !l.RenewableAt.Before(l.ExpiresAt) {
		t.Errorf("the login can be renewed from %s on, but expires at %s", l.RenewableAt, l.ExpiresAt)
	}
}

func testMintAgain(t *testing.T, s ProviderSetup, p regcred.Provider) {
	given := s.Credential.Clone()
	first, err := p.Mint(t.Context(), given)
	if err != nil {
		t.Fatal(err)
	}
	if !given.SameSource(s.Credential) {
		t.Error("Mint changed the credential that it was handed")
	}
	second, err := p.Mint(t.Context(), given)
	if err != nil {
		t.Fatal(err)
	}
	if s.Unique && first.Password.Equal(second.Password) {
		t.Error("two logins have the same password")
	}
	if len(first.Hosts) > 0 {
		first.Hosts[0] = "changed.example.com"
		if slices.Contains(second.Hosts, "changed.example.com") {
			t.Error("two logins share their hosts")
		}
	}
}

// testMintInvalid mints from what Check refuses: that is an error too, or else
// what Check refuses is of no matter.
func testMintInvalid(t *testing.T, s ProviderSetup, p regcred.Provider) {
	for _, name := range slices.Sorted(maps.Keys(s.Invalid)) {
		c := s.Credential.Clone()
		s.Invalid[name].Change(&c)
		l, err := p.Mint(t.Context(), c)
		if err == nil {
			t.Errorf("%s: it gave a login", name)
			continue
		}
		s.checkError(t, err, c)
		if !l.Password.IsZero() {
			t.Errorf("%s: a password came with the error", name)
		}
	}
}

func testMintConcurrently(t *testing.T, s ProviderSetup, p regcred.Provider) {
	const callers = 8
	var logins [callers]regcred.Login
	var running sync.WaitGroup
	for n := range callers {
		running.Go(func() {
			var err error
			if logins[n], err = p.Mint(t.Context(), s.Credential); err != nil {
				t.Error(err)
			}
		})
	}
	running.Wait()
	if !s.Unique {
		return
	}
	seen := map[string]bool{}
	for _, l := range logins {
		if seen[l.Password.Reveal()] {
			t.Error("two logins that were minted at once have the same password")
		}
		seen[l.Password.Reveal()] = true
	}
}

// testMintEnds checks that a mint ends with its context: with an error that says
// so, or with a login where the provider had nobody to ask.
func testMintEnds(t *testing.T, s ProviderSetup, p regcred.Provider) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := p.Mint(ctx, s.Credential)
		ended <- err
	}()
	select {
	case err := <-ended:
		if err != nil && !errors.Is(err, context.Canceled) && regcred.CodeOf(err) != regcred.Unavailable {
			t.Errorf("a mint whose context has ended fails with %s: %v", regcred.CodeOf(err), err)
		}
	case <-time.After(patience):
		t.Errorf("a mint goes on %s after its context ended", patience)
	}
}

// refused checks that Check refuses the credential with a change made to it, in an
// error that names what is wrong and no secret.
func (s ProviderSetup) refused(t *testing.T, p regcred.Provider, names string, change func(*regcred.Credential)) {
	t.Helper()
	c := s.Credential.Clone()
	change(&c)
	err := p.Check(c)
	if err == nil {
		t.Errorf("%s: Check accepts it", names)
		return
	}
	if regcred.CodeOf(err) != regcred.Invalid || !strings.Contains(err.Error(), names) {
		t.Errorf("%s: the error is %s: %v, want invalid and the name in it", names, regcred.CodeOf(err), err)
	}
	s.checkError(t, err, c)
}

// checkError checks that an error shows no secret.
func (s ProviderSetup) checkError(t *testing.T, err error, c regcred.Credential) {
	t.Helper()
	for _, secret := range append(s.secrets(), ProviderSetup{Credential: c}.secrets()...) {
		if found := Leaks([]byte(err.Error()), secret); found != nil {
			t.Errorf("the error shows a secret: %v", found)
		}
	}
}

// secrets returns all secrets of the credential that are long enough to be told
// from other text.
func (s ProviderSetup) secrets() []string {
	var list []string
	for _, secret := range append(slices.Collect(maps.Values(s.Credential.Secrets)), s.Credential.Password) {
		if text := secret.Reveal(); len(text) >= 8 {
			list = append(list, text)
		}
	}
	return list
}

func setSetting(c *regcred.Credential, name, value string) {
	if c.Settings == nil {
		c.Settings = map[string]string{}
	}
	c.Settings[name] = value
}

func setSecret(c *regcred.Credential, name, value string) {
	if c.Secrets == nil {
		c.Secrets = map[string]regcred.Secret{}
	}
	c.Secrets[name] = regcred.NewSecret(value)
}

// logBuffer is what was logged.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.buf.Bytes())
}

// captureLog makes the default logger, and with it that of package log, write
// into a buffer until the test ends.
func captureLog(t *testing.T) *logBuffer {
	b := new(logBuffer)
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug})))
	t.Cleanup(func() { slog.SetDefault(before) })
	return b
}
