package registry_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"github.com/prometheus/client_golang/prometheus"

	"regcred.dev/registry"
)

// keep runs KeepStatistics until the function that it returns is called.
func keep(t *testing.T, s *registry.Storage) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { s.KeepStatistics(ctx, time.Minute, nil) })
	return func() {
		cancel()
		wg.Wait()
	}
}

func statistics(t *testing.T, s *registry.Storage, from, to time.Time) []registry.Statistic {
	t.Helper()
	list, err := s.Statistics(t.Context(), from, to)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestStatistics counts in two processes over two days, one of which ends well and the
// other of which is killed.
func TestStatistics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemBlobs()
		a, b := registry.NewStorage(m, registry.StorageOptions{}), registry.NewStorage(m, registry.StorageOptions{})
		stopA, stopB := keep(t, a), keep(t, b)
		first := time.Now().UTC()
		a.Count("acme/app", "v1", registry.Counts{Pulls: 1, PulledBytes: 10, LastPulledAt: first})
		a.Count("acme/app", "", registry.Counts{PulledBytes: 100})
		b.Count("acme/app", "v1", registry.Counts{Pushes: 1, PushedBytes: 10, LastPushedAt: first})
		time.Sleep(time.Minute + time.Second)
		a.Count("acme/app", "v1", registry.Counts{Pulls: 1, PulledBytes: 10})
		time.Sleep(day)
		second := time.Now().UTC()
		a.Count("acme/app", "v1", registry.Counts{Pulls: 1, LastPulledAt: second})
		b.Count("acme/app", "v1", registry.Counts{Pulls: 1, LastPulledAt: second})
		a.Count("other", "t", registry.Counts{Checks: 1})
		stopA()

		want := []registry.Statistic{
			{Repository: "acme/app", Counts: registry.Counts{PulledBytes: 100}},
			{Repository: "acme/app", Tag: "v1", Counts: registry.Counts{
				Pulls: 3, PulledBytes: 20, Pushes: 1, PushedBytes: 10, LastPulledAt: second, LastPushedAt: first,
			}},
			{Repository: "other", Tag: "t", Counts: registry.Counts{Checks: 1}},
		}
		if diff := cmp.Diff(want, statistics(t, b, first, second)); diff != "" {
			t.Errorf("both days (-want +got): %s", diff)
		}
		want[1].Counts = registry.Counts{Pulls: 1, LastPulledAt: second}
		if diff := cmp.Diff(want[1:], statistics(t, b, second, second)); diff != "" {
			t.Errorf("the second day (-want +got): %s", diff)
		}
		if list := statistics(t, b, second.Add(day), second.Add(9*day)); len(list) > 0 {
			t.Errorf("days to come: %v", list)
		}
		stopB()
		want[1].Pulls = 2
		if diff := cmp.Diff(want[1:], statistics(t, b, second, second)); diff != "" {
			t.Errorf("the second day, after both (-want +got): %s", diff)
		}
	})
}

// refusing is Blobs that cannot be written to for a while.
type refusing struct {
	registry.Blobs
	refuses atomic.Bool
}

func (r *refusing) Put(ctx context.Context, key string, data []byte, c registry.Condition) error {
	if r.refuses.Load() {
		return errors.New("no")
	}
	return r.Blobs.Put(ctx, key, data, c)
}

// TestStatisticsAreWrittenLater counts far more than one object takes while nothing can
// be written.
func TestStatisticsAreWrittenLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &refusing{Blobs: newMemBlobs()}
		s := registry.NewStorage(m, registry.StorageOptions{})
		stop := keep(t, s)
		m.refuses.Store(true)
		const tags = 10_000
		for i := range tags {
			s.Count("a", fmt.Sprint(i), registry.Counts{Pulls: 1})
		}
		time.Sleep(90 * time.Second)
		m.refuses.Store(false)
		for i := range tags {
			s.Count("a", fmt.Sprint(i), registry.Counts{Pulls: 1})
		}
		stop()
		sum := int64(0)
		list := statistics(t, s, time.Now().Add(-day), time.Now())
		for _, st := range list {
			sum += st.Pulls
		}
		if len(list) != tags || sum != 2*tags {
			t.Errorf("%d tags, %d pulls", len(list), sum)
		}
		for info, err := range m.List(t.Context(), "statistics/", "") {
			if err != nil || info.Size > 2<<20 {
				t.Errorf("%+v, %v", info, err)
			}
		}
	})
}

