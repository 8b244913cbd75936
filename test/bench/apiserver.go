package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
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
	"regcred.dev/internal/gcpace"
	"regcred.dev/keyring"
	"regcred.dev/refresh"
	"regcred.dev/service"
	"regcred.dev/store/memory"
)

// processorTimePath is where a server says how much processor time its process has used.
const processorTimePath = "/bench/processor-time"

// serveAPI is the program of a server's process: it serves n credentials to the users of
// a Cloud Foundry until stdin ends, and says its URL on stdout once it has read them.
//
// It has the parts, and the pace of garbage collection, of `regcred serve`. Its store
// alone is another, which is empty: all that is asked for is in memory, and to fill a
// database with a million credentials takes ten minutes.
func serveAPI(n int, capi string, stdin io.Reader, stdout io.Writer) error {
	stop := gcpace.Start()
	defer stop()
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
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: api.New(api.Options{
		Service: svc, Authenticate: foundation.Authenticate,
		PublicURL: &url.URL{Scheme: "https", Host: "regcred.example.com"},
		Mounts:    map[string]http.Handler{"GET " + processorTimePath: http.HandlerFunc(sayProcessorTime)},
	})}
	go func() {
		_, _ = io.Copy(io.Discard, stdin) // its end is all that it has to say
		_ = server.Close()
	}()
	if _, err := fmt.Fprintf(stdout, "http://%s\n", l.Addr()); err != nil {
		return err
	}
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
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
