package service_test

import (
	"context"
	"iter"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/registry"
	"regcred.dev/service"
)

// outcome waits for the end of an operation.
func (u upkeep) outcome(caller regcred.Caller, op service.Operation) service.Operation {
	u.t.Helper()
	op, err := u.FindOperation(u.t.Context(), caller, op.ID, time.Minute)
	if err != nil || op.EndedAt.IsZero() {
		u.t.Fatalf("%+v, %v", op, err)
	}
	return op
}

// heldBlobs list nothing until they are released.
type heldBlobs struct {
	registry.Blobs
	released chan struct{}
}

// List implements registry.Blobs.
func (b heldBlobs) List(ctx context.Context, prefix, after string) iter.Seq2[registry.Info, error] {
	return func(yield func(registry.Info, error) bool) {
		select {
		case <-b.released:
			b.Blobs.List(ctx, prefix, after)(yield)
		case <-ctx.Done():
			yield(registry.Info{}, ctx.Err())
		}
	}
}

// hold returns a Service whose registry lists nothing until the channel is closed.
func (u upkeep) hold() (upkeep, chan struct{}) {
	held := heldBlobs{u.blobs, make(chan struct{})}
	u.Service = service.New(service.Options{
		Store: u.store, Images: service.Images{Storage: registry.NewStorage(held, registry.StorageOptions{})},
	})
	return u, held.released
}

// TestOperations: an operation goes on when its first caller goes, who asks for the same
// joins it, and all see what becomes of it.
func TestOperations(t *testing.T) {
	u := newUpkeep(t)
	u.push("acme/app", "1", "a")
	u, released := u.hold()
	impatient, leave := context.WithCancel(t.Context())
	first, err := u.CheckRegistry(impatient, regcred.Local, true)
	if err != nil {
		t.Fatal(err)
	}
	leave()
	same, err := u.CheckRegistry(t.Context(), auditor, true)
	if err != nil || same.ID != first.ID || same.StartedBy != "local" {
		t.Errorf("the same is not joined: %+v, %v", same, err)
	}
	other, err := u.CheckRegistry(t.Context(), auditor, false)
	if err != nil || other.ID == first.ID {
		t.Errorf("another one is joined: %+v, %v", other, err)
	}
	now, err := u.FindOperation(t.Context(), auditor, first.ID, 0)
	if err != nil || !now.EndedAt.IsZero() || now.Report != nil {
		t.Errorf("while it goes on: %+v, %v", now, err)
	}
	close(released)
	for _, id := range []service.Operation{first, other} {
		op := u.outcome(auditor, id)
		if op.Err != nil || op.Report == nil || op.Report.Lost != 0 || op.Progress.Number != op.Progress.Steps {
			t.Errorf("%+v", op)
		}
	}
	again, err := u.CheckRegistry(t.Context(), auditor, true)
	if err != nil || again.ID == first.ID {
		t.Errorf("what has ended is joined: %+v, %v", again, err)
	}
	u.outcome(auditor, again)
	list, err := u.Operations(t.Context(), auditor)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, op := range list {
		ids = append(ids, op.ID)
	}
	if diff := cmp.Diff([]string{again.ID, other.ID, first.ID}, ids); diff != "" {
		t.Error(diff)
	}
}

// TestOperationsAreForgotten, but for the last ten that have ended.
func TestOperationsAreForgotten(t *testing.T) {
	u := newUpkeep(t)
	var all []service.Operation
	for range 12 {
		op, err := u.Collect(t.Context(), regcred.Local, true, false)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, u.outcome(regcred.Local, op))
	}
	for i, op := range all[:2] {
		if _, err := u.FindOperation(t.Context(), regcred.Local, op.ID, 0); codeOf(err) != "not-found" {
			t.Errorf("%d: %v", i, err)
		}
	}
	for i, op := range all[2:] {
		if _, err := u.FindOperation(t.Context(), regcred.Local, op.ID, 0); err != nil {
			t.Errorf("%d: %v", i+2, err)
		}
	}
	if all[0].Collection == nil || !all[0].DryRun || all[0].Err != nil {
		t.Errorf("%+v", all[0])
	}
}

// TestOperationsEnd with the server: those that wait are told, and no other is begun.
func TestOperationsEnd(t *testing.T) {
	u, _ := newUpkeep(t).hold()
	op, err := u.Collect(t.Context(), regcred.Local, false, false)
	if err != nil {
		t.Fatal(err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if err := u.RunOperations(ended); err != nil {
		t.Error(err)
	}
	op = u.outcome(regcred.Local, op)
	if codeOf(op.Err) != "unavailable" || op.Collection == nil {
		t.Errorf("%+v", op)
	}
	if _, err := u.Collect(t.Context(), regcred.Local, false, false); codeOf(err) != "unavailable" {
		t.Errorf("begun by a server that ends: %v", err)
	}
}

// TestOperationsInAuditLog: who asked for an operation is in the log once, and others for
// looking at it.
func TestOperationsInAuditLog(t *testing.T) {
	u := newUpkeep(t)
	op, err := u.CheckRegistry(t.Context(), regcred.Local, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []regcred.Caller{regcred.Local, regcred.Local, auditor} {
		u.outcome(c, op)
	}
	if _, err := u.FindOperation(t.Context(), regcred.Caller{Name: "local", Role: regcred.RoleReader}, op.ID, 0); codeOf(err) != "denied" {
		t.Errorf("by a reader of the same name: %v", err)
	}
	log, _, err := u.AuditLog(t.Context(), regcred.Local, regcred.AuditQuery{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, e := range log {
		got[e.Caller+", "+string(e.Role)+": "+e.Operation] += max(e.Count, 1)
	}
	want := map[string]int{
		"local, admin: check registry": 1, "auditor, auditor: read registry operation": 1, "local, reader: read registry operation": 1,
		"local, admin: read audit log": 1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
