package registry_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cuelabs.dev/go/oci/ociregistry"
	"github.com/opencontainers/go-digest"
	"pgregory.net/rapid"

	"regcred.dev"
	"regcred.dev/registry"
)

// What takes hours in earnest takes minutes here. A step is one call of the storage:
// some thirty of them, of one push, lie within the patience, and those from looking
// for content to linking it within the grace period.
const (
	stepTime     = 15 * time.Second
	patienceTime = 12 * time.Minute
	graceTime    = 10 * time.Minute
	takeoverTime = 5 * time.Minute
)

// TestInterleave lets several processes push, mount, tag, delete, roll back and
// collect on the same storage, each of their calls after a random time, while
// collectors are killed. At any moment every tag is complete, and what was
// acknowledged is there. In the end no garbage is left.
func TestInterleave(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		var failures []string
		synctest.Test(t, func(t *testing.T) { failures = interleave(t.Context(), seed) })
		if len(failures) > 0 {
			rt.Fatalf("seed %d: %s", seed, strings.Join(failures[:min(5, len(failures))], "\n"))
		}
	})
}

var errKilled = errors.New("this process was killed")

// process is the storage as one process has it: each call takes some time, and none
// succeeds after the process was killed.
type process struct {
	registry.Blobs
	mu     sync.Mutex
	random *rand.Rand
	dies   time.Time
}

func (p *process) step() error {
	p.mu.Lock()
	wait := time.Duration(p.random.Int64N(int64(stepTime)))
	p.mu.Unlock()
	time.Sleep(wait)
	if !p.dies.IsZero() && time.Now().After(p.dies) {
		return errKilled
	}
	return nil
}

func (p *process) Get(ctx context.Context, key string) (registry.Object, error) {
	if err := p.step(); err != nil {
		return registry.Object{}, err
	}
	return p.Blobs.Get(ctx, key)
}

func (p *process) Stat(ctx context.Context, key string) (registry.Info, error) {
	if err := p.step(); err != nil {
		return registry.Info{}, err
	}
	return p.Blobs.Stat(ctx, key)
}

func (p *process) Read(ctx context.Context, key string) ([]byte, string, error) {
	if err := p.step(); err != nil {
		return nil, "", err
	}
	return p.Blobs.Read(ctx, key)
}

func (p *process) Put(ctx context.Context, key string, data []byte, c registry.Condition) error {
	if err := p.step(); err != nil {
		return err
	}
	return p.Blobs.Put(ctx, key, data, c)
}

func (p *process) Delete(ctx context.Context, key string, c registry.Condition) error {
	if err := p.step(); err != nil {
		return err
	}
	return p.Blobs.Delete(ctx, key, c)
}

func (p *process) List(ctx context.Context, prefix, after string) iter.Seq2[registry.Info, error] {
	return func(yield func(registry.Info, error) bool) {
		if err := p.step(); err != nil {
			yield(registry.Info{}, err)
			return
		}
		for info, err := range p.Blobs.List(ctx, prefix, after) {
			if !yield(info, err) {
				return
			}
		}
	}
}

func (p *process) CreateUpload(ctx context.Context, id string) (registry.Upload, error) {
	if err := p.step(); err != nil {
		return nil, err
	}
	u, err := p.Blobs.CreateUpload(ctx, id)
	return stepUpload{u, p}, err
}

type stepUpload struct {
	registry.Upload
	p *process
}

func (u stepUpload) Commit(ctx context.Context, key string) error {
	if err := u.p.step(); err != nil {
		return err
	}
	return u.Upload.Commit(ctx, key)
}

// world is the storage that all processes share, and what they were told.
type world struct {
	m *memBlobs

	mu       sync.Mutex
	tags     map[string]digest.Digest // REPO:TAG that one pusher alone moves; "" for none; missing while it does
	recent   []acked
	failures []string
	done     bool
}

// acked is a manifest whose push was acknowledged.
type acked struct {
	repo string
	d    digest.Digest
	at   time.Time
}

func (w *world) fail(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failures = append(w.failures, time.Now().Format(time.TimeOnly+" ")+fmt.Sprintf(format, args...))
}

func (w *world) over() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.done
}

// storage is the world as a new process sees it.
func (w *world) storage(random *rand.Rand, dies time.Time) *registry.Storage {
	return storageOf(&process{Blobs: w.m, random: random, dies: dies})
}

func storageOf(b registry.Blobs) *registry.Storage {
	s := registry.NewStorage(b, registry.StorageOptions{Policy: registry.Policy{
		{Pattern: "*", Keep: &registry.Retention{Untagged: time.Minute}},
	}})
	s.SetTiming(patienceTime, takeoverTime)
	return s
}

