package main

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"regcred.dev/test/figures"
)

// The names of the Secrets.
const (
	regcredSecret = "regcred"
	floorSecret   = "floor"
)

// benchFill measures how long a regcred that starts with nothing takes until every
// namespace has its login, from the first Secret on: what the process takes to start is
// a figure of its own. It returns the last one that it started.
func benchFill(ctx context.Context, r *figures.Report, p *plant, s size) (*server, error) {
	// A first round warms the API server up, and shows what the floor is to write.
	last, _, err := p.fill(ctx)
	if err != nil {
		return nil, err
	}
	if p.template, err = p.readTemplate(ctx); err != nil {
		return nil, err
	}
	var starts, fills, floors []time.Duration
	for range s.rounds {
		if err := last.stop(); err != nil {
			return nil, err
		}
		if err := p.clear(ctx, regcredSecret); err != nil {
			return nil, err
		}
		floor, err := p.floorFill(ctx)
		if err != nil {
			return nil, err
		}
		floors = append(floors, floor)
		var t fillTimes
		if last, t, err = p.fill(ctx); err != nil {
			return nil, err
		}
		starts, fills = append(starts, t.start), append(fills, t.fill)
	}
	r.Figure("kubernetes-start", median(starts).Seconds(), "s")
	r.Figure("kubernetes-fill-floor", median(floors).Seconds(), "s")
	r.Figure("kubernetes-fill", median(fills).Seconds(), "s")
	r.NoisyAtMost(fillLimit, "kubernetes-fill-by-floor", ratio(fills, floors), "ratio")
	return last, nil
}

// fillTimes are how long a fill took.
type fillTimes struct {
	start time.Duration // from the start of the process until there is a first Secret
	fill  time.Duration // from then until there is a login in every one
}

// fill starts a regcred and waits until every namespace has its login.
func (p *plant) fill(ctx context.Context) (*server, fillTimes, error) {
	w, err := p.watch(ctx, regcredSecret)
	if err != nil {
		return nil, fillTimes{}, err
	}
	defer w.stop()
	wish := w.expect(p.namespaces, filled)
	began := time.Now()
	s, err := p.start(ctx)
	if err != nil {
		return nil, fillTimes{}, err
	}
	ended, err := w.wait(ctx, wish)
	if err != nil {
		return nil, fillTimes{}, fmt.Errorf("%w\n%s", err, s.output())
	}
	return s, fillTimes{wish.first.Sub(began), ended.Sub(wish.first)}, nil
}

// floorFill does the same by bare creates.
func (p *plant) floorFill(ctx context.Context) (time.Duration, error) {
	if err := p.clear(ctx, floorSecret); err != nil {
		return 0, err
	}
	w, err := p.watch(ctx, floorSecret)
	if err != nil {
		return 0, err
	}
	defer w.stop()
	wish := w.expect(p.namespaces, filled)
	began := time.Now()
	if err := byWriters(p.namespaces, func(ns string) error { return p.createFloor(ctx, ns) }); err != nil {
		return 0, err
	}
	ended, err := w.wait(ctx, wish)
	return ended.Sub(began), err
}

// readTemplate returns what regcred has delivered to a namespace, as it can be
// created elsewhere under the floor's name.
func (p *plant) readTemplate(ctx context.Context) (*corev1.Secret, error) {
	made, err := p.core.CoreV1().Secrets(p.namespaces[0]).Get(ctx, regcredSecret, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: floorSecret, Labels: made.Labels, Annotations: made.Annotations},
		Type:       made.Type, Data: made.Data,
	}, nil
}

func (p *plant) createFloor(ctx context.Context, namespace string) error {
	_, err := p.core.CoreV1().Secrets(namespace).Create(ctx, p.template, metav1.CreateOptions{})
	return err
}
