package main

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"time"

	"regcred.dev/test/figures"
)

// The API's limits. Requests come from the same machine, of users of a Cloud Foundry
// whose roles are known already.
const (
	resolveLimit = 5000.0 // a second, at least
	p99Limit     = 10.0   // ms
	listLimit    = 50.0   // ms for a page of 5,000, selected from 100,000, or of fewer
	growthLimit  = 1.5    // both, where there are ten times as many credentials

	apiUsers = 100
	// connections are enough that one request which takes long does not hold up those
	// that are due after it: at 5,000 a second, each of them has one every 13 ms.
	connections = 64
	appsPerOrg  = 100 // of 10,000 organizations: a million apps
	maxPage     = 5000
)

// benchAPI measures resolving and listing over HTTP, at the program that `regcred serve`
// runs, with 100,000 credentials in its database; 10,000 in the small form. It is a
// process of its own: what this one does with its memory is not the server's.
//
// A figure is the median of the rounds, each of which is so long that garbage is collected
// in it.
func benchAPI(r *figures.Report, small bool) error {
	n, rounds, requests, pages := 100_000, 5, 60_000, 20
	if small {
		n, rounds, requests, pages = 10_000, 3, 10_000, 5
	}
	// The heap of this process is small, and would be collected a hundred times a second.
	defer debug.SetGCPercent(debug.SetGCPercent(1000))
	ctx := context.Background()
	if err := benchServer(ctx, r, n, rounds, requests, pages); err != nil {
		return err
	}
	if small {
		return nil // a million credentials take half a minute to fill
	}
	return benchGrowth(ctx, r)
}

func benchServer(ctx context.Context, r *figures.Report, n, rounds, requests, pages int) error {
	dir, err := os.MkdirTemp("", "regcred-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := seed(ctx, dir, n); err != nil {
		return err
	}
	f := newFoundation()
	defer f.close()
	l, err := startLoad(ctx, n, f, "-data", dir)
	if err != nil {
		return err
	}
	defer l.end()
	if _, err := l.resolve(requests/10, 0); err != nil { // roles and keys are known from now on
		return err
	}
	var interval, p99, list times
	for range rounds {
		start := time.Now()
		took, err := l.resolve(requests, 0)
		if err != nil {
			return err
		}
		interval.add(time.Since(start), time.Microsecond*time.Duration(len(took)))
		if took, err = l.resolve(requests, resolveLimit); err != nil {
			return err
		}
		p99.add(took[len(took)*99/100], time.Millisecond)
		if took, err = l.list(pages); err != nil {
			return err
		}
		list.add(took[len(took)/2], time.Millisecond)
	}
	name := fmt.Sprintf("api-%dk", n/1000)
	r.NoisyAtMost(1/resolveLimit*1e6, name+"-resolve-interval", interval.median(), "us")
	r.Figure(name+"-resolve", 1e6/interval.median(), "requests/s")
	r.NoisyAtMost(p99Limit, name+"-resolve-p99", p99.median(), "ms")
	r.NoisyAtMost(listLimit, name+"-list", list.median(), "ms")
	return nil
}

// benchGrowth measures what the same costs where there are ten times as many credentials,
// at two servers that take turns, so that other load on the machine meets both. They have
// the parts of `regcred serve`, with all that they are asked for in memory: to fill a
// database with a million credentials takes ten minutes.
//
// A resolve is judged by the processor time that the server's process takes for one, over
// all rounds and with its collection of garbage: the time that a client waits differs more
// between two runs of the same server than the limit allows, where others use the machine.
// A page takes long enough to be judged by its time.
func benchGrowth(ctx context.Context, r *figures.Report) error {
	const rounds, requests, pages = 5, 60_000, 20
	f := newFoundation()
	defer f.close()
	var servers [2]struct {
		*load
		resolve, list times
	}
	for i, n := range [...]int{100_000, 1_000_000} {
		var err error
		if servers[i].load, err = startLoad(ctx, n, f, "-memory", strconv.Itoa(n)); err != nil {
			return err
		}
		defer servers[i].end()
	}
	for turn := range rounds * len(servers) {
		s := &servers[turn%len(servers)]
		used, err := s.using(func() error {
			_, err := s.load.resolve(requests, resolveLimit)
			return err
		})
		if err != nil {
			return err
		}
		s.resolve.add(used, time.Microsecond*requests)
		took, err := s.load.list(pages)
		if err != nil {
			return err
		}
		s.list.add(took[len(took)/2], time.Millisecond)
	}
	for _, s := range servers {
		name := fmt.Sprintf("api-memory-%dk", s.n/1000)
		r.Figure(name+"-resolve-processor", s.resolve.mean(), "us")
		r.Figure(name+"-list", s.list.median(), "ms")
	}
	r.NoisyAtMost(growthLimit, "api-resolve-1000k-by-100k", servers[1].resolve.mean()/servers[0].resolve.mean(), "ratio")
	r.NoisyAtMost(growthLimit, "api-list-1000k-by-100k", servers[1].list.median()/servers[0].list.median(), "ratio")
	return nil
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
