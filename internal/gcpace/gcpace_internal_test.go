package gcpace

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"testing/fstest"
	"time"
)

func TestPercent(t *testing.T) {
	const none = math.MaxUint64
	for _, test := range []struct {
		live, limit uint64
		want        int
	}{
		{0, none, 75},
		{4 * mib, none, 75},
		{32 * mib, none, 75},
		{64 * mib, none, 291},
		{80 * mib, none, 335},
		{128 * mib, none, 400},
		{256 * mib, none, 200},
		{512 * mib, none, 100},
		{4096 * mib, none, 100},
		{16 * mib, 32 * mib, 75},        // as tight as it gets
		{64 * mib, 256 * mib, 100},      // 128 MiB in all
		{100 * mib, 256 * mib, 75},      // 128 MiB would be too little
		{300 * mib, 256 * mib, 75},      // it does not fit at all
		{128 * mib, 1024 * mib, 300},    // 512 MiB in all
		{128 * mib, 2048 * mib, 400},    // there is room
		{4096 * mib, 12_288 * mib, 75},  // 6 GiB would be too little
		{4096 * mib, 15_360 * mib, 87},  // 7.5 GiB in all
		{4096 * mib, 65_536 * mib, 100}, // there is room
	} {
		if got := percent(test.live, test.limit); got != test.want {
			t.Errorf("%d MiB live of %d: %d%%, want %d%%", test.live/mib, test.limit/mib, got, test.want)
		}
	}
}

// TestPercentGrowsEvenly: a heap that grows may have more garbage, never less.
func TestPercentGrowsEvenly(t *testing.T) {
	before := uint64(0)
	for live := uint64(mib); live < 2048*mib; live += mib {
		p := percent(live, math.MaxUint64)
		garbage := live / 100 * uint64(p)
		if p < tight || garbage+live/100 < before {
			t.Fatalf("%d MiB live: %d%%, %d MiB garbage after %d", live/mib, p, garbage/mib, before/mib)
		}
		before = garbage
	}
}

func TestContainerLimit(t *testing.T) {
	const v2, v1 = "sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes"
	for name, test := range map[string]struct {
		files map[string]string
		want  uint64
	}{
		"nobody says so":   {nil, math.MaxUint64},
		"version 2":        {map[string]string{v2: "268435456\n"}, 256 * mib},
		"no limit":         {map[string]string{v2: "max\n"}, math.MaxUint64},
		"version 1":        {map[string]string{v1: "268435456\n"}, 256 * mib},
		"both":             {map[string]string{v2: "max\n", v1: "134217728\n"}, 128 * mib},
		"what is no limit": {map[string]string{v2: "-1\n", v1: "\n"}, math.MaxUint64},
	} {
		root := fstest.MapFS{}
		for path, text := range test.files {
			root[path] = &fstest.MapFile{Data: []byte(text)}
		}
		if got := containerLimit(root); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
}

// TestStart: the percent follows what is live, and is put back at the end.
func TestStart(t *testing.T) {
	t.Setenv("GOGC", "")
	before := gcPercent()
	stop := Start()
	await(t, tight)
	kept := make([]byte, 48*mib)
	await(t, percent(48*mib, containerLimit(os.DirFS("/"))))
	runtime.KeepAlive(kept)
	kept = nil //nolint:ineffassign,wastedassign // it is garbage now
	await(t, tight)
	stop()
	if got := gcPercent(); got != before {
		t.Errorf("%d%% afterwards, want %d%%", got, before)
	}
}

// TestOperator: who sets GOGC has the last word.
func TestOperator(t *testing.T) {
	t.Setenv("GOGC", "70")
	defer debug.SetGCPercent(debug.SetGCPercent(70))
	stop := Start()
	defer stop()
	if got := gcPercent(); got != 70 {
		t.Errorf("%d%%", got)
	}
}

// await collects garbage until the percent is about as wanted.
func await(t *testing.T, want int) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; runtime.Gosched() {
		runtime.GC()
		got := gcPercent()
		if got >= want*8/10 && got <= want*12/10 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d%% with %d MiB live, want about %d%%", got, live()/mib, want)
		}
	}
}

func gcPercent() int {
	sample := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	metrics.Read(sample)
	return int(sample[0].Value.Uint64())
}
