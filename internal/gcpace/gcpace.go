// Package gcpace sets how much garbage there may be before it is collected (the GC
// percent of package runtime/debug), by how much memory is in use.
//
// A small heap is collected often: that keeps a server small, and takes a millisecond.
// To collect a large one keeps all processors busy for tenths of a second, in which
// requests wait: that is done seldom, at the price of memory.
package gcpace

import (
	"io/fs"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
)

const mib = 1 << 20

// Up to small, garbage may have tight percent of what is live; from large on, roomy, or
// as much as is live where that is more, which is Go's own default. Between the two it
// grows evenly.
const (
	small = 32 * mib
	large = 128 * mib
	roomy = 512 * mib
)

// tight is the GC percent of small heaps: the least that there is.
const tight = 75

// least is the garbage that a heap of small bytes may have.
const least = small * tight / 100

// Start begins to set the pace after each collection, until stop is called, which puts
// back what was before. Where the environment sets GOGC it leaves everything as it is.
// The runtime itself sees to GOMEMLIMIT, whatever the pace.
func Start() (stop func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	before := debug.SetGCPercent(tight)
	collected, done, ended := make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		follow(collected, done, containerLimit(os.DirFS("/")))
	}()
	return func() {
		close(done)
		<-ended
		debug.SetGCPercent(before)
	}
}

// follow sets the percent after each collection until done is closed.
func follow(collected chan struct{}, done <-chan struct{}, limit uint64) {
	current := tight
	for {
		announce(collected)
		select {
		case <-collected:
		case <-done:
			return
		}
		// A change stops the world for a moment: small ones are not worth it.
		if next := percent(live(), limit); next > current*11/10 || next < current*9/10 || next == tight && current != tight {
			debug.SetGCPercent(next)
			current = next
		}
	}
}

// announce has the next collection send a value.
func announce(collected chan<- struct{}) {
	garbage := new([16]byte) // of its own: the tiny allocator would keep it together with others
	runtime.AddCleanup(garbage, func(c chan<- struct{}) { c <- struct{}{} }, collected)
}

// live returns the bytes that the last collection found in use.
func live() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// percent returns how much garbage there may be, in percent of what is live. Together
// they have half of limit at most, the bytes of memory that the process may have, unless
// a percent of tight takes more: the other half is for what is not in the heap, and for
// a heap that grows.
func percent(live, limit uint64) int {
	garbage := live * tight / 100
	switch {
	case live >= large:
		garbage = max(roomy, live)
	case live > small:
		garbage = least + (live-small)*(roomy-least)/(large-small)
	}
	if live+garbage > limit/2 {
		garbage = limit/2 - min(live, limit/2)
	}
	return max(tight, int(100*garbage/max(live, 1)))
}

// limitFiles have what a container may have of memory: of cgroups version 2 and 1
// (Linux, Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst).
var limitFiles = []string{"sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes"}

// containerLimit returns how many bytes of memory the container that this process runs in
// may have; all that there are where nobody says so.
func containerLimit(root fs.FS) uint64 {
	limit := uint64(math.MaxUint64)
	for _, name := range limitFiles {
		text, err := fs.ReadFile(root, name)
		if err != nil {
			continue
		}
		if n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64); err == nil { // not "max"
			limit = min(limit, n)
		}
	}
	return limit
}
