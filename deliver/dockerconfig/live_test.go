package dockerconfig_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docker/cli/cli/config/configfile"
	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/deliver"
	"regcred.dev/deliver/dockerconfig"
	"regcred.dev/keyring"
	"regcred.dev/regcredtest"
)

// patience bounds how long a test waits for what must come.
const patience = 20 * time.Second

// feed is a store that yields the batches which the test sends.
type feed chan regcred.Batch

func (c feed) Watch(ctx context.Context, _ uint64) iter.Seq2[regcred.Batch, error] {
	return func(yield func(regcred.Batch, error) bool) {
		for {
			select {
			case b := <-c:
				if !yield(b, nil) {
					return
				}
			case <-ctx.Done():
				yield(regcred.Batch{}, ctx.Err())
				return
			}
		}
	}
}

// run runs a target until the test's end. Its store begins with a credential for
// each host.
func run(t *testing.T, store string, target deliver.Target, hosts ...string) (*deliver.Runner, feed) {
	t.Helper()
	books, changes := keyring.New(store), make(feed)
	runner := deliver.NewRunner(deliver.Options{Books: books, Targets: []deliver.Target{target}, Resync: time.Hour})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = books.Follow(ctx, changes) }) // always ctx's error
	running.Go(func() {
		if err := runner.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	first := regcred.Batch{Revision: 100, Current: true}
	for i, host := range hosts {
		first.Changes = append(first.Changes, put(uint64(i+1), host, canary))
	}
	changes <- first
	return runner, changes
}

// eventually polls until ok holds, and fails where it does not in time.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come within %s", what, patience)
		}
	}
}

// has reports whether a file has our login for a host.
func has(t *testing.T, path, host string) bool {
	return readLogins(t, path)[host] == "robot:"+canary
}

// TestRepaired has our entry edited away in every way that somebody may do it, with
// a resync interval of an hour: the watch alone notices.
func TestRepaired(t *testing.T) {
	tests := []struct {
		name string
		do   func(t *testing.T, path, real string)
	}{
		{"entry removed by a rename over", func(t *testing.T, _, real string) { putLogin(t, real, "a.example.com", "") }},
		{"entry edited", func(t *testing.T, _, real string) { putLogin(t, real, "a.example.com", "robot:x") }},
		{"written in place", func(t *testing.T, _, real string) { write(t, real, `{"auths":{}}`, 0o600) }},
		{"removed", func(t *testing.T, _, real string) { must(t, os.Remove(real)) }},
		{"renamed away", func(t *testing.T, _, real string) { must(t, os.Rename(real, real+".bak")) }},
		{"directory removed", func(t *testing.T, _, real string) { must(t, os.RemoveAll(filepath.Dir(real))) }},
		{"directory renamed away", func(t *testing.T, _, real string) { must(t, os.Rename(filepath.Dir(real), filepath.Dir(real)+".bak")) }},
		{"all directories removed", func(t *testing.T, _, real string) { must(t, os.RemoveAll(filepath.Dir(filepath.Dir(real)))) }},
		{"link replaced by a file", func(t *testing.T, path, _ string) { renameOver(t, path, []byte("{}")) }},
		{"malformed for a while", func(t *testing.T, _, real string) {
			write(t, real, `{"auths":`, 0o600)
			time.Sleep(50 * time.Millisecond) // sometimes a sync sees it, sometimes none
			write(t, real, `{"auths":{}}`, 0o600)
		}},
	}
	for _, linked := range []bool{false, true} {
		for _, test := range tests {
			t.Run(fmt.Sprintf("%s, linked %t", test.name, linked), func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				path := filepath.Join(dir, "home", "docker", "config.json")
				real := path
				if linked {
					real = filepath.Join(dir, "real", "below", "file")
					if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
						t.Fatal(err)
					}
					if err := os.Symlink(real, path); err != nil {
						t.Fatal(err)
					}
				}
				runner, _ := run(t, "s1", target(nil, path), "a.example.com")
				eventually(t, "the login", func() bool { return has(t, path, "a.example.com") })
				eventually(t, "the watch's sync", func() bool {
					s := runner.Status()[0]
					return s.Revision > 0 && s.Changed == 0
				})
				began := time.Now()
				test.do(t, path, real)
				eventually(t, "the repair", repaired(t, path))
				t.Logf("repaired after %s", time.Since(began).Round(time.Millisecond))
				// It is watched on, wherever it is now.
				putLogin(t, path, "a.example.com", "")
				eventually(t, "the second repair", repaired(t, path))
			})
		}
	}
}

