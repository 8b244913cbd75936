package kubernetes

import (
	"cmp"
	"context"
	"math/rand/v2"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The times of the Lease are those of Kubernetes' own controllers: a leader that
// cannot renew it stops writing after renewDeadline, and another one takes over when
// leaseDuration is over. leaseRequest bounds one request, leaseRetry is between two, and
// up to a quarter more.
const (
	leaseDuration = 15 * time.Second
	renewDeadline = 10 * time.Second
	leaseRequest  = 5 * time.Second
	leaseRetry    = 2 * time.Second
)

// leases is what an election asks of the API server. Errors are the API server's own.
type leases interface {
	get(ctx context.Context) (*coordinationv1.Lease, error)
	create(ctx context.Context, l *coordinationv1.Lease) (*coordinationv1.Lease, error)
	// update replaces the Lease of that resource version.
	update(ctx context.Context, l *coordinationv1.Lease) (*coordinationv1.Lease, error)
}

// election is one replica's part in electing who delivers, by the rules of client-go's
// leaderelection: whoever's name stands in the Lease leads, and renews it. One that has
// not changed for the time that it says itself, as this replica sees it, is free. So
// clocks need not agree; they must run at about the same speed.
type election struct {
	api      leases
	identity string
	// elected is told who leads, where that is another than before.
	elected func(leader string)

	// seen is the Lease as it was seen last, and since when it is as it is; nil before.
	seen  *coordinationv1.Lease
	since time.Time
	// renewed is when the last renewal that came through was sent.
	renewed time.Time
	leader  string
}

func newElection(api leases, identity string, elected func(string)) *election {
	return &election{api: api, identity: identity, elected: elected}
}

// stand waits until this replica leads. It returns ctx's error, or why it never will
// where that does not go away by itself.
func (e *election) stand(ctx context.Context) error {
	for {
		leads, err := e.try(ctx)
		switch {
		case leads:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && (!passing(err) || apierrors.IsNotFound(err)): // there is no such namespace
			return err
		}
		leasePause(ctx)
	}
}

// keep renews the Lease until ctx ends, or it is lost. It returns why it could not be
// renewed, nil where it is another's.
func (e *election) keep(ctx context.Context) error {
	var failed error
	for {
		left, cancel := context.WithDeadline(ctx, e.renewed.Add(renewDeadline))
		leasePause(left)
		leads, err := e.try(left)
		over := left.Err() != nil
		cancel()
		switch {
		case leads:
			failed = nil
		case err == nil:
			return nil
		case over:
			return cmp.Or(failed, err) // the last one is just that time is over
		default:
			failed = err
		}
	}
}

// release gives the Lease back, so that nobody has to wait until it ends.
func (e *election) release(ctx context.Context) {
	if e.seen == nil || holder(e.seen) != e.identity {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, leaseRequest)
	defer cancel()
	free := e.seen.DeepCopy()
	free.Spec.HolderIdentity, free.Spec.LeaseDurationSeconds = new(""), new(int32(1))
	free.Spec.RenewTime = new(metav1.NowMicro())
	_, _ = e.api.update(ctx, free) // else it ends by itself
}

// try takes the Lease, or renews it. leads is false, without an error, where it is
// another's.
func (e *election) try(ctx context.Context) (leads bool, _ error) {
	ctx, cancel := context.WithTimeout(ctx, leaseRequest)
	defer cancel()
	sent := time.Now()
	if e.seen != nil && holder(e.seen) == e.identity { // mostly it is as we left it
		err := e.write(ctx, sent)
		if err == nil {
			return true, nil
		}
		if !outdated(err) && !apierrors.IsNotFound(err) {
			return false, explain("the Lease cannot be renewed", err)
		}
	}
	found, err := e.api.get(ctx)
	switch {
	case apierrors.IsNotFound(err):
		e.see(nil)
	case err != nil:
		return false, explain("the Lease cannot be read", err)
	default:
		e.see(found)
		if holder(found) != e.identity && !e.free(found) {
			return false, nil
		}
	}
	if err := e.write(ctx, sent); err != nil {
		return false, explain("the Lease cannot be taken", err)
	}
	return true, nil
}

// see remembers the Lease as it is now.
func (e *election) see(l *coordinationv1.Lease) {
	if l == nil || e.seen == nil || l.ResourceVersion != e.seen.ResourceVersion {
		e.seen, e.since = l, time.Now()
	}
	if leader := holder(l); leader != e.leader && leader != "" {
		e.leader = leader
		e.elected(leader)
	}
}

// free reports whether a Lease that was seen is nobody's any more.
func (e *election) free(l *coordinationv1.Lease) bool {
	lasts := leaseDuration
	if l.Spec.LeaseDurationSeconds != nil {
		lasts = time.Duration(*l.Spec.LeaseDurationSeconds) * time.Second
	}
	return holder(l) == "" || time.Since(e.since) > lasts
}

// write puts this replica's name, and the time, into the Lease that was seen, or makes
// one where there is none.
func (e *election) write(ctx context.Context, sent time.Time) error {
	l, put := &coordinationv1.Lease{}, e.api.create
	if e.seen != nil {
		l, put = e.seen.DeepCopy(), e.api.update
	}
	now := metav1.NewMicroTime(sent)
	if holder(l) != e.identity {
		changes := int32(0)
		if e.seen != nil && l.Spec.LeaseTransitions != nil {
			changes = *l.Spec.LeaseTransitions + 1
		}
		l.Spec.AcquireTime, l.Spec.LeaseTransitions = &now, &changes
	}
	l.Spec.HolderIdentity, l.Spec.LeaseDurationSeconds = &e.identity, new(int32(leaseDuration/time.Second))
	l.Spec.RenewTime = &now
	made, err := put(ctx, l)
	if err != nil {
		return err
	}
	e.renewed = sent
	e.see(made)
	return nil
}

// holder is whose the Lease is, "" where it is nobody's, or there is none.
func holder(l *coordinationv1.Lease) string {
	if l == nil || l.Spec.HolderIdentity == nil {
		return ""
	}
	return *l.Spec.HolderIdentity
}

func leasePause(ctx context.Context) {
	select {
	case <-time.After(leaseRetry + rand.N(leaseRetry/4)):
	case <-ctx.Done():
	}
}
