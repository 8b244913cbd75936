package main

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"regcred.dev/test/figures"
)

// benchRefresh measures how long it takes from the order to mint a new login until
// every namespace has it, and what that costs.
func benchRefresh(ctx context.Context, r *figures.Report, p *plant, server *server, s size) error {
	var refreshes, floors []time.Duration
	calls, mints := 0, 0
	for round := range s.rounds {
		floor, err := p.floorRefresh(ctx, round)
		if err != nil {
			return err
		}
		callsBefore, err := p.calls(ctx)
		if err != nil {
			return err
		}
		mintsBefore := p.mints()
		took, err := p.refresh(ctx, server)
		if err != nil {
			return err
		}
		callsAfter, err := p.calls(ctx)
		if err != nil {
			return err
		}
		floors, refreshes = append(floors, floor), append(refreshes, took)
		calls, mints = calls+callsAfter-callsBefore, mints+p.mints()-mintsBefore
	}
	if err := p.verify(ctx); err != nil {
		return err
	}
	rounds := float64(s.rounds)
	r.Figure("kubernetes-refresh-floor", median(floors).Seconds(), "s")
	r.Figure("kubernetes-refresh", median(refreshes).Seconds(), "s")
	r.NoisyAtMost(refreshLimit, "kubernetes-refresh-by-floor", ratio(refreshes, floors), "ratio")
	r.AtMost(callsLimit, "kubernetes-refresh-calls", float64(calls)/rounds/float64(len(p.namespaces)), "calls/namespace")
	r.AtMost(mintsLimit, "kubernetes-refresh-mints", float64(mints)/rounds, "mints")
	return nil
}

// refresh has a new login minted and waits until every namespace has it.
func (p *plant) refresh(ctx context.Context, s *server) (time.Duration, error) {
	w, err := p.watch(ctx, regcredSecret)
	if err != nil {
		return 0, err
	}
	defer w.stop()
	if err := w.await(ctx, p.namespaces); err != nil {
		return 0, err
	}
	wish := w.expect(p.namespaces, renewed)
	began := time.Now()
	if err := s.mint(ctx); err != nil {
		return 0, err
	}
	ended, err := w.wait(ctx, wish)
	return ended.Sub(began), err
}

// floorRefresh does the same by bare PUTs of Secrets that were not read.
func (p *plant) floorRefresh(ctx context.Context, round int) (time.Duration, error) {
	w, err := p.watch(ctx, floorSecret)
	if err != nil {
		return 0, err
	}
	defer w.stop()
	if err := w.await(ctx, p.namespaces); err != nil {
		return 0, err
	}
	secret := p.template.DeepCopy()
	secret.Annotations[recordAnnotation] += fmt.Sprint(" ", round)
	wish := w.expect(p.namespaces, renewed)
	began := time.Now()
	err = byWriters(p.namespaces, func(ns string) error {
		_, err := p.core.CoreV1().Secrets(ns).Update(ctx, secret, metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		return 0, err
	}
	ended, err := w.wait(ctx, wish)
	return ended.Sub(began), err
}

// verify checks that all namespaces have the same login.
func (p *plant) verify(ctx context.Context) error {
	all, err := p.core.CoreV1().Secrets("").List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + regcredSecret})
	if err != nil {
		return err
	}
	if len(all.Items) != len(p.namespaces) {
		return fmt.Errorf("there are %d Secrets in %d namespaces", len(all.Items), len(p.namespaces))
	}
	want := string(all.Items[0].Data[corev1.DockerConfigJsonKey])
	for _, s := range all.Items {
		if got := string(s.Data[corev1.DockerConfigJsonKey]); got != want || got == string(p.template.Data[corev1.DockerConfigJsonKey]) {
			return fmt.Errorf("the namespace %s has another login than the others, or an old one", s.Namespace)
		}
	}
	return nil
}