// repaired returns a condition that polls whether a file has our login again, also
// where it is missing or written half.
func repaired(t *testing.T, path string) func() bool {
	return func() bool {
		data, err := os.ReadFile(path)
		return err == nil && json.Valid(data) && has(t, path, "a.example.com")
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestNoLoops: our own writes are no reason for more of them.
func TestNoLoops(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	counting := &counter{Target: target(nil, path)}
	_, changes := run(t, "s1", counting, "a.example.com")
	for i := range 5 {
		password := fmt.Sprint("password", i)
		changes <- regcred.Batch{Revision: uint64(101 + i), Changes: []regcred.Change{put(uint64(101+i), "a.example.com", password)}}
		eventually(t, "the login", func() bool { return readLogins(t, path)["a.example.com"] == "robot:"+password })
	}
	eventually(t, "quiet", func() bool {
		before := counting.count()
		time.Sleep(time.Second)
		return counting.count() == before
	})
	if n := counting.count(); n > 20 {
		t.Errorf("%d syncs for 6 changes", n)
	}
}

// counter counts the syncs of a target.
type counter struct {
	deliver.Target
	mu sync.Mutex
	n  int
}

func (c *counter) Sync(ctx context.Context, b *keyring.Book, o deliver.SyncOptions) (deliver.Report, error) {
	c.mu.Lock()
	c.n++
	c.mu.Unlock()
	return c.Target.Sync(ctx, b, o)
}

func (c *counter) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

// TestConcurrentEditor: somebody adds entries as docker does, without any lock,
// while logins are renewed all the time. None of them is lost. Both pause for a few
// milliseconds after each write: two writes within the same microseconds are more
// than can be told apart (see replacement.write).
func TestConcurrentEditor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	tg, b := target(nil, path), book(9, "a.example.com")
	mustSync(t, tg, b)

	done := make(chan struct{})
	var renewals atomic.Int64
	var syncing sync.WaitGroup
	syncing.Go(func() {
		for revision := uint64(10); ; revision++ {
			select {
			case <-done:
				return
			default:
			}
			b = b.Apply(regcred.Batch{Revision: revision, Changes: []regcred.Change{put(revision, "a.example.com", fmt.Sprint(revision))}})
			if _, err := tg.Sync(t.Context(), b, deliver.SyncOptions{}); err != nil && regcred.CodeOf(err) != regcred.Unavailable {
				t.Errorf("Sync: %v", err)
			}
			renewals.Add(1)
			time.Sleep(7 * time.Millisecond)
		}
	})
	want := map[string]string{}
	for i := 0; i < 100 || renewals.Load() < 40; i++ {
		host := fmt.Sprintf("r%d.example.com", i)
		want[host] = "robot:theirs"
		putLogin(t, path, host, want[host])
		time.Sleep(5 * time.Millisecond)
	}
	close(done)
	syncing.Wait()
	t.Logf("%d entries added during %d renewals", len(want), renewals.Load())
	mustSync(t, tg, b)
	got := readLogins(t, path)
	delete(got, "a.example.com")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the entries of the other editor (-want +got):\n%s", diff)
	}
	wantNames(t, filepath.Dir(path), ".config.json.regcred", ".config.json.regcred.lock", "config.json")
}

