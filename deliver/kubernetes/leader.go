package kubernetes

import (
	"context"
	"sync"

	"regcred.dev"
)

// watchLeading stands for election until ctx ends, and watches while it leads.
func (t *Target) watchLeading(ctx context.Context, changed func()) error {
	c, err := t.stands()
	if err != nil {
		return err
	}
	e := newElection(c.leases, c.identity, func(leader string) {
		t.setLeader(leader)
		if leader != c.identity { // else the watch tells
			changed()
		}
	})
	defer t.setLeader("")
	if err := e.stand(ctx); err != nil {
		return err
	}
	// The Lease is kept until nothing is written any more, and only then given back.
	keeping, stop := context.WithCancel(context.WithoutCancel(ctx))
	leading, lose := context.WithCancel(ctx)
	defer lose()
	var keeper sync.WaitGroup
	var failed error
	keeper.Go(func() {
		failed = e.keep(keeping)
		lose()
	})
	t.setLeading(true)
	err = t.watch(leading, changed)
	t.setLeading(false)
	lost := leading.Err() != nil && ctx.Err() == nil
	stop()
	keeper.Wait()
	switch {
	case lost && failed != nil:
		return regcred.Errorf(regcred.Unavailable, "this replica no longer leads, and stands for election again: %w", failed)
	case lost:
		return regcred.Errorf(regcred.Unavailable, "this replica no longer leads: it stands for election again")
	}
	e.release(context.WithoutCancel(ctx))
	return err
}

// candidate is a replica that stands for election.
type candidate struct {
	identity string
	leases   *leaseClient
}

// stands returns this replica as the others know it. It stays the same: a Lease that it
// lost, because the API server was away, may be taken up again at once.
func (t *Target) stands() (*candidate, error) {
	t.mu.Lock()
	c := t.candidate
	t.mu.Unlock()
	if c != nil {
		return c, nil
	}
	c = &candidate{identity: t.o.LeaderElection.Identity}
	var err error
	if c.leases, err = newLeaseClient(&t.o); err != nil {
		return nil, err
	}
	if c.identity == "" {
		if c.identity, err = newIdentity(); err != nil {
			return nil, err
		}
	}
	t.mu.Lock()
	t.candidate = c
	t.mu.Unlock()
	return c, nil
}

func (t *Target) setLeading(leading bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.leading = leading
}

func (t *Target) setLeader(identity string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.leader = identity
}