func interleave(ctx context.Context, seed uint64) []string {
	w := &world{m: newMemBlobs(), tags: map[string]digest.Digest{}}
	var pushers, others sync.WaitGroup
	for i := range 3 {
		p := &interleavePusher{w: w, name: fmt.Sprint("p", i), random: rand.New(rand.NewPCG(seed, uint64(i)))}
		p.s = w.storage(rand.New(rand.NewPCG(seed, uint64(i)+10)), time.Time{})
		pushers.Go(func() { p.run(ctx) })
	}
	for i := range 2 {
		others.Go(func() { w.collect(ctx, rand.New(rand.NewPCG(seed, uint64(i)+20))) })
	}
	others.Go(func() {
		for !w.over() {
			w.check(ctx)
			time.Sleep(time.Minute)
		}
	})
	pushers.Wait()
	w.mu.Lock()
	w.done = true
	w.mu.Unlock()
	others.Wait()
	w.checkNoGarbage(ctx)
	return w.failures
}

// collect collects again and again, and is killed now and then.
func (w *world) collect(ctx context.Context, random *rand.Rand) {
	for !w.over() {
		var dies time.Time
		if random.IntN(3) == 0 {
			dies = time.Now().Add(time.Duration(random.Int64N(int64(20 * stepTime))))
		}
		s := w.storage(rand.New(rand.NewPCG(random.Uint64(), 0)), dies)
		if _, err := s.Collect(ctx, registry.CollectOptions{Grace: graceTime}); err != nil && !errors.Is(err, errKilled) {
			w.fail("a collection failed: %v", err)
		}
		time.Sleep(time.Duration(random.Int64N(int64(graceTime))))
	}
}

// check looks at all tags of one moment, and for what was acknowledged.
func (w *world) check(ctx context.Context) {
	w.mu.Lock()
	m, tags, recent := w.m.snapshot(), maps.Clone(w.tags), slices.Clone(w.recent)
	w.mu.Unlock()
	s := storageOf(m)
	for _, repo := range []string{"a", "b"} {
		for tag, err := range s.Tags(ctx, repo, "") {
			if unknown(err) {
				break
			}
			desc, err := s.ResolveTag(ctx, repo, tag)
			if err == nil {
				err = complete(ctx, s, repo, desc.Digest)
			}
			if err != nil {
				w.fail("%s:%s: %v", repo, tag, err)
			}
		}
	}
	for name, want := range tags {
		repo, tag, _ := strings.Cut(name, ":")
		desc, err := s.ResolveTag(ctx, repo, tag)
		if want == "" && !unknown(err) || want != "" && desc.Digest != want {
			w.fail("%s is %s, %v; acknowledged was %q", name, desc.Digest, err, want)
		}
	}
	for _, a := range recent {
		// It was relied on for the last time up to a patience before it was acknowledged.
		if time.Since(a.at) < patienceTime/2 {
			if err := complete(ctx, s, a.repo, a.d); err != nil {
				w.fail("pushed to %s at %s: %v", a.repo, a.at.Format(time.TimeOnly), err)
			}
		}
	}
}

// complete reports what is missing of a manifest.
func complete(ctx context.Context, s *registry.Storage, repo string, d digest.Digest) error {
	r, err := s.GetManifest(ctx, repo, d)
	if err != nil {
		return fmt.Errorf("manifest %.15s: %w", d, err)
	}
	defer r.Close()
	var m struct {
		Config            *ociregistry.Descriptor
		Layers, Manifests []ociregistry.Descriptor
	}
	if err := json.NewDecoder(r).Decode(&m); err != nil {
		return err
	}
	if m.Config != nil {
		m.Layers = append(m.Layers, *m.Config)
	}
	for _, desc := range m.Layers {
		if _, err := readAll(s.GetBlob(ctx, repo, desc.Digest)); err != nil {
			return fmt.Errorf("blob %.15s of manifest %.15s: %w", desc.Digest, d, err)
		}
	}
	for _, desc := range m.Manifests {
		if err := complete(ctx, s, repo, desc.Digest); err != nil {
			return err
		}
	}
	return nil
}

// checkNoGarbage collects until nothing more can go, and looks for what is left.
func (w *world) checkNoGarbage(ctx context.Context) {
	s := storageOf(w.m)
	for range 4 {
		time.Sleep(time.Hour)
		if _, err := s.Collect(ctx, registry.CollectOptions{Grace: graceTime}); err != nil {
			w.fail("the last collection: %v", err)
		}
	}
	w.check(ctx)
	needed := map[string]bool{}
	for _, repo := range []string{"a", "b"} {
		for tag, err := range s.Tags(ctx, repo, "") {
			if err != nil {
				break
			}
			if desc, err := s.ResolveTag(ctx, repo, tag); err == nil {
				closure(ctx, s, repo, desc.Digest, needed)
			}
		}
	}
	for key := range w.m.snapshot().objects {
		switch prefix, _, _ := strings.Cut(key, "/"); {
		case prefix == "blobs" && !needed[key], prefix == "condemned":
			w.fail("garbage is left: %s", key)
		}
	}
}

