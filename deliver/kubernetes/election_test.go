package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var leaseResource = schema.GroupResource{Group: coordinationv1.GroupName, Resource: "leases"}

// leaseServer is an API server that has one Lease.
type leaseServer struct {
	mu      sync.Mutex
	lease   *coordinationv1.Lease
	version int
}

// leaseWay is a replica's way to it, on which fail may lose a request, or its answer.
type leaseWay struct {
	server *leaseServer
	fault  func() fault // what happens to the next request
}

// fault is what happens to a request: it is slow, it is lost, or its answer is.
type fault struct {
	latency         time.Duration
	request, answer error
}

func (w *leaseWay) do(ctx context.Context, change func(s *leaseServer) error) (*coordinationv1.Lease, error) {
	f := w.fault()
	select {
	case <-time.After(f.latency):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if f.request != nil {
		return nil, f.request
	}
	w.server.mu.Lock()
	defer w.server.mu.Unlock()
	if err := change(w.server); err != nil || f.answer != nil {
		return nil, errors.Join(err, f.answer)
	}
	return w.server.lease.DeepCopy(), nil
}

func (s *leaseServer) put(l *coordinationv1.Lease) {
	s.version++
	s.lease = l.DeepCopy()
	s.lease.ResourceVersion = strconv.Itoa(s.version)
}

func (w *leaseWay) get(ctx context.Context) (*coordinationv1.Lease, error) {
	return w.do(ctx, func(s *leaseServer) error {
		if s.lease == nil {
			return apierrors.NewNotFound(leaseResource, "regcred")
		}
		return nil
	})
}

func (w *leaseWay) create(ctx context.Context, l *coordinationv1.Lease) (*coordinationv1.Lease, error) {
	return w.do(ctx, func(s *leaseServer) error {
		if s.lease != nil {
			return apierrors.NewAlreadyExists(leaseResource, "regcred")
		}
		s.put(l)
		return nil
	})
}

func (w *leaseWay) update(ctx context.Context, l *coordinationv1.Lease) (*coordinationv1.Lease, error) {
	return w.do(ctx, func(s *leaseServer) error {
		if s.lease == nil {
			return apierrors.NewNotFound(leaseResource, "regcred")
		}
		if l.ResourceVersion != s.lease.ResourceVersion {
			return apierrors.NewConflict(leaseResource, "regcred", errors.New("changed"))
		}
		s.put(l)
		return nil
	})
}

// fine loses nothing.
func fine() fault { return fault{latency: 10 * time.Millisecond} }

// replicas stand for election again and again until the test's context ends, and note
// who leads.
type replicas struct {
	*testing.T

	runs    sync.WaitGroup
	mu      sync.Mutex
	leading []string
	terms   int
	why     error // of the last that was lost
}

// start starts one.
func (r *replicas) start(ctx context.Context, identity string, way *leaseWay) {
	r.runs.Go(func() { r.run(ctx, identity, way) })
}

func (r *replicas) run(ctx context.Context, identity string, way *leaseWay) {
	for ctx.Err() == nil {
		e := newElection(way, identity, func(string) {})
		if e.stand(ctx) != nil {
			return
		}
		r.lead(identity, true)
		why := e.keep(ctx)
		r.lead(identity, false)
		r.lost(why)
		if ctx.Err() != nil {
			e.release(context.WithoutCancel(ctx))
		}
	}
}

func (r *replicas) lead(identity string, leads bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !leads {
		r.leading = slices.DeleteFunc(r.leading, func(s string) bool { return s == identity })
		return
	}
	r.terms++
	if r.leading = append(r.leading, identity); len(r.leading) > 1 {
		r.Errorf("%v lead at the same time", r.leading)
	}
}

// lost notes why one no longer leads.
func (r *replicas) lost(why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.why = why
}

// leader is who leads, "" where nobody does.
func (r *replicas) leader() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.leading, " ")
}

