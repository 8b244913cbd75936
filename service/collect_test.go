package service_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"regcred.dev"
	"regcred.dev/service"
)

// TestRunCollections: what the server collects every so often is listed and in the audit
// log like what others ask for, and is done while the log cannot be written.
func TestRunCollections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUpkeep(t)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- u.RunCollections(ctx, time.Hour) }()
		go func() { done <- u.RunAudit(ctx, 0) }()
		time.Sleep(90 * time.Minute)
		u.store.broken.Store(true)
		time.Sleep(time.Hour)
		list, err := u.Operations(t.Context(), regcred.Local)
		if err != nil || len(list) != 2 {
			t.Fatalf("%+v, %v", list, err)
		}
		for _, op := range list {
			op = u.outcome(regcred.Local, op)
			if op.StartedBy != "server" || op.Kind != service.CollectGarbage || op.DryRun || op.Force || op.Err != nil || op.Collection == nil {
				t.Errorf("%+v", op)
			}
		}
		u.store.broken.Store(false)
		log, _, err := u.AuditLog(t.Context(), regcred.Local, regcred.AuditQuery{Callers: []string{"server"}, Limit: 10})
		if err != nil || len(log) != 2 || log[0].Operation != "collect garbage" || log[0].Role != regcred.RoleAdmin || !log[1].Allowed {
			t.Errorf("%+v, %v", log, err)
		}
		stop()
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
}

// TestRunCollectionsEnds with the operations of a server that ends.
func TestRunCollectionsEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUpkeep(t)
		ended, end := context.WithCancel(t.Context())
		end()
		if err := u.RunOperations(ended); err != nil {
			t.Error(err)
		}
		if err := u.RunCollections(t.Context(), time.Hour); err != nil {
			t.Error(err)
		}
	})
}
