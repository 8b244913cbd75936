package kubernetes

import (
	"context"
	"sync"

	"regcred.dev"
)

// watchLeading stands for election until ctx ends, and watches while it leads.
func (t *Target) watchLeading(ctx context.Context, changed func()) error {
	api, err := newLeaseClient(&t.o)
	if err != nil {
		return err
	}
	identity := t.o.LeaderElection.Identity
	if identity == "" {
		if identity, err = newIdentity(); err != nil {
			return err
		}
	}
	e := newElection(api, identity, func(leader string) {
		t.setLeader(leader)
		if leader != identity { // else the watch tells
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
	keeper.Go(func() {
		e.keep(keeping)
		lose()
	})
	t.setLeading(true)
	err = t.watch(leading, changed)
	t.setLeading(false)
	lost := leading.Err() != nil && ctx.Err() == nil
	stop()
	keeper.Wait()
	if lost {
		return regcred.Errorf(regcred.Unavailable, "this replica no longer leads: it stands for election again")
	}
	e.release(context.WithoutCancel(ctx))
	return err
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
