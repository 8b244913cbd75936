package main

import (
	"context"
	"fmt"
	"time"

	"regcred.dev/test/figures"
)

// idleTime is how long a regcred that has nothing to do is watched.
const idleTime = time.Minute

// benchMany measures what a large cluster takes: a fill, a refresh, and rest.
func benchMany(ctx context.Context, r *figures.Report, p *plant, s size) error {
	server, t, err := p.fill(ctx)
	if err != nil {
		return fmt.Errorf("%d namespaces: %w", s.many, err)
	}
	defer server.kill()
	r.Figure(fmt.Sprintf("kubernetes-%d-fill", s.many), t.fill.Seconds(), "s")
	took, err := p.refresh(ctx, server)
	if err != nil {
		return fmt.Errorf("%d namespaces: %w", s.many, err)
	}
	r.Figure(fmt.Sprintf("kubernetes-%d-refresh", s.many), took.Seconds(), "s")
	if err := server.reportMemory(r, manyLimit, s.many); err != nil {
		return err
	}
	return benchIdle(ctx, r, server, s)
}

// benchIdle measures how much of a processor a regcred takes that has nothing to do.
func benchIdle(ctx context.Context, r *figures.Report, server *server, s size) error {
	before, err := server.processorTime()
	if err != nil {
		return err
	}
	began := time.Now()
	select {
	case <-time.After(idleTime):
	case <-ctx.Done():
		return ctx.Err()
	}
	after, err := server.processorTime()
	if err != nil {
		return err
	}
	r.AtMost(idleLimit, fmt.Sprintf("kubernetes-%d-idle", s.many), 100*float64(after-before)/float64(time.Since(began)), "% of a core")
	return nil
}