// TestElectionFailover: one that is cut off stops before another takes over, which takes
// no longer than the Lease lasts; one that ends gives it back at once.
func TestElectionFailover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, r := &leaseServer{}, &replicas{T: t}
		var cut atomic.Bool
		a := &leaseWay{server, func() fault {
			if cut.Load() {
				return fault{request: errors.New("cut off")}
			}
			return fine()
		}}
		firstCtx, end := context.WithCancel(t.Context())
		otherCtx, endOther := context.WithCancel(t.Context())
		r.start(firstCtx, "a", a)
		time.Sleep(time.Second)
		r.start(otherCtx, "b", &leaseWay{server, fine})
		time.Sleep(10 * time.Minute)
		if got := r.leader(); got != "a" || r.terms != 1 {
			t.Fatalf("after ten minutes %q leads, in term %d", got, r.terms)
		}
		cut.Store(true)
		time.Sleep(renewDeadline)
		synctest.Wait()
		if got := r.leader(); got != "" {
			t.Errorf("%q leads though it was cut off", got)
		}
		if r.why == nil || !strings.Contains(r.why.Error(), "the Lease cannot be renewed: cut off") {
			t.Errorf("it ended for %v", r.why)
		}
		// It looks once to see the last renewal, and once for its end.
		time.Sleep(leaseDuration - renewDeadline + 3*leaseRetry)
		if got := r.leader(); got != "b" {
			t.Errorf("then %q leads, want b", got)
		}
		cut.Store(false)
		time.Sleep(leaseRequest + 2*leaseRetry) // until it asks again
		endOther()
		time.Sleep(2 * leaseRetry)
		if got := r.leader(); got != "a" {
			t.Errorf("after b gave it back %q leads, want a", got)
		}
		// A Lease that somebody deletes is made again, by whoever leads.
		server.mu.Lock()
		server.lease = nil
		server.mu.Unlock()
		time.Sleep(time.Minute)
		if got := r.leader(); got != "a" || r.terms != 3 {
			t.Errorf("after the Lease was deleted %q leads, in term %d", got, r.terms)
		}
		end()
		r.runs.Wait()
	})
}

// TestElectionOneLeader: whatever is lost, there are never two leaders, and mostly one.
func TestElectionOneLeader(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, r := &leaseServer{}, &replicas{T: t}
				ctx, end := context.WithCancel(t.Context())
				for i := range uint64(3) {
					random := rand.New(rand.NewPCG(seed, i))
					way := &leaseWay{server: server}
					way.fault = func() fault {
						f := fault{latency: time.Duration(random.Int64N(int64(2 * time.Second)))}
						switch random.IntN(10) {
						case 0:
							f.request = apierrors.NewInternalError(errors.New("lost"))
						case 1:
							f.answer = apierrors.NewTimeoutError("the answer is lost", 0)
						case 2:
							f.latency = time.Minute
						}
						return f
					}
					r.start(ctx, string(rune('a'+i)), way)
				}
				led := 0
				for range 600 {
					time.Sleep(time.Second)
					if r.leader() != "" {
						led++
					}
				}
				if led < 200 { // about 450 of them, on average
					t.Errorf("somebody led for %d of 600 seconds", led)
				}
				end()
				r.runs.Wait()
			})
		})
	}
}

// TestElectionDenied: a right that lacks, or a namespace that is not there, is said.
func TestElectionDenied(t *testing.T) {
	for _, err := range []error{
		apierrors.NewForbidden(leaseResource, "regcred", errors.New("no right")),
		apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "away"),
	} {
		synctest.Test(t, func(t *testing.T) {
			way := &leaseWay{&leaseServer{}, func() fault { return fault{request: err} }}
			got := newElection(way, "a", func(string) {}).stand(t.Context())
			if !errors.Is(got, err) || !strings.Contains(got.Error(), "the Lease cannot be") {
				t.Errorf("it stands with %v, want %v", got, err)
			}
		})
	}
}