// TestStatisticsAtOnce counts from many sides while it is written: nothing is lost.
func TestStatisticsAtOnce(t *testing.T) {
	s := openStorage(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	var keeper, counters sync.WaitGroup
	keeper.Go(func() { s.KeepStatistics(ctx, time.Millisecond, nil) })
	const workers, each = 8, 2_000
	for range workers {
		counters.Go(func() {
			for i := range each {
				s.Count("a", fmt.Sprint(i%3), registry.Counts{Pulls: 1})
			}
		})
	}
	counters.Wait()
	cancel()
	keeper.Wait()
	sum := int64(0)
	for _, st := range statistics(t, s, time.Now().Add(-day), time.Now()) {
		sum += st.Pulls
	}
	if sum != workers*each {
		t.Errorf("%d pulls, want %d", sum, workers*each)
	}
}

// TestRequestsAreCounted sends requests of each kind.
func TestRequestsAreCounted(t *testing.T) {
	h := newHarness(t)
	admin := h.admin(t)
	blob := "layer of some bytes"
	d := digest.FromString(blob)
	manifest := imageManifest(blob)
	calls := []call{
		{method: "POST", path: "/v2/a/b/blobs/uploads/?digest=" + d.String(), body: blob},
		{method: "PUT", path: "/v2/a/b/manifests/t", body: manifest, header: map[string]string{"Content-Type": ociImage}},
		{method: "GET", path: "/v2/a/b/manifests/t"},
		{method: "GET", path: "/v2/a/b/manifests/" + digest.FromString(manifest).String()},
		{method: "HEAD", path: "/v2/a/b/manifests/t"},
		{method: "GET", path: "/v2/a/b/blobs/" + d.String()},
		{method: "HEAD", path: "/v2/a/b/blobs/" + d.String()},
	}
	for _, c := range calls {
		if got := h.do(t, admin, c); got.status >= 300 {
			t.Fatalf("%s %s: %d %s", c.method, c.path, got.status, got.body)
		}
	}
	for _, path := range []string{"/v2/none/manifests/t", "/v2/a/b/manifests/none", "/v2/a/b/blobs/" + digest.FromString("none").String()} {
		if got := h.do(t, admin, call{method: "GET", path: path}); got.status != http.StatusNotFound {
			t.Fatalf("%s: %d", path, got.status)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h.storage.KeepStatistics(ctx, time.Minute, nil)
	got := statistics(t, h.storage, time.Now().Add(-day), time.Now())
	for i := range got {
		if got[i].Tag == "t" && (got[i].LastPulledAt.IsZero() || got[i].LastPushedAt.IsZero()) {
			t.Errorf("no times: %+v", got[i])
		}
		got[i].LastPulledAt, got[i].LastPushedAt = time.Time{}, time.Time{}
	}
	m, b := int64(len(manifest)), int64(len(blob))
	want := []registry.Statistic{
		{Repository: "a/b", Counts: registry.Counts{Pulls: 1, PulledBytes: m + b, PushedBytes: b}},
		{Repository: "a/b", Tag: "t", Counts: registry.Counts{Pulls: 1, Checks: 1, PulledBytes: m, Pushes: 1, PushedBytes: m}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got): %s", diff)
	}
}

// TestRepositoryMetrics counts more repositories, and more tags, than have metrics of
// their own: none is left out of the sums.
func TestRepositoryMetrics(t *testing.T) {
	tests := []struct {
		name        string
		repos, tags int
		series      int // but for those of other tags
	}{
		{"some", 3, 2, 3 + 3*2},
		{"many repositories", 300, 1, 200 + 200 + 1},
		{"many tags", 2, 900, 2 + 1000},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testRepositoryMetrics(t, test.repos, test.tags, test.series) })
		})
	}
}

func testRepositoryMetrics(t *testing.T, repos, tags, series int) {
	s := registry.NewStorage(newMemBlobs(), registry.StorageOptions{})
	metrics := prometheus.NewPedanticRegistry()
	metrics.MustRegister(s.RepositoryMetrics())
	stop := keep(t, s)
	for i := range repos {
		repo := fmt.Sprint("r", i)
		s.Count(repo, "", registry.Counts{PulledBytes: 10})
		for n := range tags {
			s.Count(repo, fmt.Sprint("t", n), registry.Counts{Pulls: 2, PulledBytes: 1})
		}
	}
	stop()
	families, err := metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]float64{}
	for _, f := range families {
		others := 0
		for _, one := range f.GetMetric() {
			sums[f.GetName()] += one.GetCounter().GetValue()
			if l := one.GetLabel(); l[0].GetValue() != "(other)" && l[1].GetValue() == "(other)" {
				others++
			}
		}
		if n := len(f.GetMetric()) - others; n != series || (others > 0) != (tags > 500) {
			t.Errorf("%s: %d series, want %d; %d of other tags", f.GetName(), n, series, others)
		}
	}
	all := float64(repos * tags)
	if sums["regcred_registry_repository_pulls_total"] != 2*all || sums["regcred_registry_repository_pulled_bytes_total"] != all+10*float64(repos) {
		t.Errorf("%v", sums)
	}
}

func BenchmarkCount(b *testing.B) {
	s := registry.NewStorage(newMemBlobs(), registry.StorageOptions{})
	now := time.Now()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			s.Count("acme/app", "latest", registry.Counts{Pulls: 1, PulledBytes: 500, LastPulledAt: now})
		}
	})
}

// TestStatisticsNeverDecrease: counts that are larger than an int64 stay at its end,
// since Prometheus panics where a counter is to decrease.
func TestStatisticsNeverDecrease(t *testing.T) {
	s := registry.NewStorage(newMemBlobs(), registry.StorageOptions{})
	stop := keep(t, s)
	for range 2 {
		s.Count("acme/app", "", registry.Counts{PulledBytes: math.MaxInt64})
	}
	stop()
	now := time.Now()
	want := []registry.Statistic{{Repository: "acme/app", Counts: registry.Counts{PulledBytes: math.MaxInt64}}}
	if diff := cmp.Diff(want, statistics(t, s, now.Add(-day), now)); diff != "" {
		t.Error(diff)
	}
}
