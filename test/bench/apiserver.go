package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"syscall"
	"time"

	"regcred.dev"
	"regcred.dev/api"
	"regcred.dev/catalog"
	"regcred.dev/cloudfoundry"
	"regcred.dev/cmd/regcred/server"
	"regcred.dev/config"
	"regcred.dev/internal/gcpace"
	"regcred.dev/keyring"
	"regcred.dev/refresh"
	"regcred.dev/service"
	"regcred.dev/store/memory"
)

// The programs of a server's process serve the users of a Cloud Foundry until stdin ends,
// and say their URL on stdout.

// serveData serves what is in a data directory: it is the program that `regcred serve`
// runs.
func serveData(dir, capi string, stdin io.Reader, stdout io.Writer) error {
	gcpace.Start()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	cfg := config.Default()
	cfg.DataDir, cfg.Listen, cfg.CloudFoundry = dir, "127.0.0.1:0", &config.CloudFoundry{API: capi}
	s, err := server.Open(ctx, cfg, "bench", slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, stdin) // its end is all that it has to say
		cancel()
	}()
	if _, err := fmt.Fprintln(stdout, s.URL()); err != nil {
		return err
	}
	return s.Run(ctx)
}

// processorTimePath is where serveMemory says how much processor time its process has used.
const processorTimePath = "/bench/processor-time"

// serveMemory serves n credentials that are in memory alone, of which a store knows
// nothing.
func serveMemory(n int, capi string, stdin io.Reader, stdout io.Writer) error {
	gcpace.Start()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	foundation, err := cloudfoundry.New(cloudfoundry.Options{API: capi})
	if err != nil {
		return err
	}
	store := memory.New()
	books, list := keyring.New(store.ID()), new(catalog.Catalog)
	books.Also = list.Apply
	go func() { _ = books.Follow(ctx, changes{n}) }()
	if _, err := books.WaitCurrent(ctx); err != nil {
		return err
	}
	svc := service.New(service.Options{
		Store: store, Books: books, Catalog: list, Refresher: refresh.New(refresh.Options{Store: store}),
	})
	go func() { _ = svc.RunAudit(ctx, 0) }()
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	web := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: api.New(api.Options{
		Service: svc, Authenticate: foundation.Authenticate, Ready: func() error { return nil },
		PublicURL: &url.URL{Scheme: "https", Host: "regcred.example.com"},
		Mounts:    map[string]http.Handler{"GET " + processorTimePath: http.HandlerFunc(sayProcessorTime)},
	})}
	go func() {
		_, _ = io.Copy(io.Discard, stdin)
		_ = web.Close()
	}()
	if _, err := fmt.Fprintf(stdout, "http://%s\n", l.Addr()); err != nil {
		return err
	}
	if err := web.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// sayProcessorTime answers with the processor time of this process, in ns.
func sayProcessorTime(w http.ResponseWriter, _ *http.Request) {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		http.Error(w, os.NewSyscallError("getrusage", err).Error(), http.StatusInternalServerError)
		return
	}
	fmt.Fprint(w, used.Utime.Nano()+used.Stime.Nano())
}

// changes is a watch of n credentials, in batches of 1,000.
type changes struct{ n int }

// Watch implements keyring.Watcher.
func (c changes) Watch(ctx context.Context, _ uint64) iter.Seq2[regcred.Batch, error] {
	return func(yield func(regcred.Batch, error) bool) {
		created := time.Now()
		var batch regcred.Batch
		for i := range c.n {
			change, err := newChange(i, uint64(i+1))
			if err != nil {
				yield(batch, err)
				return
			}
			change.Credential.Spelling, change.Credential.Origin = change.Credential.Location.String(), regcred.OriginAPI
			change.Credential.CreatedAt = created.Add(time.Duration(i) * time.Millisecond)
			change.Credential.UpdatedAt = change.Credential.CreatedAt
			batch.Changes, batch.Revision = append(batch.Changes, change), change.Revision
			batch.Current = i == c.n-1
			if len(batch.Changes) == 1000 || batch.Current {
				if !yield(batch, nil) {
					return
				}
				batch.Changes = nil
			}
		}
		<-ctx.Done()
		yield(regcred.Batch{}, ctx.Err())
	}
}
