package main

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"regcred.dev/test/figures"
)

// The API's limits. Requests come from the same machine, of users of a Cloud Foundry
// whose roles are known already.
const (
	resolveLimit = 5000.0 // a second, at least
	p99Limit     = 10.0   // ms
	listLimit    = 50.0   // ms for a page of 5,000, selected from 100,000
	growthLimit  = 1.5    // both, where there are ten times as many credentials

	apiUsers = 100
	// connections are enough that one request which takes long does not hold up those
	// that are due after it: at 5,000 a second, each of them has one every 13 ms.
	connections = 64
	appsPerOrg  = 100 // of 10,000 organizations: a million apps
	pageSize    = 5000
)

// benchAPI measures resolving and listing over HTTP, at a server of 100,000 credentials
// and one of ten times as many, each a process of its own. They take turns, so that other
// load on the machine meets both, and each turn is so long that garbage is collected in
// it. The small form leaves out the larger one, which takes half a minute to fill.
//
// What growth costs is judged for a resolve by the processor time that the server's
// process takes for one, over all rounds and with its collection of garbage: the time
// that a client waits differs more between two runs of the same server than the limit
// allows, where others use the machine. A page takes long enough to be judged by its time.
func benchAPI(r *figures.Report, small bool) error {
	sizes, rounds, requests, pages := []int{100_000, 1_000_000}, 5, 60_000, 20
	if small {
		sizes, rounds, requests, pages = sizes[:1], 3, 10_000, 5
	}
	// The heap of this process is small, and would be collected a hundred times a second.
	defer debug.SetGCPercent(debug.SetGCPercent(1000))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	f := newFoundation()
	defer f.close()
	servers := make([]struct {
		*load
		apiTimes
	}, len(sizes))
	for i, n := range sizes {
		s := &servers[i]
		var err error
		if s.load, err = startLoad(ctx, n, f); err != nil {
			return err
		}
		defer s.end()
		if _, err := s.resolve(requests/10, 0); err != nil { // roles and keys are known from now on
			return err
		}
	}
	for range rounds {
		for i := range servers {
			if err := servers[i].measure(servers[i].load, requests, pages); err != nil {
				return err
			}
		}
	}
	for i, n := range sizes {
		servers[i].report(r, fmt.Sprintf("api-%dk", n/1000))
	}
	if len(sizes) > 1 {
		one, ten := servers[0].apiTimes, servers[1].apiTimes
		r.NoisyAtMost(growthLimit, "api-resolve-1000k-by-100k", ten.resolveUsed.mean()/one.resolveUsed.mean(), "ratio")
		r.NoisyAtMost(growthLimit, "api-list-1000k-by-100k", ten.list.median()/one.list.median(), "ratio")
	}
	return nil
}

// apiTimes are the times of one server, one for each round.
type apiTimes struct {
	interval    times // us from one resolve to the next, as fast as it goes
	p99         times // ms that 99 of 100 resolves take at most, where they come at the rate of resolveLimit
	resolveUsed times // us of the server's processor time for one of those
	list        times // ms for a page
	listUsed    times // ms of the server's processor time for it
}

// measure takes the times of one round.
func (t *apiTimes) measure(l *load, requests, pages int) error {
	start := time.Now()
	took, err := l.resolve(requests, 0)
	if err != nil {
		return err
	}
	t.interval.add(time.Since(start), time.Microsecond*time.Duration(len(took)))

	used, err := l.using(func() error {
		took, err = l.resolve(requests, resolveLimit)
		return err
	})
	if err != nil {
		return err
	}
	slices.Sort(took)
	t.p99.add(took[len(took)*99/100], time.Millisecond)
	t.resolveUsed.add(used, time.Microsecond*time.Duration(len(took)))

	used, err = l.using(func() error {
		took, err = l.list(pages)
		return err
	})
	if err != nil {
		return err
	}
	slices.Sort(took)
	t.list.add(took[len(took)/2], time.Millisecond)
	t.listUsed.add(used, time.Millisecond*time.Duration(len(took)))
	return nil
}

func (t *apiTimes) report(r *figures.Report, name string) {
	interval := t.interval.median()
	r.NoisyAtMost(1/resolveLimit*1e6, name+"-resolve-interval", interval, "us")
	r.Figure(name+"-resolve", 1e6/interval, "requests/s")
	r.NoisyAtMost(p99Limit, name+"-resolve-p99", t.p99.median(), "ms")
	r.Figure(name+"-resolve-processor", t.resolveUsed.mean(), "us")
	r.NoisyAtMost(listLimit, name+"-list", t.list.median(), "ms")
	r.Figure(name+"-list-processor", t.listUsed.mean(), "ms")
}

// times are those of several rounds, in units of one's choice.
type times []float64

func (t *times) add(d, unit time.Duration) { *t = append(*t, float64(d)/float64(unit)) }

// median returns the middle one, the upper of two.
func (t *times) median() float64 { return slices.Sorted(slices.Values(*t))[len(*t)/2] }

func (t *times) mean() float64 {
	sum := 0.0
	for _, v := range *t {
		sum += v
	}
	return sum / float64(len(*t))
}
