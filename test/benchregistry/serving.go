package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"cuelabs.dev/go/oci/ociregistry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"regcred.dev/registry/publish"
)

const (
	repository = "bench/app"
	tag        = "v1"
)

// sample is what serving is measured with: an image whose manifest is as long as most
// are, and a layer of 1 MiB.
type sample struct {
	manifest []byte
	blobs    map[digest.Digest][]byte
	layer    digest.Digest
}

func newSample() sample {
	random := rand.NewChaCha8([32]byte{1})
	layer := make([]byte, 1<<20)
	_, _ = random.Read(layer) // never fails
	config := []byte(`{"architecture":"amd64","os":"linux"}`)
	s := sample{layer: digest.FromBytes(layer), blobs: map[digest.Digest][]byte{}}
	s.blobs[s.layer], s.blobs[digest.FromBytes(config)] = layer, config
	describe := func(mediaType string, content []byte) string {
		return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, mediaType, digest.FromBytes(content), len(content))
	}
	one := describe(ocispec.MediaTypeImageLayerGzip, layer)
	s.manifest = fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s]}`,
		ocispec.MediaTypeImageManifest, describe(ocispec.MediaTypeImageConfig, config), strings.Join(slices.Repeat([]string{one}, 10), ","))
	return s
}

// push pushes the sample to a registry.
func (s sample) push(ctx context.Context, to *server) error {
	dst, err := publish.Remote(to.url(), to.token, nil)
	if err != nil {
		return err
	}
	for d, content := range s.blobs {
		desc := ociregistry.Descriptor{Digest: d, Size: int64(len(content))}
		if _, err := dst.PushBlob(ctx, repository, desc, strings.NewReader(string(content))); err != nil {
			return err
		}
	}
	_, err = dst.PushManifest(ctx, repository, tag, s.manifest, ocispec.MediaTypeImageManifest)
	return err
}

func (s sample) manifestDigest() string { return digest.FromBytes(s.manifest).String() }

const (
	manifestsPath = "/v2/" + repository + "/manifests/"
	blobsPath     = "/v2/" + repository + "/blobs/"
)

// contest puts the same load on several targets in turns, the first of them regcred's,
// and returns the answers a second of each, and the time of the first by that of each.
func (b *bench) contest(ctx context.Context, targets ...target) (rates, ratios []float64, err error) {
	all := make([][]float64, len(targets))
	quotients := make([][]float64, len(targets))
	for round := range b.rounds + 1 {
		var first float64
		for i, t := range targets {
			rate, err := t.load(ctx, b.turn)
			if err != nil {
				return nil, nil, err
			}
			if i == 0 {
				first = rate
			}
			if round == 0 {
				continue // of the first round, caches are filled
			}
			all[i] = append(all[i], rate)
			quotients[i] = append(quotients[i], rate/first)
		}
	}
	for i := range targets {
		rates = append(rates, median(all[i]))
		ratios = append(ratios, median(quotients[i]))
	}
	return rates, ratios, nil
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[(len(sorted)-1)/2]
}

// stage starts regcred, distribution and nginx with the sample.
func (b *bench) stage(ctx context.Context) (s sample, ours, theirs *server, files *process, end func(), err error) {
	s = newSample()
	var running []*process
	end = func() {
		for _, p := range running {
			p.kill()
		}
	}
	defer func() {
		if err != nil {
			end()
		}
	}()
	if ours, err = b.startRegcred(ctx, store{}); err != nil {
		return s, nil, nil, nil, end, err
	}
	running = append(running, ours.process)
	if theirs, err = b.startDistribution(ctx, store{}, true); err != nil {
		return s, nil, nil, nil, end, err
	}
	running = append(running, theirs.process)
	root, err := os.MkdirTemp(b.dir, "root-")
	if err != nil {
		return s, nil, nil, nil, end, err
	}
	err = errors.Join(
		os.WriteFile(filepath.Join(root, "manifest"), s.manifest, 0o600),
		os.WriteFile(filepath.Join(root, "blob"), s.blobs[s.layer], 0o600),
		s.push(ctx, ours), s.push(ctx, theirs))
	if err != nil {
		return s, nil, nil, nil, end, err
	}
	if files, err = b.startNginx(ctx, root); err != nil {
		return s, nil, nil, nil, end, err
	}
	running = append(running, files)
	return s, ours, theirs, files, end, nil
}

// manifests measures how fast manifests are served.
func (b *bench) manifests(ctx context.Context) error {
	s, ours, theirs, files, end, err := b.stage(ctx)
	if err != nil {
		return err
	}
	defer end()
	of := func(addr, path string) target {
		return target{addr: addr, path: path, header: "Accept: " + ocispec.MediaTypeImageManifest + "\r\n", status: http.StatusOK, size: int64(len(s.manifest))}
	}
	for name, reference := range map[string]string{"tag": tag, "digest": s.manifestDigest()} {
		rates, ratios, err := b.contest(ctx,
			of(ours.addr, manifestsPath+reference), of(theirs.addr, manifestsPath+reference), of(files.addr, "/manifest"))
		if err != nil {
			return errors.Join(err, ours.why(), theirs.why(), files.why())
		}
		prefix := "registry/manifest-by-" + name
		b.report.Figure(prefix, rates[0], "req/s")
		b.report.NoisyAtMost(manifestByDistribution, prefix+"/distribution", ratios[1], "times")
		b.report.NoisyAtMost(manifestByNginx, prefix+"/nginx", ratios[2], "times")
	}
	return b.loggedIn(ctx, ours, of(ours.addr, manifestsPath+tag))
}

// loggedIn measures what a login in each request costs, by the time of a request
// without one.
func (b *bench) loggedIn(ctx context.Context, ours *server, open target) error {
	bearer, err := bearerOf(ctx, ours)
	if err != nil {
		return err
	}
	with := func(authorization string) target {
		t := open
		t.header += "Authorization: " + authorization + "\r\n"
		return t
	}
	basic := base64.StdEncoding.EncodeToString([]byte("bench:" + ours.token.Reveal()))
	rates, ratios, err := b.contest(ctx, open, with("Bearer "+bearer), with("Basic "+basic))
	if err != nil {
		return err
	}
	for i, name := range map[int]string{1: "bearer", 2: "api-token"} {
		b.report.Figure("registry/manifest-by-tag/"+name, rates[i], "req/s")
		b.report.Figure("registry/manifest-by-tag/"+name+"/anonymous", 1/ratios[i], "times")
	}
	return nil
}

// blobs measures how fast blobs are served from a disk.
func (b *bench) blobs(ctx context.Context) error {
	s, ours, theirs, files, end, err := b.stage(ctx)
	if err != nil {
		return err
	}
	defer end()
	of := func(addr, path string) target {
		return target{addr: addr, path: path, status: http.StatusOK, size: int64(len(s.blobs[s.layer]))}
	}
	path := blobsPath + s.layer.String()
	rates, ratios, err := b.contest(ctx, of(ours.addr, path), of(theirs.addr, path), of(files.addr, "/blob"))
	if err != nil {
		return errors.Join(err, ours.why(), theirs.why(), files.why())
	}
	b.report.Figure("registry/blob-1MiB", rates[0], "req/s")
	b.report.Figure("registry/blob-1MiB/distribution", ratios[1], "times")
	b.report.NoisyAtMost(blobByNginx, "registry/blob-1MiB/nginx", ratios[2], "times")
	return nil
}