// closure notes the keys of all content that a manifest and its referrers need, and
// where it was.
func closure(ctx context.Context, s *registry.Storage, repo string, d digest.Digest, needed map[string]bool) {
	if needed[repo+" "+d.String()] {
		return
	}
	needed[repo+" "+d.String()], needed[contentOf(d)] = true, true
	if r, err := s.GetManifest(ctx, repo, d); err == nil {
		var m struct {
			Config            *ociregistry.Descriptor
			Layers, Manifests []ociregistry.Descriptor
		}
		_ = json.NewDecoder(r).Decode(&m)
		if m.Config != nil {
			m.Layers = append(m.Layers, *m.Config)
		}
		for _, desc := range append(m.Layers, m.Manifests...) {
			closure(ctx, s, repo, desc.Digest, needed)
		}
	}
	for desc, err := range s.Referrers(ctx, repo, d, "") {
		if err == nil {
			closure(ctx, s, repo, desc.Digest, needed)
		}
	}
}

// interleavePusher is a client that pushes.
type interleavePusher struct {
	w      *world
	s      *registry.Storage
	name   string
	random *rand.Rand
}

var interleaveContents = []string{"c0", "c1", "c2", "c3", "c4"}

func (p *interleavePusher) pick(list []string) string { return list[p.random.IntN(len(list))] }

// run does random things. An error says that something was not done, which is fine
// where somebody else was quicker.
func (p *interleavePusher) run(ctx context.Context) {
	for range 8 {
		repo := p.pick([]string{"a", "b"})
		tag := p.pick([]string{p.name, "latest", ""})
		actions := []func() error{
			func() error { return p.pushImage(ctx, repo, tag) },
			func() error { return p.pushImage(ctx, repo, tag) },
			func() error { return p.pushIndex(ctx, repo, tag) },
			func() error { return p.pushReferrer(ctx, repo) },
			func() error { return p.deleteTag(ctx, repo) },
			func() error { return p.rollback(ctx, repo) },
		}
		err := actions[p.random.IntN(len(actions))]()
		switch code := regcred.CodeOf(err); {
		case err == nil, unknown(err), errors.Is(err, ociregistry.ErrManifestBlobUnknown),
			code == regcred.Unavailable, code == regcred.NotFound:
		default:
			p.w.fail("%s: %v", p.name, err)
		}
		time.Sleep(time.Duration(p.random.Int64N(int64(2 * patienceTime))))
	}
}

// pushImage pushes an image as clients do: what seems to be there is not sent.
func (p *interleavePusher) pushImage(ctx context.Context, repo, tag string) error {
	contents := []string{p.pick(interleaveContents), p.pick(interleaveContents)}
	for _, content := range contents {
		d := digest.FromString(content)
		if _, err := p.s.ResolveBlob(ctx, repo, d); err == nil {
			continue
		}
		if p.random.IntN(2) == 0 {
			other := map[string]string{"a": "b", "b": "a"}[repo]
			if _, err := p.s.MountBlob(ctx, other, repo, d); err == nil {
				continue
			}
		}
		if _, err := p.s.PushBlob(ctx, repo, descriptor(content), strings.NewReader(content)); err != nil {
			return err
		}
	}
	return p.push(ctx, repo, tag, imageManifest(contents...), ociImage)
}

// pushIndex pushes an index of two images that seem to be there.
func (p *interleavePusher) pushIndex(ctx context.Context, repo, tag string) error {
	var images []string
	for range 2 {
		image := imageManifest(p.pick(interleaveContents), p.pick(interleaveContents))
		if _, err := p.s.ResolveManifest(ctx, repo, digest.FromString(image)); err != nil {
			return err
		}
		images = append(images, image)
	}
	return p.push(ctx, repo, tag, indexOf(images...), ociIndex)
}

// pushReferrer signs an image.
func (p *interleavePusher) pushReferrer(ctx context.Context, repo string) error {
	signature := "signature by " + p.name
	if _, err := p.s.PushBlob(ctx, repo, descriptor(signature), strings.NewReader(signature)); err != nil {
		return err
	}
	image := imageManifest(p.pick(interleaveContents), p.pick(interleaveContents))
	return p.push(ctx, repo, "", withSubject(imageManifest(signature), image), ociImage)
}

func (p *interleavePusher) push(ctx context.Context, repo, tag, manifest, mediaType string) error {
	return p.move(repo, tag, func() (digest.Digest, error) {
		desc, err := p.s.PushManifest(ctx, repo, tag, []byte(manifest), mediaType)
		return desc.Digest, err
	})
}

func (p *interleavePusher) deleteTag(ctx context.Context, repo string) error {
	return p.move(repo, p.name, func() (digest.Digest, error) { return "", p.s.DeleteTag(ctx, repo, p.name) })
}

func (p *interleavePusher) rollback(ctx context.Context, repo string) error {
	return p.move(repo, p.name, func() (digest.Digest, error) {
		desc, err := p.s.Rollback(ctx, repo, p.name, "")
		return desc.Digest, err
	})
}

// move does something to a tag, and notes what it is then.
func (p *interleavePusher) move(repo, tag string, do func() (digest.Digest, error)) error {
	p.w.mu.Lock()
	delete(p.w.tags, repo+":"+tag)
	p.w.mu.Unlock()
	d, err := do()
	if err != nil {
		return err
	}
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	if tag == p.name {
		p.w.tags[repo+":"+tag] = d
	}
	if d != "" {
		p.w.recent = append(p.w.recent, acked{repo, d, time.Now()})
	}
	return nil
}
