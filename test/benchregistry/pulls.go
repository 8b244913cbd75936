package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"golang.org/x/sync/errgroup"
)

// bearerOf gets a token for the sample, and returns it.
func bearerOf(ctx context.Context, s *server) (string, error) {
	query := url.Values{"service": {s.addr}, "scope": {"repository:" + repository + ":pull"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url()+"/regcred/v1/registry/token?"+query.Encode(), nil)
	if err != nil {
		return "", err
	}
	req.SetBasicAuth("bench", s.token.Reveal())
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var answer struct {
		Token string `json:"token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Token == "" {
		return "", fmt.Errorf("no token: %s, %w", resp.Status, err)
	}
	return answer.Token, nil
}

// manyPulls lets many clients pull at once, and measures the memory that takes.
func (b *bench) manyPulls(ctx context.Context) error {
	ours, err := b.startRegcred(ctx, store{})
	if err != nil {
		return err
	}
	defer ours.kill()
	s := newSample()
	if err := s.push(ctx, ours); err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: b.pulls}}
	begin := make(chan struct{})
	group, ctx := errgroup.WithContext(ctx)
	for range b.pulls {
		group.Go(func() error {
			<-begin
			return s.pull(ctx, client, ours)
		})
	}
	close(begin)
	if err := group.Wait(); err != nil {
		return errors.Join(err, ours.why())
	}
	peak, err := ours.peakMemory()
	if err != nil {
		return err
	}
	b.report.NoisyAtMost(manyMemory, fmt.Sprintf("registry/memory-%d-pulls", b.pulls), peak, "MiB")
	return nil
}

// pull gets the image, with its layer as often as its manifest has it.
func (s sample) pull(ctx context.Context, client *http.Client, from *server) error {
	paths := []string{manifestsPath + tag, manifestsPath + s.manifestDigest()}
	for d := range s.blobs {
		for range 10 {
			paths = append(paths, blobsPath+d.String())
		}
	}
	for _, path := range paths {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, from.url()+path, nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			return fmt.Errorf("GET %s: %s, %w", path, resp.Status, err)
		}
	}
	return nil
}
