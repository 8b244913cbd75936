package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"

	"regcred.dev"
	"regcred.dev/config"
	"regcred.dev/deliver"
	"regcred.dev/deliver/kubernetes"
	"regcred.dev/keyring"
)

// DeisOptions configure a Deis.
type DeisOptions struct {
	Config config.Deis
	// Credentials is the directory where registry-secret is mounted.
	Credentials string
	// Kubernetes is how the API server is reached; nil: as kubernetes.Connect finds.
	Kubernetes *rest.Config
	// Transport carries what the provider asks for; nil: one of its own.
	Transport http.RoundTripper
	// Log is required.
	Log *slog.Logger
}

// Deis is a server in place of Deis Workflow's Registry Token Refresher: it has one
// credential, from the files of registry-secret, and keeps its login in a Secret of
// each namespace of Deis. It keeps nothing on disk, and has no API: health and
// metrics are all that it serves.
type Deis struct {
	o        DeisOptions
	log      *slog.Logger
	provider regcred.Provider
	secrets  secrets // of the release's own namespace
	target   deliver.Target
	first    config.DeisFiles
	listener net.Listener
	web      *http.Server
	// newest is the tenure whose login is delivered, or is to be the first that is; nil
	// before there is one.
	newest atomic.Pointer[tenure]
}

// secrets is what a Deis asks of the API server itself.
type secrets interface {
	Get(ctx context.Context, name string) (*v1.Secret, error)
	Update(ctx context.Context, s *v1.Secret) (*v1.Secret, error)
}

// OpenDeis checks the configuration and listens. It asks nobody for anything before
// Run. Errors: Invalid; Unavailable where the address is in use.
func OpenDeis(ctx context.Context, o DeisOptions) (*Deis, error) {
	d := &Deis{o: o, log: o.Log}
	if o.Config.Idle() == "" {
		if err := d.prepare(); err != nil {
			return nil, err
		}
	}
	var err error
	if d.listener, err = listenTCP(ctx, o.Config.Listen, "REGCRED_LISTEN"); err != nil {
		return nil, err
	}
	d.web = newWebServer(d.handler(), o.Log)
	return d, nil
}

// prepare reads the files for the first time: what is wrong with them ends the start,
// where somebody looks.
func (d *Deis) prepare() (err error) {
	d.provider = deisProvider(d.o.Config.Location, d.o.Transport)
	if d.first, err = config.ReadDeisFiles(d.o.Credentials); err != nil {
		return err
	}
	if _, err := d.credential(d.first); err != nil {
		return err
	}
	return d.connect()
}

// connect says where the login is delivered: in every namespace that Deis made for an
// app, and in its own, from where its builder takes it to push.
func (d *Deis) connect() (err error) {
	to := d.o.Kubernetes
	if to == nil {
		if to, err = kubernetes.Connect("", ""); err != nil {
			return err
		}
	}
	c := d.o.Config
	if d.secrets, err = kubernetes.NewSecrets(to, c.Namespace); err != nil {
		return err
	}
	d.target, err = kubernetes.New(kubernetes.Options{
		Name: "deis", Config: to, SecretName: c.SecretName(), Dialect: keyring.Deis, Adopt: kubernetes.AdoptDeis,
		Namespaces: kubernetes.Namespaces{Selector: "heritage=deis", Also: []string{c.Namespace}},
		Annotate:   d.annotate, Log: d.log,
	})
	return err
}

// Addr returns the address that health and metrics are served on.
func (d *Deis) Addr() string { return d.listener.Addr().String() }

