// Package server puts a regcred server together from its parts and runs it. It is
// the one place that picks implementations.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"regcred.dev"
	"regcred.dev/api"
	"regcred.dev/audit"
	"regcred.dev/catalog"
	"regcred.dev/clustertoken"
	"regcred.dev/clustertoken/review"
	"regcred.dev/config"
	"regcred.dev/deliver"
	"regcred.dev/imageref"
	"regcred.dev/keyring"
	"regcred.dev/probe"
	"regcred.dev/refresh"
	"regcred.dev/seal"
	"regcred.dev/service"
	"regcred.dev/store/sqlite"
	"regcred.dev/token"
)

// Names in the data directory. All files there have mode 0600.
const (
	SocketName     = "regcred.sock" // the API for who may open it: its admin
	AdminTokenName = "admin.token"  // an API token of the role admin
	databaseName   = "regcred.db"
	keyName        = "seal.key"
	RegistryName   = "registry"
)

// shutdownTimeout bounds how long requests under way may take to end.
const shutdownTimeout = 15 * time.Second

// core is what keeps logins fresh and delivers them.
type core struct {
	books  *keyring.Books
	fresh  *refresh.Refresher
	runner *deliver.Runner
	// targets are the runner's.
	targets []deliver.Target
}

// Server is a running server.
type Server struct {
	core

	cfg     config.Config
	log     *slog.Logger
	store   *sqlite.Store
	tokens  *token.Service
	trusted clustertoken.Clusters
	callers callers
	audit   *audit.Log
	svc     *service.Service
	images  images
	tcp     net.Listener
	socket  net.Listener
	public  *url.URL
	web     *http.Server
}

// Open makes what the server needs in its data directory, at the first start, and
// opens it. It listens, but does not serve before Run.
func Open(ctx context.Context, cfg config.Config, version string, log *slog.Logger) (_ *Server, err error) {
	s := &Server{cfg: cfg, log: log}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.cfg.DataDir, err = dataDir(cfg.DataDir); err != nil {
		return nil, err
	}
	if err := s.openStore(ctx); err != nil {
		return nil, err
	}
	if err := s.listen(ctx); err != nil {
		return nil, err
	}
	s.tokens, err = token.New(ctx, s.store, token.Options{Issuer: "regcred:" + s.store.ID(), MaxLifetime: s.maxLifetime()})
	if err != nil {
		return nil, err
	}
	if err := s.adminToken(ctx); err != nil {
		return nil, err
	}
	return s, s.assemble(ctx, version)
}

// maxLifetime is the longest that anything signed here may live.
func (s *Server) maxLifetime() time.Duration {
	return max(s.cfg.Registry.LoginLifetime, token.DefaultMaxLifetime)
}

func (s *Server) path(name string) string { return filepath.Join(s.cfg.DataDir, name) }

func (s *Server) openStore(ctx context.Context) error {
	exists, err := sqlite.Exists(s.path(databaseName))
	if err != nil {
		return err
	}
	key, err := seal.OpenKeyFile(s.path(keyName), !exists)
	if err != nil {
		return err
	}
	s.store, err = sqlite.Open(ctx, sqlite.Options{Path: s.path(databaseName), Keys: seal.Keys{key}, Log: s.log})
	return err
}

// assemble puts the parts together.
func (s *Server) assemble(ctx context.Context, version string) error {
	host, err := imageref.ParseLocation(s.public.Host)
	if err != nil {
		return fmt.Errorf("public URL: %w", err)
	}
	providers := map[string]regcred.Provider{}
	for _, p := range s.providers(host.Host()) {
		providers[p.Describe().Name] = p
	}
	if providers[regcred.ProviderProfile], err = s.profiles(ctx, providers); err != nil {
		return err
	}
	s.books = keyring.New(s.store.ID())
	list := new(catalog.Catalog)
	s.books.Log, s.books.Also = s.log, list.Apply
	s.fresh = refresh.New(refresh.Options{Store: s.store, Providers: providers, Log: s.log})
	if s.targets, err = newTargets(s.cfg.Targets, s.log); err != nil {
		return err
	}
	s.runner = deliver.NewRunner(deliver.Options{Books: s.books, Targets: s.targets, Log: s.log})
	s.audit = audit.New(s.store, s.log)
	metrics := newMetrics(&s.core)
	if err := s.openImages(ctx, metrics); err != nil {
		return err
	}
	s.svc = service.New(service.Options{
		Store: s.store, Books: s.books, Catalog: list, Refresher: s.fresh, Providers: providers, Tokens: s.tokens,
		Targets: s.runner, Images: s.images.forService(), Prober: probe.New(probe.Options{}), PublicProber: probe.New(probe.Options{PublicOnly: true}), LoginLifetime: s.maxLifetime(), Version: version, Audit: s.audit, Log: s.log,
	})
	if s.trusted, err = clusters(s.cfg.KubernetesTokens); err != nil {
		return err
	}
	if s.callers, err = newCallers(s.cfg); err != nil {
		return err
	}
	local := s.scheme() + "://" + s.tcp.Addr().String()
	s.web = newWebServer(api.New(api.Options{
		Service: s.svc, Authenticate: s.authenticate, AuthenticateKubelet: s.authenticateKubelet, Address: s.images.server.Address,
		Ready: s.ready, PublicURL: s.public, LocalURL: local, Log: s.log, Mounts: s.images.mounts(), Images: s.images.v2,
		Metrics: api.Metrics{All: metricsHandler(metrics, s.log), Open: metricsHandler(newMetrics(totals{&s.core}), s.log)},
	}), s.log)
	s.web.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if c.LocalAddr().Network() == "unix" {
			return api.LocalContext(ctx)
		}
		host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
		return review.ClientContext(ctx, host)
	}
	return nil
}

