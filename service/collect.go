package service

import (
	"context"
	"time"

	"regcred.dev"
	"regcred.dev/registry"
)

// itself is who collects garbage every so often.
var itself = regcred.Caller{Name: "server", Role: regcred.RoleAdmin}

// Collect removes what the registry no longer needs, as registry.Storage.Collect does:
// it starts an operation, or joins one that goes on with the same options. A dry run is
// for auditors too. Errors: Denied; Unavailable.
func (s *Service) Collect(ctx context.Context, caller regcred.Caller, dryRun, force bool) (Operation, error) {
	var err error
	if dryRun {
		err = s.requireRead(ctx, caller, act{operation: "look for garbage", read: true})
	} else {
		err = s.requireAdmin(ctx, caller, act{operation: "collect garbage", detail: forced(force)})
	}
	if err != nil {
		return Operation{}, err
	}
	return s.collect(ctx, caller, dryRun, force)
}

// RunCollections does Collect every so often until ctx ends, as the server itself. Other
// than what is asked for it goes on where the audit log cannot be written: on a full disk
// this makes the room for it.
func (s *Service) RunCollections(ctx context.Context, every time.Duration) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		e := act{operation: "collect garbage"}.entry(itself, "")
		e.Allowed = true
		s.o.Audit.Count(ctx, e)
		if _, err := s.collect(ctx, itself, false, false); err != nil {
			return nil // the server ends
		}
	}
}

// collect is Collect of one who may. Errors: Unavailable.
func (s *Service) collect(ctx context.Context, caller regcred.Caller, dryRun, force bool) (Operation, error) {
	o := OperationOptions{Kind: CollectGarbage, DryRun: dryRun, Force: force}
	return s.start(ctx, caller, o, func(ctx context.Context, op *operation) {
		done, err := s.o.Images.Storage.Collect(ctx, registry.CollectOptions{DryRun: dryRun, Force: force, Meter: &op.meter})
		op.Collection, op.Err = &done, err
		if dryRun {
			return
		}
		s.o.Log.InfoContext(ctx, "garbage collected", "contents", done.Deleted.Count, "bytes", done.Deleted.Bytes,
			"tags", done.Dropped, "failed", err != nil, "caller", caller)
		for repo, why := range done.Skipped {
			s.o.Log.WarnContext(ctx, "nothing of a repository was collected", "repository", repo, "reason", why)
		}
	})
}

func forced(force bool) string {
	if force {
		return "by force"
	}
	return ""
}
