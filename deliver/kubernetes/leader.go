package kubernetes

import (
	"context"
	"crypto/rand"
	"os"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"regcred.dev"
)

// The times of the Lease are those of Kubernetes' own controllers: a leader that
// cannot renew it stops writing after renewDeadline, and another one takes over when
// leaseDuration is over.
const (
	leaseDuration = 15 * time.Second
	renewDeadline = 10 * time.Second
	leaseRetry    = 2 * time.Second
)

// watchLeading stands for election until ctx ends, and watches while it leads.
func (t *Target) watchLeading(ctx context.Context, changed func()) error {
	lock, err := t.lease()
	if err != nil {
		return err
	}
	// The Lease is given back only once nothing is written any more.
	standing, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	led := make(chan error, 1) // once it is over
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: lock, LeaseDuration: leaseDuration, RenewDeadline: renewDeadline, RetryPeriod: leaseRetry,
		ReleaseOnCancel: true, Name: t.o.Name,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(leading context.Context) { led <- t.lead(ctx, leading, changed) },
			OnStoppedLeading: func() {},
			OnNewLeader: func(identity string) {
				t.setLeader(identity)
				changed()
			},
		},
	})
	if err != nil {
		return regcred.Errorf(regcred.Invalid, "target %s: leader_election: %w", t.o.Name, err)
	}
	done := make(chan struct{})
	go func() {
		elector.Run(standing)
		close(done)
	}()
	select {
	case err = <-led:
	case <-ctx.Done():
		if t.isLeading() {
			err = <-led
		}
	}
	stop()
	<-done
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil {
		err = regcred.Errorf(regcred.Unavailable, "this replica no longer leads: it stands for election again")
	}
	return err
}

// lead delivers until ctx or leading ends.
func (t *Target) lead(ctx, leading context.Context, changed func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(leading, cancel)()
	t.setLeading(true)
	defer t.setLeading(false)
	err := t.watch(ctx, changed)
	if leading.Err() != nil {
		return nil // it lost the Lease
	}
	return err
}

// lease returns the Lease, reached apart from all else.
func (t *Target) lease() (resourcelock.Interface, error) {
	le := t.o.LeaderElection
	identity := le.Identity
	if identity == "" {
		host, err := os.Hostname()
		if err != nil {
			return nil, err
		}
		identity = host + "-" + rand.Text()[:8]
	}
	config := rest.CopyConfig(t.o.Config)
	config.Timeout = renewDeadline / 2
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, unconfigured(err)
	}
	return &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Namespace: le.Namespace, Name: le.Name},
		Client:     client.CoordinationV1(),
		LockConfig: resourcelock.ResourceLockConfig{Identity: identity},
	}, nil
}

func (t *Target) setLeading(leading bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.leading = leading
}

func (t *Target) isLeading() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.leading
}

func (t *Target) setLeader(identity string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.leader = identity
}
