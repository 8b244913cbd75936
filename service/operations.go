package service

import (
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"sync"
	"time"

	"regcred.dev"
	"regcred.dev/registry"
)

// OperationKind says what an operation does.
type OperationKind string

// The kinds of operations.
const (
	CollectGarbage OperationKind = "collect"
	CheckRegistry  OperationKind = "check"
)

// OperationOptions are what an operation was asked to do.
type OperationOptions struct {
	Kind          OperationKind
	DryRun, Force bool // of CollectGarbage
	Deep          bool // of CheckRegistry
}

// Operation is upkeep of the registry that takes long: it goes on by itself, whoever
// asked for it.
type Operation struct {
	OperationOptions
	ID        string
	StartedBy string // the caller's name; "server" where nobody asked for it
	StartedAt time.Time
	EndedAt   time.Time // zero while it goes on
	// Progress is how far it is, or how far it came.
	Progress registry.Progress
	// Err is why it failed.
	Err error
	// Collection is what a collection did, also before it failed; Report what a check
	// found. They are nil while it goes on.
	Collection *registry.Collection
	Report     *RegistryReport
}

// keptOperations is how many operations are remembered that have ended.
const keptOperations = 10

// operations are those that go on, and the last ones that have ended. The zero
// operations are ready for use.
type operations struct {
	mu    sync.Mutex
	list  []*operation // in the order of their starts
	ended bool         // there will be no more
	under sync.WaitGroup
}

type operation struct {
	Operation // but for Progress; the outcome is written before done is closed
	meter     registry.Meter
	cancel    context.CancelFunc
	done      chan struct{}
	askers    map[string]bool // names of callers who asked for it
}

func (op *operation) over() bool {
	select {
	case <-op.done:
		return true
	default:
		return false
	}
}

// look returns how it stands.
func (op *operation) look() Operation {
	var now Operation
	if op.over() {
		now = op.Operation
	} else {
		now = Operation{OperationOptions: op.OperationOptions, ID: op.ID, StartedBy: op.StartedBy, StartedAt: op.StartedAt}
	}
	now.Progress = op.meter.Now()
	return now
}

// start runs an operation, unless one with the same options goes on: then that is
// joined. Errors: Unavailable while the server ends.
func (all *operations) start(ctx context.Context, caller string, o OperationOptions, do func(context.Context, *operation)) (*operation, error) {
	all.mu.Lock()
	defer all.mu.Unlock()
	if all.ended {
		return nil, regcred.Errorf(regcred.Unavailable, "the server is being shut down: try again")
	}
	for _, op := range all.list {
		if op.OperationOptions == o && !op.over() {
			op.askers[caller] = true
			return op, nil
		}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	op := &operation{
		Operation: Operation{OperationOptions: o, ID: strings.ToLower(rand.Text()[:12]), StartedBy: caller, StartedAt: time.Now()},
		cancel:    cancel, done: make(chan struct{}), askers: map[string]bool{caller: true},
	}
	all.list = append(all.list, op)
	all.under.Go(func() {
		defer cancel()
		do(ctx, op)
		op.EndedAt = time.Now()
		all.finish(op)
	})
	return op, nil
}

// finish ends an operation, and forgets the oldest ones of those that have ended.
func (all *operations) finish(op *operation) {
	all.mu.Lock()
	defer all.mu.Unlock()
	close(op.done)
	over := 0
	for _, op := range slices.Backward(all.list) {
		if op.over() {
			over++
		}
	}
	all.list = slices.DeleteFunc(all.list, func(op *operation) bool {
		if !op.over() || over <= keptOperations {
			return false
		}
		over--
		return true
	})
}

// find returns an operation, and whether a caller asked for it.
func (all *operations) find(id, caller string) (op *operation, asked bool) {
	all.mu.Lock()
	defer all.mu.Unlock()
	i := slices.IndexFunc(all.list, func(op *operation) bool { return op.ID == id })
	if i < 0 {
		return nil, false
	}
	return all.list[i], all.list[i].askers[caller]
}

// end ends those that go on.
func (all *operations) end() {
	all.mu.Lock()
	all.ended = true
	for _, op := range all.list {
		op.cancel()
	}
	all.mu.Unlock()
	all.under.Wait()
}

// RunOperations ends the operations that go on once ctx has ended, and then returns.
func (s *Service) RunOperations(ctx context.Context) error {
	<-ctx.Done()
	s.operations.end()
	return nil
}

// CheckRegistry compares the registry's metadata with what is stored; deep reads all
// content and compares its digests, which takes as long as that takes. It starts an
// operation, or joins one that goes on with the same options. Errors: Denied;
// Unavailable.
func (s *Service) CheckRegistry(ctx context.Context, caller regcred.Caller, deep bool) (Operation, error) {
	detail := ""
	if deep {
		detail = "all content is read"
	}
	if err := s.requireRead(ctx, caller, act{operation: "check registry", detail: detail, read: true}); err != nil {
		return Operation{}, err
	}
	return s.start(ctx, caller, OperationOptions{Kind: CheckRegistry, Deep: deep}, func(ctx context.Context, op *operation) {
		report, err := s.checkRegistry(ctx, registry.CheckOptions{Deep: deep, Meter: &op.meter})
		op.Report, op.Err = &report, err
	})
}

func (s *Service) start(ctx context.Context, caller regcred.Caller, o OperationOptions, do func(context.Context, *operation)) (Operation, error) {
	op, err := s.operations.start(ctx, caller.Name, o, func(ctx context.Context, op *operation) {
		do(ctx, op)
		switch {
		case op.Err == nil:
		case ctx.Err() != nil:
			op.Err = regcred.Errorf(regcred.Unavailable, "the server was shut down meanwhile: start it again")
		default:
			s.o.Log.WarnContext(ctx, "upkeep of the registry failed", "operation", o.Kind, "id", op.ID, "error", op.Err)
		}
	})
	if err != nil {
		return Operation{}, err
	}
	return op.look(), nil
}

// FindOperation returns an operation, once it has ended or after a time: at once where
// wait is 0. Whoever asked for it is in the audit log for that, and not for each look at
// it. Errors: Denied; NotFound where it was forgotten.
func (s *Service) FindOperation(ctx context.Context, caller regcred.Caller, id string, wait time.Duration) (Operation, error) {
	op, asked := s.operations.find(id, caller.Name)
	if !asked || caller.Role != regcred.RoleAuditor && !caller.IsAdmin() {
		if err := s.requireRead(ctx, caller, act{operation: "read registry operation", detail: id, read: true}); err != nil {
			return Operation{}, err
		}
	}
	if op == nil {
		return Operation{}, regcred.Errorf(regcred.NotFound,
			"there is no operation %q: it ended long ago, or the server was started anew since; start it again", id)
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	select {
	case <-op.done:
	case <-ctx.Done():
	}
	return op.look(), nil
}

// Operations returns the operations that go on and the last ones that have ended, the
// last one to be started first. Errors: Denied.
func (s *Service) Operations(ctx context.Context, caller regcred.Caller) ([]Operation, error) {
	if err := s.requireRead(ctx, caller, act{operation: "list registry operations", read: true}); err != nil {
		return nil, err
	}
	s.operations.mu.Lock()
	defer s.operations.mu.Unlock()
	var list []Operation
	for _, op := range slices.Backward(s.operations.list) {
		list = append(list, op.look())
	}
	return list, nil
}