// Run serves until ctx ends, and returns nil then, or the error that ended it early.
func (d *Deis) Run(ctx context.Context) error {
	for _, note := range d.o.Config.Notes {
		d.log.Info(note)
	}
	group, parts := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := d.web.Serve(d.listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Go(func() error {
		<-parts.Done()
		return d.web.Close()
	})
	if why := d.o.Config.Idle(); why != "" {
		d.log.Info("there is nothing to refresh", "why", why, "listen", d.Addr())
	} else {
		group.Go(func() error { return d.follow(parts) })
	}
	return group.Wait()
}

// handler serves health and metrics.
func (d *Deis) handler() http.Handler {
	mux := http.NewServeMux()
	ok := func(w http.ResponseWriter) { _, _ = w.Write([]byte("ok\n")) }
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { ok(w) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := d.ready(time.Now()); err != nil {
			http.Error(w, regcred.MessageOf(err), http.StatusServiceUnavailable)
			return
		}
		ok(w)
	})
	mux.Handle("GET /metrics", metricsHandler(newMetrics(d), d.log))
	return mux
}

// ready says why there is no login that apps could pull with, nil where there is one,
// or none is needed.
func (d *Deis) ready(now time.Time) error {
	if d.o.Config.Idle() != "" {
		return nil
	}
	t := d.newest.Load()
	if t == nil {
		return regcred.Errorf(regcred.Unavailable, "what was delivered before is being read from Kubernetes")
	}
	return t.problem(now)
}

// Describe implements prometheus.Collector.
func (d *Deis) Describe(ch chan<- *prometheus.Desc) { new(core).Describe(ch) }

// Collect implements prometheus.Collector.
func (d *Deis) Collect(ch chan<- prometheus.Metric) {
	if t := d.newest.Load(); t != nil {
		t.Collect(ch)
	}
}

// filesInterval is how often the files are read again, and whether what is held was
// confirmed. The kubelet itself takes a minute or two to bring a change.
const filesInterval = 10 * time.Second

// follow delivers the login of what the files hold, until ctx ends. What they are
// changed to takes over once it has given a login.
func (d *Deis) follow(ctx context.Context) error {
	before, err := d.delivered(ctx)
	if err != nil {
		return ended(ctx, err)
	}
	next, err := d.begin(ctx, d.first, before)
	if err != nil {
		return err
	}
	d.newest.Store(next)
	var serving *tenure
	changes := time.NewTicker(filesInterval)
	defer changes.Stop()
	watch := fileWatch{dir: d.o.Credentials, newest: d.first, log: d.log}
	confirmed := confirmation{Deis: d}
	for {
		select {
		case <-ctx.Done():
			next.end()
			serving.end()
			return nil
		case <-next.ready():
			serving.end()
			serving, next = next, nil
			d.newest.Store(serving)
			serving.deliver()
			d.log.Info("delivering", "registry", serving.registry(), "secret", d.o.Config.SecretName())
		case <-changes.C:
			if files, changed := watch.look(); changed {
				next = d.change(ctx, serving, next, files)
			}
			confirmed.look(ctx, serving)
		}
	}
}

// change returns the tenure that is to take over once it has a login, nil for none,
// now that the files have changed. next is the one that was to do so.
func (d *Deis) change(ctx context.Context, serving, next *tenure, files config.DeisFiles) *tenure {
	if serving != nil && files.Equal(serving.files) {
		d.log.Info("registry-secret is as it was before")
		next.end()
		return nil
	}
	changed, err := d.begin(ctx, files, previous{revision: d.newest.Load().books.Now().Revision()})
	if err != nil {
		d.log.Error("registry-secret was changed to what cannot work: what it held before stays in use", "err", err)
		return next
	}
	d.log.Info("registry-secret was changed: what it held before stays in use until there is a login")
	next.end()
	if serving == nil {
		d.newest.Store(changed)
	}
	return changed
}

// fileWatch notices changes of the mounted files.
type fileWatch struct {
	dir     string
	newest  config.DeisFiles
	problem string // why they could not be read the last time
	log     *slog.Logger
}

// look reads the files, and reports whether they differ from before.
func (w *fileWatch) look() (files config.DeisFiles, changed bool) {
	files, err := config.ReadDeisFiles(w.dir)
	if err != nil {
		if w.problem != err.Error() {
			w.problem = err.Error()
			w.log.Error("registry-secret cannot be read any more: what it held before stays in use", "err", err)
		}
		return files, false
	}
	w.problem = ""
	changed = !files.Equal(w.newest)
	w.newest = files
	return files, changed
}
