package main

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"regcred.dev/test/figures"
)

// benchSingle measures how long it takes from the order to create a namespace, or to
// delete a Secret, until the Secret is there. The floor is a client that watches and
// creates, and knows nothing else.
func benchSingle(ctx context.Context, r *figures.Report, p *plant, s size) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := p.runFloor(ctx); err != nil {
		return err
	}
	var ours, floor singles
	var err error
	if ours.watcher, err = p.watch(ctx, regcredSecret); err != nil {
		return err
	}
	defer ours.watcher.stop()
	if floor.watcher, err = p.watch(ctx, floorSecret); err != nil {
		return err
	}
	defer floor.watcher.stop()
	for i := range s.samples {
		for _, of := range []struct {
			*singles
			owner, secret string
		}{{&floor, ofFloor, floorSecret}, {&ours, ofRegcred, regcredSecret}} {
			name := fmt.Sprintf("bench-new-%s-%05d", of.owner, i)
			took, err := of.watcher.timed(ctx, name, func() error { return p.createNamespace(ctx, name, of.owner) })
			if err != nil {
				return err
			}
			of.created = append(of.created, took)
			took, err = of.watcher.timed(ctx, name, func() error {
				return p.core.CoreV1().Secrets(name).Delete(ctx, of.secret, metav1.DeleteOptions{})
			})
			if err != nil {
				return err
			}
			of.repaired = append(of.repaired, took)
		}
	}
	reportSingle(r, "kubernetes-new-namespace", ours.created, floor.created)
	reportSingle(r, "kubernetes-deleted-secret", ours.repaired, floor.repaired)
	return nil
}

// singles are times of one who sees to namespaces.
type singles struct {
	watcher           *watcher
	created, repaired []time.Duration
}

func reportSingle(r *figures.Report, name string, times, floors []time.Duration) {
	const ms = float64(time.Millisecond)
	for _, q := range []int{50, 99} {
		r.Figure(fmt.Sprintf("%s-p%d-floor", name, q), float64(quantile(floors, q))/ms, "ms")
		r.Figure(fmt.Sprintf("%s-p%d", name, q), float64(quantile(times, q))/ms, "ms")
	}
	r.NoisyAtMost(singleLimit, name+"-p99-by-floor", quantile(times, 99).Seconds()/quantile(floors, 99).Seconds(), "ratio")
}

// timed returns how long it takes from the begin of do until a namespace has a new
// Secret.
func (w *watcher) timed(ctx context.Context, namespace string, do func() error) (time.Duration, error) {
	wish := w.expect([]string{namespace}, back)
	began := time.Now()
	if err := do(); err != nil {
		return 0, err
	}
	ended, err := w.wait(ctx, wish)
	return ended.Sub(began), err
}

// runFloor has the floor create its Secret in each new namespace of its own, and
// anew where it is deleted there, until ctx ends.
func (p *plant) runFloor(ctx context.Context) error {
	namespaces, err := p.core.CoreV1().Namespaces().Watch(ctx, metav1.ListOptions{LabelSelector: ownerLabel + "=" + ofFloor})
	if err != nil {
		return err
	}
	deleted, err := p.core.CoreV1().Secrets("").Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + floorSecret})
	if err != nil {
		namespaces.Stop()
		return err
	}
	go p.createOn(ctx, namespaces, watch.Added, metav1.Object.GetName)
	go p.createOn(ctx, deleted, watch.Deleted, metav1.Object.GetNamespace)
	return nil
}

// createOn creates the floor's Secret on each event of a type.
func (p *plant) createOn(ctx context.Context, source watch.Interface, on watch.EventType, namespace func(metav1.Object) string) {
	defer source.Stop()
	for e := range source.ResultChan() {
		if o, ok := e.Object.(metav1.Object); ok && e.Type == on {
			_ = p.createFloor(ctx, namespace(o)) // who waits for it says that it is missing
		}
	}
}