// TestTwoRegcreds: two stores deliver to one file at the same time, each its own and
// both a third host; neither takes anything from the other, and they do not quarrel.
func TestTwoRegcreds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	one := &counter{Target: target(nil, path)}
	two := &counter{Target: target(nil, path)}
	first, _ := run(t, "s1", one, "a.example.com", "both.example.com")
	second, changes := run(t, "s2", two, "b.example.com", "both.example.com")
	eventually(t, "all logins", func() bool { return len(readLogins(t, path)) == 3 })
	for i := range 10 {
		password := fmt.Sprint("password", i)
		revision := uint64(101 + i)
		changes <- regcred.Batch{Revision: revision, Changes: []regcred.Change{put(revision, "b.example.com", password)}}
		eventually(t, "the renewed login", func() bool { return readLogins(t, path)["b.example.com"] == "robot:"+password })
	}
	eventually(t, "quiet", func() bool {
		before := one.count() + two.count()
		time.Sleep(time.Second)
		return one.count()+two.count() == before
	})
	if logins := readLogins(t, path); len(logins) != 3 || !has(t, path, "a.example.com") || !has(t, path, "both.example.com") {
		t.Errorf("there are %d logins", len(logins))
	}
	// Each holds what the other has in common with it or delivered alone.
	want := map[string]int{"a.example.com": 1, "b.example.com": 1, "both.example.com": 1}
	eventually(t, fmt.Sprintf("what one of the two holds, %v,", want), func() bool {
		held := map[string]int{}
		for _, s := range []deliver.Status{first.Status()[0], second.Status()[0]} {
			for _, h := range s.Held {
				held[h.Key]++
			}
		}
		return maps.Equal(want, held)
	})
}

// TestDockerReadsIt: docker's own library reads what was written, and what it writes
// is no reason for a change.
func TestDockerReadsIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	tg, b := target(nil, path), book(9, "a.example.com", "b.example.com:5000", "docker.io")
	mustSync(t, tg, b)
	file := configfile.New(path)
	if err := file.LoadFromReader(strings.NewReader(read(t, path))); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"a.example.com", "b.example.com:5000", "https://index.docker.io/v1/"} {
		auth, err := file.GetAuthConfig(key)
		if err != nil || auth.Username != "robot" || auth.Password != canary {
			t.Errorf("docker has the user %q for %s, %v", auth.Username, key, err)
		}
	}
	if keys := slices.Collect(maps.Keys(file.AuthConfigs)); len(keys) != 3 {
		t.Errorf("docker has %q", keys)
	}
	file.DetachKeys = "ctrl-e,e"
	if err := file.Save(); err != nil {
		t.Fatal(err)
	}
	before := read(t, path)
	if report := mustSync(t, tg, b); report.Changed != 0 || report.Delivered != 3 || read(t, path) != before {
		t.Errorf("after docker wrote the file: %+v", report)
	}
}

// TestNothingIsLogged: no password reaches the log or an error, whatever happens.
func TestNothingIsLogged(t *testing.T) {
	var logged bytes.Buffer
	log := slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good.json"), filepath.Join(dir, "bad.json")
	malformed := `{"auths":{"a.example.com":{"auth":"` + basic(canary) + `"}},}`
	write(t, bad, malformed, 0o600)
	tg := target(func(o *dockerconfig.Options) { o.Log = log }, good, bad)
	books, changes := keyring.New("s1"), make(feed)
	runner := deliver.NewRunner(deliver.Options{Books: books, Targets: []deliver.Target{tg}, Log: log})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = books.Follow(ctx, changes) }) // always ctx's error
	running.Go(func() { _ = runner.Run(ctx) })            // never fails
	changes <- regcred.Batch{Revision: 1, Current: true, Changes: []regcred.Change{put(1, "a.example.com", canary)}}
	eventually(t, "the login", func() bool { _, err := os.Stat(good); return err == nil && has(t, good, "a.example.com") })
	eventually(t, "the failure", func() bool { return runner.Status()[0].Failures > 0 })
	cancel()
	running.Wait()
	fmt.Fprintf(&logged, "%+v", runner.Status())
	if leaks := regcredtest.Leaks(logged.Bytes(), canary); len(leaks) > 0 {
		t.Errorf("the password is shown as %v", leaks)
	}
	if where := fmt.Sprintf("line 1, column %d:", len(malformed)); !strings.Contains(logged.String(), where) {
		t.Errorf("the log does not say where the file is malformed:\n%s", logged.String())
	}
}
