package registry

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"regcred.dev"
)

// Statistics are kept in objects that each process writes for itself, one for each
// day (in UTC) or more where one would become large:
//
//	statistics/YYYY-MM-DD/PROCESS-NNNNNN   [{"repository":"..","tag":"..","pulls":n,..}]
//
// PROCESS is random for each time that a process is started. What a tag or repository
// was counted is the sum over all of them. Old ones are added up by month:
// statisticsmonths.go.

const (
	statisticsPrefix = "statistics/"
	dayFormat        = time.DateOnly
	// maxStatistics is how large such an object becomes, in bytes, roughly.
	maxStatistics = 1 << 20
	// statisticSize is what an entry takes beside its names, at most.
	statisticSize = 300
)

// Statistic is what was counted of a tag of a repository, or without a tag of its
// blobs and of manifests by their digests.
type Statistic struct {
	Repository string `json:"repository"`
	Tag        string `json:"tag,omitempty"`
	Counts
}

// statisticsObject is an object that is written.
type statisticsObject struct {
	key    string
	day    string
	size   int // roughly
	dirty  bool
	counts map[countedAs]Counts
}

func (o *statisticsObject) add(as countedAs, c Counts) {
	sum, known := o.counts[as]
	if !known {
		o.size += len(as.repo) + len(as.tag) + statisticSize
	}
	sum.add(c)
	o.counts[as] = sum
	o.dirty = true
}

func (o *statisticsObject) addAll(list []Statistic) {
	for _, st := range list {
		o.add(countedAs{st.Repository, st.Tag}, st.Counts)
	}
}

func (o *statisticsObject) list() []Statistic {
	list := make([]Statistic, 0, len(o.counts))
	for as, c := range o.counts {
		list = append(list, Statistic{as.repo, as.tag, c})
	}
	slices.SortFunc(list, compareStatistics)
	return list
}

func compareStatistics(a, b Statistic) int {
	return cmp.Or(cmp.Compare(a.Repository, b.Repository), cmp.Compare(a.Tag, b.Tag))
}

// statisticsWriter adds up what a process counts, and writes it.
type statisticsWriter struct {
	s       *Storage
	process string
	n       int
	objects []*statisticsObject // those that are not written, and the last one
}

// KeepStatistics writes what is counted until ctx ends, every so often and then once
// more: what is killed loses what it counted since the last time. 0 means a minute.
// What cannot be written is logged, kept, and written later. Call it once, and end ctx
// after the last request is answered.
func (s *Storage) KeepStatistics(ctx context.Context, every time.Duration, log *slog.Logger) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	w := &statisticsWriter{s: s, process: rand.Text()}
	ticker := time.NewTicker(cmp.Or(every, time.Minute))
	defer ticker.Stop()
	for ended := false; !ended; {
		select {
		case <-ctx.Done():
			ended = true
		case <-ticker.C:
		}
		if err := w.write(ctx, time.Now()); err != nil {
			log.Error("the registry's statistics were not written", "tryAgain", !ended, "err", err)
		}
	}
}

// writeTimeout bounds a write, which goes on after the end of KeepStatistics' context.
const writeTimeout = 10 * time.Second

// write takes what was counted and writes it.
func (w *statisticsWriter) write(ctx context.Context, now time.Time) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	for as, c := range w.s.statistics.take() {
		w.s.repositoryMetrics.add(as, c)
		w.object(now).add(as, c)
	}
	var errs []error
	for _, o := range w.objects {
		if !o.dirty {
			continue
		}
		err := w.s.putJSON(ctx, o.key, o.list())
		o.dirty = err != nil
		errs = append(errs, err)
	}
	if n := len(w.objects); n > 0 {
		last := w.objects[n-1]
		w.objects = slices.DeleteFunc(w.objects, func(o *statisticsObject) bool { return !o.dirty && o != last })
	}
	return errors.Join(errs...)
}

// object returns the object that counts of a time are added to.
func (w *statisticsWriter) object(now time.Time) *statisticsObject {
	day := now.UTC().Format(dayFormat)
	if n := len(w.objects); n > 0 {
		if last := w.objects[n-1]; last.day == day && last.size < maxStatistics {
			return last
		}
	}
	w.n++
	o := &statisticsObject{
		key: fmt.Sprintf("%s%s/%s-%06d", statisticsPrefix, day, w.process, w.n),
		day: day, counts: map[countedAs]Counts{},
	}
	w.objects = append(w.objects, o)
	return o
}

// Statistics returns what was counted on the days from one time to another, both
// included, in UTC. Months that were over more than 92 days ago are counted whole, if any
// of their days is asked for. It is in the order of repositories and tags, and as old as
// what KeepStatistics wrote last.
func (s *Storage) Statistics(ctx context.Context, from, to time.Time) ([]Statistic, error) {
	for range linkTries {
		sum, done, err := s.tryStatistics(ctx, from, to)
		if err != nil {
			return nil, fmt.Errorf("statistics of the registry: %w", err)
		}
		if done {
			return sum.list(), nil
		}
	}
	return nil, regcred.Errorf(regcred.Unavailable, "statistics of the registry: they are being added up: try again")
}

// tryStatistics adds up what was counted. It reports false where a day was added to its
// month meanwhile.
func (s *Storage) tryStatistics(ctx context.Context, from, to time.Time) (*statisticsObject, bool, error) {
	sum := &statisticsObject{counts: map[countedAs]Counts{}}
	days, months, err := s.listStatistics(ctx, from, to)
	if err != nil {
		return nil, false, err
	}
	added := map[string]bool{} // keys of days that are in their months
	for _, key := range months {
		m, _, err := s.findStatisticsMonth(ctx, key)
		if err != nil {
			return nil, false, err
		}
		maps.Copy(added, m.sources())
		sum.addAll(m.Statistics)
	}
	var mu sync.Mutex
	done := true
	err = forEach(ctx, withoutError(slices.Values(days)), func(ctx context.Context, key string) error {
		if added[key] {
			return nil
		}
		var list []Statistic
		_, err := s.readJSON(ctx, key, &list)
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			done = false
			return ignore(regcred.NotFound, err)
		}
		sum.addAll(list)
		return nil
	})
	return sum, done, err
}

// listStatistics returns the keys of the objects of some days, and of their months.
func (s *Storage) listStatistics(ctx context.Context, from, to time.Time) (days, months []string, err error) {
	first, last := from.UTC().Format(dayFormat), to.UTC().Format(dayFormat)
	// In the order of keys, the objects of a month follow those of its days.
	for info, err := range s.blobs.List(ctx, statisticsPrefix, statisticsPrefix+first) {
		if err != nil {
			return nil, nil, err
		}
		day, month := parseStatisticsKey(info.Key)
		switch {
		case day == "" && month == "": // nothing of ours
		case max(day, month)[:len(monthFormat)] > last[:len(monthFormat)]:
			return days, months, nil
		case month != "":
			months = append(months, info.Key)
		case day <= last:
			days = append(days, info.Key)
		}
	}
	return days, months, nil
}
