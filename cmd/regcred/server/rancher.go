package server

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"regcred.dev"
	"regcred.dev/config"
	"regcred.dev/deliver"
	"regcred.dev/deliver/rancher"
	"regcred.dev/keyring"
	"regcred.dev/provider/ecr"
	"regcred.dev/refresh"
	"regcred.dev/store/memory"
)

// RancherOptions configure a Rancher.
type RancherOptions struct {
	Config config.RancherUpdater
	// Rancher and AWS carry the requests to each; nil: a transport of their own.
	Rancher, AWS http.RoundTripper
	// Log is required.
	Log *slog.Logger
}

// Rancher is a server in place of the Rancher ECR Credentials Updater: it keeps the
// logins of ECR in the registry credentials of an environment of Rancher 1.x. It keeps
// nothing on disk, and has no API: the updater's ping, health and metrics are all that
// it serves.
type Rancher struct {
	core

	log         *slog.Logger
	where       string
	store       *memory.Store
	credentials []regcred.Credential
	listener    net.Listener
	web         *http.Server
}

// rancherStore is the id of the store, which is the same in all processes, so that
// what was delivered before a restart, or with other settings, is known as its own.
var rancherStore = uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://regcred.dev/rancher/"))

// OpenRancher checks the configuration and listens. It asks nobody for anything before
// Run. Errors: Invalid; Unavailable where the port is in use.
func OpenRancher(ctx context.Context, o RancherOptions) (*Rancher, error) {
	r, err := newRancher(ctx, o)
	if err != nil {
		return nil, err
	}
	if r.listener, err = listenTCP(ctx, o.Config.Listen, "LISTEN_PORT"); err != nil {
		return nil, err
	}
	r.web = newWebServer(r.handler(), o.Log)
	return r, nil
}

// newRancher returns a Rancher that does not listen.
func newRancher(ctx context.Context, o RancherOptions) (*Rancher, error) {
	c := o.Config
	provider := ecr.New(ecr.Options{Transport: o.AWS})
	r := &Rancher{
		log: o.Log, where: c.URL.Host,
		store: memory.Resume(rancherStore.String(), firstRevision(time.Now(), previous{})),
	}
	for _, declared := range c.Credentials {
		credential, err := r.store.Create(ctx, rancherCredential(declared))
		if err == nil {
			err = provider.Check(credential)
		}
		if err != nil {
			return nil, regcred.Errorf(regcred.CodeOf(err), "%s: %w", declared.Where, err)
		}
		r.credentials = append(r.credentials, credential)
	}
	r.books = keyring.New(r.store.ID())
	r.books.Log = o.Log
	r.fresh = refresh.New(refresh.Options{Store: r.store, Providers: map[string]regcred.Provider{ecr.Name: provider}, Log: o.Log})
	r.targets = []deliver.Target{rancher.New(rancher.Options{
		Name: "rancher", URL: c.URL, AccessKey: c.AccessKey, SecretKey: c.SecretKey,
		AutoCreate: c.AutoCreate, Peers: true, Transport: o.Rancher, Log: o.Log,
	})}
	r.runner = deliver.NewRunner(deliver.Options{Books: r.books, Targets: r.targets, Log: o.Log})
	return r, nil
}

// rancherCredential returns the credential of a configuration. Its guid follows from
// which registries it is for: so it is the same after a restart, and another one than
// that of a process for another region or account on the same environment.
func rancherCredential(c config.Credential) regcred.Credential {
	source := c.Settings["region"] + "|" + c.Settings["registry-ids"] + "|" + c.Settings["host"]
	return regcred.Credential{
		GUID:     uuid.NewSHA1(rancherStore, []byte(source)).String(),
		Location: c.Location, Spelling: c.Spelling, Provider: c.Provider,
		Settings: maps.Clone(c.Settings), Origin: regcred.OriginConfig,
	}
}

// Addr returns the address that ping, health and metrics are served on.
func (r *Rancher) Addr() string { return r.listener.Addr().String() }

// Run serves until ctx ends, and returns nil then, or the error that ended it early.
func (r *Rancher) Run(ctx context.Context) error {
	group, parts := errgroup.WithContext(ctx)
	group.Go(func() error { return r.keep(parts) })
	group.Go(func() error {
		if err := r.web.Serve(r.listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Go(func() error {
		<-parts.Done()
		return r.web.Close()
	})
	r.log.Info("keeping Rancher's registry credentials valid", "rancher", r.where, "credentials", len(r.credentials), "listen", r.Addr())
	return group.Wait()
}

// keep keeps the logins fresh and delivered, until ctx ends.
func (r *Rancher) keep(ctx context.Context) error {
	defer func() { _ = r.store.Close() }() // it never fails
	group, parts := errgroup.WithContext(ctx)
	group.Go(func() error { return ended(parts, r.books.Follow(parts, r.store)) })
	group.Go(func() error { return ended(parts, r.fresh.Run(parts)) })
	group.Go(func() error { return r.runner.Run(parts) })
	return group.Wait()
}

// handler serves the updater's ping, health and metrics.
func (r *Rancher) handler() http.Handler {
	mux := http.NewServeMux()
	say := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) }
	}
	mux.Handle("/ping", say("pong!"))
	mux.Handle("GET /healthz", say("ok\n"))
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, req *http.Request) {
		if err := r.ready(time.Now()); err != nil {
			http.Error(w, regcred.MessageOf(err), http.StatusServiceUnavailable)
			return
		}
		say("ok\n")(w, req)
	})
	mux.Handle("GET /metrics", metricsHandler(newMetrics(&r.core), r.log))
	return mux
}

// ready says which login is missing, or why Rancher does not have them, nil where all
// is well.
func (r *Rancher) ready(now time.Time) error {
	book := r.books.Now()
	for _, c := range r.credentials {
		e, ok := book.Get(c.GUID)
		if ok && e.Login != nil && !e.Login.Expired(now) {
			continue
		}
		if st, ok := r.fresh.Status(c.GUID); ok && st.Problem != "" {
			return regcred.Errorf(regcred.Unavailable, "there is no valid login: %s", st.Problem)
		}
		return regcred.Errorf(regcred.Unavailable, "there is no valid login yet")
	}
	for _, st := range r.runner.Status() {
		switch {
		case st.Error != "":
			return regcred.Errorf(regcred.Unavailable, "Rancher does not have the newest logins: %s", st.Error)
		case st.Delivered < len(r.credentials):
			reasons := slices.Concat(st.Warnings, []string{"they are delivered in a moment"})
			return regcred.Errorf(regcred.Unavailable, "Rancher has %d of %d logins: %s", st.Delivered, len(r.credentials), reasons[0])
		}
	}
	return nil
}
