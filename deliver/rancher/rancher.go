// Package rancher keeps the registry credentials of Rancher right: those of an
// environment of Rancher 1.x, by the API that is called Cattle, in its versions v1 and
// v2-beta; or the docker credentials of a project of Rancher 2.x, by its API v3.
//
// Rancher shows no password again, so what was delivered is recorded in each
// credential's description (see record): a restart writes nothing again, and what
// somebody else put there is left alone.
package rancher

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"regcred.dev"
	"regcred.dev/deliver"
	"regcred.dev/internal/web"
	"regcred.dev/keyring"
)

// DefaultInterval is how often a target looks for changes by others. Each look lists
// all registries and credentials of the environment.
const DefaultInterval = 5 * time.Minute

// defaultEmail is the email of credentials where the API asks for one.
const defaultEmail = "none@none.com"

// Options configure a Target.
type Options struct {
	// Name is the target's name. Default: the URL's host.
	Name string
	// URL is Rancher's API, http[s]://HOST[:PORT] with /v1, /v2-beta or an
	// environment, such as /v1/projects/1a5, behind it or not.
	URL *url.URL
	// AccessKey and SecretKey are the API key.
	AccessKey string
	SecretKey regcred.Secret
	// Scope is whose keyring the environment gets.
	Scope regcred.Scope
	// AutoCreate creates registries and credentials that are missing. Without it
	// those that there are get updated.
	AutoCreate bool
	// PublicValue is the user name of the credentials that are updated. Default: a
	// registry's only credential, or else those whose user name is the login's, which
	// is AWS for Amazon ECR.
	PublicValue string
	// Project is the id of a project of Rancher 2.x, "c-x:p-y", in place of an
	// environment of Rancher 1.x. The URL then ends in /v3 or in nothing. Credentials
	// that are missing are created, and those of others left alone, in any case.
	Project string
	// Namespace is the project's namespace whose credentials they are. Default: they
	// are for all of its namespaces.
	Namespace string
	// NoAdopt leaves every credential alone that regcred did not create.
	NoAdopt bool
	// Email is written where the API asks for one (v1). Default none@none.com.
	Email string
	// Broaden lets a lone path credential stand for its host.
	Broaden bool
	// Peers says that the store begins anew with each process, and shares its id with
	// those of others that deliver to the same place. What they delivered of credentials
	// that the book does not have is then left alone, in place of holding it; and of two
	// logins of one credential the one that expires last stays.
	Peers bool
	// RootCAs verify Rancher in place of the system's authorities.
	RootCAs *x509.CertPool
	// Interval is how often changes by others are looked for. Default DefaultInterval.
	Interval time.Duration
	// Transport carries the requests, for tests; nil: one of its own.
	Transport http.RoundTripper
	// Log gets which credentials are taken over, created and removed. Nil discards it.
	Log *slog.Logger
}

// Target delivers a keyring to an environment of Rancher 1.x, or to a project of 2.x.
type Target struct {
	o    Options
	api  endpoint
	open func(context.Context, endpoint, Options) (system, error)

	mu     sync.Mutex
	memory map[string]memo // by the credential's id
}

// memo is what this process delivered into a credential.
type memo struct {
	record   record
	username string
	password regcred.Secret
}

var _ deliver.Target = (*Target)(nil)

// New returns a Target. It does no I/O.
func New(o Options) *Target {
	o.Name = nameOr(o.Name, o.URL)
	if o.Email == "" {
		o.Email = defaultEmail
	}
	if o.Interval <= 0 {
		o.Interval = DefaultInterval
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	t := &Target{o: o, open: openEnvironment, memory: map[string]memo{}}
	authorize := func(req *http.Request) { req.SetBasicAuth(o.AccessKey, o.SecretKey.Reveal()) }
	if o.Project != "" {
		t.o.AutoCreate, t.o.NoAdopt, t.o.PublicValue, t.open = true, true, "", openProject
		authorize = func(req *http.Request) {
			req.Header.Set("Authorization", "Bearer "+o.AccessKey+":"+o.SecretKey.Reveal())
		}
	}
	t.api = newEndpoint(o.URL, o.RootCAs, o.Transport, authorize)
	return t
}

func nameOr(name string, u *url.URL) string {
	if name == "" {
		return u.Host
	}
	return name
}

func newEndpoint(u *url.URL, roots *x509.CertPool, transport http.RoundTripper, authorize func(*http.Request)) endpoint {
	base := *u
	base.Path = "/" + strings.Trim(base.Path, "/")
	return endpoint{
		// The URL is the operator's, who may well mean an address of this machine.
		web:  web.New(web.Options{Transport: transport, RootCAs: roots, LocalAllowed: true, MaxBody: maxBody}),
		base: &base, authorize: authorize,
	}
}

// Describe implements deliver.Target.
func (t *Target) Describe() deliver.Info {
	return deliver.Info{Name: t.o.Name, Kind: "rancher", Scope: t.o.Scope.String()}
}

// attempts is how often a sync starts over because somebody else changed the
// environment meanwhile.
const attempts = 3

// Sync implements deliver.Target. A registry whose address makes no sense is passed
// over; one that fails keeps no other from being synced.
func (t *Target) Sync(ctx context.Context, book *keyring.Book, o deliver.SyncOptions) (deliver.Report, error) {
	if !book.Current() {
		return deliver.Report{}, regcred.Errorf(regcred.Unavailable, "the store's credentials are not all read yet: nothing is changed")
	}
	rendering, err := book.Keyring(t.o.Scope).Render(keyring.Docker, keyring.RenderOptions{Broaden: t.o.Broaden})
	if err != nil {
		return deliver.Report{}, err
	}
	system, err := t.open(ctx, t.api, t.o)
	if err != nil {
		return deliver.Report{Omitted: rendering.Omitted}, err
	}
	for range attempts {
		s := session{Target: t, system: system, book: book, now: time.Now(), confirmed: o.Confirmed}
		err = s.sync(ctx, rendering)
		if !errors.Is(err, errTaken) {
			return s.report, err
		}
	}
	return deliver.Report{Omitted: rendering.Omitted}, regcred.Errorf(regcred.Unavailable, "others keep creating registries in %s: gave up after %d attempts", system.name(), attempts)
}

// Watch implements deliver.Target: Rancher is looked at again at every interval.
func (t *Target) Watch(ctx context.Context, changed func()) error {
	return poll(ctx, t.o.Interval, changed)
}

// poll calls changed now and at every interval, until ctx ends.
func poll(ctx context.Context, interval time.Duration, changed func()) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		changed()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Uninstall implements deliver.Target. Registries stay: others may use them too.
func (t *Target) Uninstall(ctx context.Context, storeID string) error {
	system, err := t.open(ctx, t.api, t.o)
	if err != nil {
		return err
	}
	s := session{Target: t, system: system}
	if err := s.read(ctx); err != nil {
		return err
	}
	for _, c := range s.all {
		if c.recorded && c.record.Store == storeID {
			s.try(ctx, c.host, s.withdraw(ctx, c))
		}
	}
	t.mu.Lock()
	maps.DeleteFunc(t.memory, func(_ string, m memo) bool { return m.record.Store == storeID })
	t.mu.Unlock()
	return s.err(ctx)
}

// recall returns what this process delivered into a credential.
func (t *Target) recall(id string) (memo, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	m, ok := t.memory[id]
	return m, ok
}

func (t *Target) remember(id string, m memo) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.memory[id] = m
}

func (t *Target) forget(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.memory, id)
}
