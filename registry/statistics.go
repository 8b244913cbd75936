package registry

import (
	"hash/maphash"
	"maps"
	"math"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Counts are what was counted of a repository or tag.
type Counts struct {
	// Pulls are manifests sent. Of those that were asked for by digest, as clients do
	// with the parts of an index, no tag is known.
	Pulls int64 `json:"pulls,omitempty"`
	// Checks are HEAD requests for a tag's manifest: how some clients begin a pull, and
	// all that others do to see that they have it already.
	Checks int64 `json:"checks,omitempty"`
	// PulledBytes are bytes of manifests and blobs sent, or that clients were sent to
	// the storage for.
	PulledBytes int64 `json:"pulledBytes,omitempty"`
	// Pushes are manifests stored, PushedBytes the bytes of manifests and blobs
	// received.
	Pushes      int64 `json:"pushes,omitempty"`
	PushedBytes int64 `json:"pushedBytes,omitempty"`
	// LastPulledAt is when a manifest was last sent or checked, LastPushedAt when one
	// was last stored; zero for never.
	LastPulledAt time.Time `json:"lastPulledAt,omitzero"`
	LastPushedAt time.Time `json:"lastPushedAt,omitzero"`
}

// add adds what was counted elsewhere.
func (c *Counts) add(o Counts) {
	c.Pulls = sum(c.Pulls, o.Pulls)
	c.Checks = sum(c.Checks, o.Checks)
	c.PulledBytes = sum(c.PulledBytes, o.PulledBytes)
	c.Pushes = sum(c.Pushes, o.Pushes)
	c.PushedBytes = sum(c.PushedBytes, o.PushedBytes)
	c.LastPulledAt = later(c.LastPulledAt, o.LastPulledAt)
	c.LastPushedAt = later(c.LastPushedAt, o.LastPushedAt)
}

// sum adds two counts. Beyond what an int64 takes it stays there: Prometheus panics
// where a counter is to decrease.
func sum(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// countedAs is what Counts are of: a tag of a repository, or with no tag the blobs
// and the manifests by digest.
type countedAs struct{ repo, tag string }

// statistics counts in memory, until keepStatistics takes it. The zero statistics are
// ready for use.
type statistics struct {
	shards [16]statisticsShard
}

type statisticsShard struct {
	mu     sync.Mutex
	counts map[countedAs]Counts
}

var statisticsSeed = maphash.MakeSeed()

// Count counts something that was done with a repository's tag, "" for none: some
// lines of memory, no I/O. The names have to be of what exists: they are remembered.
func (s *Storage) Count(repo, tag string, c Counts) {
	as := countedAs{repo, tag}
	shards := &s.statistics.shards
	shard := &shards[maphash.Comparable(statisticsSeed, as)%uint64(len(shards))]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if shard.counts == nil {
		shard.counts = map[countedAs]Counts{}
	}
	sum := shard.counts[as]
	sum.add(c)
	shard.counts[as] = sum
}

// take returns what was counted since the last call.
func (s *statistics) take() map[countedAs]Counts {
	all := map[countedAs]Counts{}
	for i := range s.shards {
		shard := &s.shards[i]
		shard.mu.Lock()
		maps.Copy(all, shard.counts)
		shard.counts = nil
		shard.mu.Unlock()
	}
	return all
}

// What bounds how many repositories, and how many tags of these, have metrics of their
// own.
const (
	maxLabels    = 200
	maxTagLabels = 1000
)

// otherLabel is the repository of the metrics of all others, and the tag of all other
// tags. It is no valid name.
const otherLabel = "(other)"

// repositoryMetrics are counters by repository and tag, of the first that are counted
// since the process began, and of all others together.
type repositoryMetrics struct {
	pulls, checks, pulledBytes, pushes, pushedBytes *prometheus.CounterVec

	mu    sync.Mutex
	repos map[string]bool
	tags  map[countedAs]bool
}

func newRepositoryMetrics() *repositoryMetrics {
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "regcred", Subsystem: "registry", Name: "repository_" + name, Help: help,
		}, []string{"repository", "tag"})
	}
	return &repositoryMetrics{
		pulls:       counter("pulls_total", "Manifests sent, by repository and tag."),
		checks:      counter("checks_total", "HEAD requests for a tag's manifest, by repository and tag."),
		pulledBytes: counter("pulled_bytes_total", "Bytes of manifests and blobs sent or redirected to, by repository and tag."),
		pushes:      counter("pushes_total", "Manifests stored, by repository and tag."),
		pushedBytes: counter("pushed_bytes_total", "Bytes of manifests and blobs received, by repository and tag."),
		repos:       map[string]bool{},
		tags:        map[countedAs]bool{},
	}
}

// RepositoryMetrics returns metrics by repository and tag, to be registered; blobs, and
// manifests by their digest, have the tag "". They are as old as what KeepStatistics wrote
// last. At most 200 repositories, and 1,000 tags of these, have their own; the rest is
// counted under "(other)".
func (s *Storage) RepositoryMetrics() prometheus.Collector { return s.repositoryMetrics }

// Describe implements prometheus.Collector.
func (m *repositoryMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, v := range m.all() {
		v.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (m *repositoryMetrics) Collect(ch chan<- prometheus.Metric) {
	for _, v := range m.all() {
		v.Collect(ch)
	}
}

func (m *repositoryMetrics) all() []*prometheus.CounterVec {
	return []*prometheus.CounterVec{m.pulls, m.checks, m.pulledBytes, m.pushes, m.pushedBytes}
}

func (m *repositoryMetrics) add(as countedAs, c Counts) {
	repo, tag := m.labels(as)
	m.pulls.WithLabelValues(repo, tag).Add(float64(c.Pulls))
	m.checks.WithLabelValues(repo, tag).Add(float64(c.Checks))
	m.pulledBytes.WithLabelValues(repo, tag).Add(float64(c.PulledBytes))
	m.pushes.WithLabelValues(repo, tag).Add(float64(c.Pushes))
	m.pushedBytes.WithLabelValues(repo, tag).Add(float64(c.PushedBytes))
}

// labels returns as what something is counted.
func (m *repositoryMetrics) labels(as countedAs) (repo, tag string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.repos[as.repo] && len(m.repos) >= maxLabels {
		return otherLabel, otherLabel
	}
	m.repos[as.repo] = true
	if as.tag == "" || m.tags[as] {
		return as.repo, as.tag
	}
	if len(m.tags) >= maxTagLabels {
		return as.repo, otherLabel
	}
	m.tags[as] = true
	return as.repo, as.tag
}