// idlePatience is how long a connection may stand idle. Clients written in Go keep one
// for 90 seconds, and one that they have not used yet too: whoever is cut before may be
// sending a request just then, which fails as "connection reset by peer".
const idlePatience = 2 * time.Minute

// newWebServer returns a server with limits on what a client can hold up. The header of
// the first request is waited for from the beginning of the connection.
func newWebServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: idlePatience,
		IdleTimeout:       idlePatience,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// URL returns how clients reach the server.
func (s *Server) URL() string { return s.public.String() }

// ready says why the server is not ready yet.
func (s *Server) ready() error {
	if !s.books.Now().Current() {
		return regcred.Errorf(regcred.Unavailable, "the credentials are being read")
	}
	return nil
}

// Run serves until ctx ends, then ends in good order: requests under way are
// finished while all that they need still runs. It returns nil after that, or the
// error that ended it early. The Server is closed in any case.
func (s *Server) Run(ctx context.Context) error {
	defer s.close()
	lasting, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	group, parts := errgroup.WithContext(lasting)
	group.Go(func() error { return ended(parts, s.books.Follow(parts, s.store)) })
	group.Go(func() error { return ended(parts, s.fresh.Run(parts)) })
	group.Go(func() error {
		defer end()
		return s.serve(ctx, parts, group)
	})
	return group.Wait()
}

// serve declares the configuration's credentials, applies its profiles, and then serves
// clients and runs the targets: nobody sees a state that lacks what the configuration
// adds. It returns once ctx or parts have ended, and the requests under way with them.
func (s *Server) serve(ctx, parts context.Context, group *errgroup.Group) error {
	if err := s.svc.Declare(ctx, declared(s.cfg.Credentials)); err != nil {
		return ended(ctx, err)
	}
	if err := s.svc.ApplyProfiles(ctx); err != nil {
		return ended(ctx, err)
	}
	group.Go(func() error { return s.runner.Run(parts) })
	group.Go(func() error { return s.housekeeping(parts) })
	s.runImages(parts, group.Go)
	group.Go(func() error { return s.svc.RunAudit(parts, s.cfg.AuditKeep) })
	s.runOperations(ctx, parts, group)
	for _, l := range []net.Listener{s.tcp, s.socket} {
		group.Go(func() error {
			if err := s.web.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		})
	}
	s.log.Info("serving", "url", s.URL(), "data", s.cfg.DataDir, "store", s.store.ID())
	select {
	case <-ctx.Done():
	case <-parts.Done():
	}
	s.log.Info("shutting down")
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := s.web.Shutdown(limited); err != nil {
		s.log.Warn("requests were broken off", "after", shutdownTimeout, "error", err)
		_ = s.web.Close()
	}
	s.log.Info("stopped")
	return nil
}

// runOperations ends the registry's upkeep at the beginning of a shutdown, when requests
// wait for it.
func (s *Server) runOperations(ctx, parts context.Context, group *errgroup.Group) {
	operations, end := context.WithCancel(parts)
	stop := context.AfterFunc(ctx, end)
	group.Go(func() error {
		defer end()
		defer stop()
		return s.svc.RunOperations(operations)
	})
}

// What housekeeping does, and how often. Revocations are read again for those that
// are over, and for what another process on the same store has revoked.
const (
	uploadPatience     = 24 * time.Hour // for uploads that nobody goes on with
	emptyPatience      = time.Hour      // for those that nothing came for
	uploadInterval     = time.Hour
	revocationInterval = time.Minute
)

func (s *Server) housekeeping(ctx context.Context) error {
	uploads, revocations := time.NewTicker(uploadInterval), time.NewTicker(revocationInterval)
	defer uploads.Stop()
	defer revocations.Stop()
	for {
		select {
		case <-ctx.Done():
			s.recordUses(context.WithoutCancel(ctx))
			return nil
		case now := <-uploads.C:
			_, err := s.images.storage.CleanUploads(ctx, now.Add(-uploadPatience))
			_, errEmpty := s.images.storage.CleanEmptyUploads(ctx, now.Add(-emptyPatience))
			if err := errors.Join(err, errEmpty); err != nil {
				s.log.WarnContext(ctx, "cleaning up unfinished uploads failed", "error", err)
			}
		case <-revocations.C:
			s.recordUses(ctx)
			if err := s.tokens.Reload(ctx); err != nil {
				s.log.WarnContext(ctx, "reading the revocations failed", "error", err)
			}
		}
	}
}

// recordUses stores which API tokens were used.
func (s *Server) recordUses(ctx context.Context) {
	if err := s.tokens.RecordUses(ctx); err != nil {
		s.log.WarnContext(ctx, "recording the use of API tokens failed", "error", err)
	}
}

// ended leaves out the error by which a part says that it was told to end.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

// declared are the credentials of the configuration as service takes them.
func declared(list []config.Credential) []service.Declaration {
	if list == nil {
		return nil
	}
	out := []service.Declaration{}
	for _, c := range list {
		out = append(out, service.Declaration{
			NewCredential: service.NewCredential{
				Scope: c.Scope, Location: c.Spelling, Username: c.Username, Password: c.Password,
				Provider: c.Provider, Settings: settingsOf(c.Settings, c.References),
			},
			Where: c.Where, Literal: slices.Collect(maps.Keys(c.Settings)),
		})
	}
	return out
}

// close releases whatever is open.
func (s *Server) close() {
	for _, l := range []net.Listener{s.tcp, s.socket} {
		if l != nil {
			_ = l.Close()
		}
	}
	_ = s.images.close()
	if s.socket != nil {
		_ = os.Remove(s.path(SocketName))
	}
	if s.store != nil {
		_ = s.store.Close()
	}
}
