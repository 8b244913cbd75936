package service_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"regcred.dev"
	"regcred.dev/catalog"
	"regcred.dev/deliver"
	"regcred.dev/keyring"
	"regcred.dev/probe"
	"regcred.dev/provider/static"
	"regcred.dev/refresh"
	"regcred.dev/service"
	"regcred.dev/store/memory"
	"regcred.dev/token"
)

const (
	host     = "registry.example.com"
	lifetime = time.Hour
)

// issuer is a provider whose logins are unique: token-1, token-2 and so on. The
// secret setting "key" is what they are minted from.
type issuer struct {
	mu    sync.Mutex
	mints int
	// during is called in each mint, and may change the login or fail it; nil: not.
	during func(regcred.Credential, *regcred.Login) error
	// uses is what its credentials use of the server, unless usesOf says that of each.
	uses   []string
	usesOf func(regcred.Credential) []string
}

func (*issuer) Describe() regcred.ProviderInfo {
	return regcred.ProviderInfo{Name: "issuer", Shared: true, Fields: []regcred.Field{{Name: "key", Secret: true}, {Name: "role"}}}
}

func (i *issuer) Check(c regcred.Credential) error { return i.Describe().CheckFields(c) }
func (*issuer) Issuer(regcred.Credential) string   { return "issuer" }

func (i *issuer) Uses(c regcred.Credential) []string {
	if i.usesOf != nil {
		return i.usesOf(c)
	}
	return i.uses
}

func (i *issuer) set(f func(regcred.Credential, *regcred.Login) error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.during = f
}

// Mint takes a second, so that who asks at the same time shares it.
func (i *issuer) Mint(_ context.Context, c regcred.Credential) (regcred.Login, error) {
	time.Sleep(time.Second)
	i.mu.Lock()
	i.mints++
	l := regcred.Login{
		Username: "user", Password: regcred.NewSecret(fmt.Sprint("token-", i.mints)),
		Hosts: []string{host}, ExpiresAt: time.Now().Add(lifetime),
	}
	during := i.during
	i.mu.Unlock()
	if during == nil {
		return l, nil
	}
	err := during(c, &l)
	return l, err
}

// prober is a registry that answers every login with err.
type prober struct{ err error }

func (p *prober) Probe(context.Context, string, regcred.Login, string) (probe.Report, error) {
	return probe.Report{Accepted: p.err == nil}, p.err
}

// noTargets delivers nowhere.
type noTargets struct{}

func (noTargets) Status() []deliver.Status { return nil }
func (noTargets) Confirm(name string) error {
	return regcred.Errorf(regcred.NotFound, "there is no target %s", name)
}

// bench is a Service with what it works with, in a bubble of its own.
type bench struct {
	*testing.T
	*service.Service
	issuer   *issuer
	registry *prober
	public   *prober // for callers who are no admins
	store    regcred.Store
	log      *bytes.Buffer // read it once nothing runs any more
}

// bubble runs a test on a Service. wrap, which may be nil, wraps its store.
func bubble(t *testing.T, wrap func(regcred.Store) regcred.Store, test func(bench)) {
	t.Helper()
	unstarted(t, wrap, func(b bench) {
		var stop func()
		b.Service, stop = b.start(map[string]regcred.Provider{"issuer": b.issuer, "static": static.New()})
		defer stop()
		test(b)
	})
}

// unstarted is bubble without a Service, for tests that start their own.
func unstarted(t *testing.T, wrap func(regcred.Store) regcred.Store, test func(bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := bench{T: t, issuer: &issuer{}, registry: &prober{}, public: &prober{}, store: memory.New(), log: new(bytes.Buffer)}
		if wrap != nil {
			b.store = wrap(b.store)
		}
		test(b)
	})
}

// start runs a Service on the store until stop is called.
func (b bench) start(providers map[string]regcred.Provider) (s *service.Service, stop func()) {
	b.Helper()
	log := slog.New(slog.NewTextHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	books, list := keyring.New(b.store.ID()), new(catalog.Catalog)
	books.Also = list.Apply
	refresher := refresh.New(refresh.Options{Store: b.store, Providers: providers, Log: log})
	tokens, err := token.New(b.Context(), b.store, token.Options{Issuer: "regcred:test"})
	if err != nil {
		b.Fatal(err)
	}
	s = service.New(service.Options{
		Store: b.store, Books: books, Catalog: list, Refresher: refresher, Providers: providers, Tokens: tokens,
		Targets: noTargets{}, Prober: b.registry, PublicProber: b.public, LoginLifetime: lifetime, Log: log,
	})
	ctx, cancel := context.WithCancel(b.Context())
	var parts sync.WaitGroup
	parts.Go(func() { _ = books.Follow(ctx, b.store) })
	parts.Go(func() { _ = refresher.Run(ctx) })
	synctest.Wait()
	return s, func() { cancel(); parts.Wait() }
}

// create stores a credential of the issuer at an organization.
func (b bench) create(org, key string) service.Credential {
	b.Helper()
	c, err := b.CreateCredential(b.Context(), regcred.Local, service.NewCredential{
		Scope: regcred.OrgScope(org), Location: host, Provider: "issuer",
		Settings: map[string]regcred.Secret{"key": regcred.NewSecret(key)},
	})
	if err != nil {
		b.Fatal(err)
	}
	return c
}

// key is an update to another key.
func key(text string) service.CredentialUpdate {
	secret := regcred.NewSecret(text)
	return service.CredentialUpdate{Settings: map[string]*regcred.Secret{"key": &secret}}
}

// password returns the stored login's, "" where there is none.
func (b bench) password(guid string) string {
	b.Helper()
	l, err := b.store.Login(b.Context(), guid)
	if err != nil && regcred.CodeOf(err) != regcred.NotFound {
		b.Fatal(err)
	}
	return l.Password.Reveal()
}

func (b bench) wantPassword(guid, want string) {
	b.Helper()
	if got := b.password(guid); got != want {
		b.Errorf("the login of %s is %q, want %q", guid, got, want)
	}
}
