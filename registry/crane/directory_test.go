package crane_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"regcred.dev/registry/crane"
)

// at is the metadata of a v2 repository, acme/NAME, whose files are at a host.
func at(name, host string) string {
	return fmt.Sprintf(`{"version":2,"repo-registry-id":"acme/%s","url":"https://%s/"}`, name, host)
}

// served returns where a handler sends clients for each of some repositories, "" for
// what it does not serve.
func served(t testing.TB, d *crane.Directory, names ...string) map[string]string {
	t.Helper()
	h := newHandler(t, crane.Options{Directory: d})
	m := map[string]string{}
	for _, name := range names {
		to := ask(t, h, "GET", "/v2/acme/"+name+"/tags/list").location()
		m[name] = strings.TrimSuffix(strings.TrimPrefix(to, "https://"), "/tags/list")
	}
	return m
}

// bad returns what is wrong by path below the directory, and whether it is kept.
func bad(d *crane.Directory) map[string]bool {
	s := d.Status()
	m := map[string]bool{}
	for _, b := range s.Bad {
		rel, _ := filepath.Rel(s.Path, b.Path) // both are below the same directory
		m[rel] = b.Kept
	}
	return m
}

func TestDirectory(t *testing.T) {
	dir := t.TempDir()
	outside := t.TempDir()
	writeFiles(t, outside, map[string]string{"linked.json": at("linked", "linked.test"), "far/deep.json": at("deep", "deep.test")})
	writeFiles(t, dir, map[string]string{
		"a.json": at("a", "a.test"), "sub/b.json": at("b", "b.test"), ".hidden.json": at("hidden", "hidden.test"),
		"c.txt": at("c", "c.test"), "bad.json": "{", "wrong.json": `{"version":9}`,
		"z-again.json":          at("a", "again.test"),
		"..2026_01/volume.json": at("volume", "volume.test"),
	})
	for name, to := range map[string]string{
		"link.json": filepath.Join(outside, "linked.json"), "far": filepath.Join(outside, "far"),
		"loop": dir, "dangling.json": "nowhere", "dangling": "nowhere",
		"..data": "..2026_01", "volume.json": "..data/volume.json",
	} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	var log bytes.Buffer
	d, err := crane.OpenDirectory(crane.DirectoryOptions{Path: dir, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"a": "a.test", "b": "b.test", "hidden": "hidden.test", "c": "", "linked": "linked.test", "deep": "deep.test", "volume": "volume.test",
	}
	if diff := cmp.Diff(want, served(t, d, "a", "b", "c", "hidden", "linked", "deep", "volume")); diff != "" {
		t.Errorf("served (-want +got):\n%s", diff)
	}
	wantBad := map[string]bool{"bad.json": false, "wrong.json": false, "dangling.json": false, "z-again.json": false}
	if diff := cmp.Diff(wantBad, bad(d)); diff != "" {
		t.Errorf("bad (-want +got):\n%s", diff)
	}
	if s := d.Status(); s.V2 != 6 || s.V1 != 0 || s.ReadAt.IsZero() {
		t.Errorf("status %+v", s)
	}
	for _, want := range []string{"bad.json", "unexpected end of JSON", "version is 9", "another file"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log has no %q:\n%s", want, log.String())
		}
	}
}

// TestOwners: of repositories that list the same image one is chosen, always the same.
func TestOwners(t *testing.T) {
	files := map[string]string{}
	for name, protected := range map[string]bool{"x": true, "y": false, "z": false} {
		files[name+".json"] = fmt.Sprintf(`{"version":1,"repo-registry-id":"acme/%s","url":"https://%s.test/","protected":%v,"images":[{"id":"aa"},{"id":"aa"}],"tags":{}}`, name, name, protected)
	}
	ca := newAuthority(t, nil)
	all := ca.entitled(t, nil, version1(t, "/$any")...)
	for _, test := range []struct {
		owners []string
		want   string
	}{
		{nil, "https://y.test/aa/layer"},
		{[]string{"acme/z"}, "https://z.test/aa/layer"},
		{[]string{"acme/none", "acme/z", "acme/y"}, "https://z.test/aa/layer"},
		{[]string{"acme/x", "acme/z"}, "https://z.test/aa/layer"}, // the first of which nobody is entitled to
	} {
		d := openDirectory(t, files, crane.DirectoryOptions{Owners: test.owners, ClientCAs: ca.pool()})
		h := newHandler(t, crane.Options{Directory: d})
		if got := ask(t, h, "GET", "/v1/images/aa/layer").location(); got != test.want {
			t.Errorf("%v: %s", test.owners, got)
		}
		if got := askWith(t, h, "/v1/images/aa/layer", all).location(); got != test.want {
			t.Errorf("%v, with a certificate: %s", test.owners, got)
		}
	}
}

// watched is a directory that is kept read.
type watched struct {
	*crane.Directory
	dir string
	log *syncBuffer
}

func watch(t *testing.T, files map[string]string, interval time.Duration) *watched {
	t.Helper()
	w := &watched{dir: t.TempDir(), log: &syncBuffer{}}
	writeFiles(t, w.dir, files)
	var err error
	w.Directory, err = crane.OpenDirectory(crane.DirectoryOptions{
		Path: w.dir, Interval: interval, Log: slog.New(slog.NewTextHandler(w.log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != context.Canceled { //nolint:errorlint // exactly that
			t.Errorf("Run ended with %v", err)
		}
	})
	return w
}

// wait polls until repositories are served from those hosts.
func (w *watched) wait(t *testing.T, want map[string]string) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		var names []string
		for name := range want {
			names = append(names, name)
		}
		diff := cmp.Diff(want, served(t, w.Directory, names...))
		if diff == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("served (-want +got):\n%s", diff)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// waitBad polls until that is wrong.
func (w *watched) waitBad(t *testing.T, want map[string]bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		diff := cmp.Diff(want, bad(w.Directory))
		if diff == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("bad (-want +got):\n%s", diff)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// TestWatch goes by what the system reports alone: its interval never comes.
func TestWatch(t *testing.T) {
	w := watch(t, map[string]string{"a.json": at("a", "one.test"), "b.json": at("b", "b.test")}, time.Hour)
	steps(t, w)
}

// TestInterval goes through the same by looks from time to time, which see all too.
func TestInterval(t *testing.T) {
	w := watch(t, map[string]string{"a.json": at("a", "one.test"), "b.json": at("b", "b.test")}, 2*time.Millisecond)
	steps(t, w)
}

func steps(t *testing.T, w *watched) {
	t.Helper()
	w.wait(t, map[string]string{"a": "one.test", "b": "b.test"})

	// In place, of the same size.
	writeFiles(t, w.dir, map[string]string{"a.json": at("a", "two.test")})
	w.wait(t, map[string]string{"a": "two.test"})

	// A new directory with files.
	writeFiles(t, w.dir, map[string]string{"new/deep/c.json": at("c", "c.test")})
	w.wait(t, map[string]string{"a": "two.test", "c": "c.test"})

	// A bad edit keeps what was there, and says so.
	writeFiles(t, w.dir, map[string]string{"a.json": `{"version":`})
	w.waitBad(t, map[string]bool{"a.json": true})
	w.wait(t, map[string]string{"a": "two.test", "b": "b.test", "c": "c.test"})
	if !strings.Contains(w.log.String(), "a.json") {
		t.Errorf("the log says nothing of it:\n%s", w.log)
	}

	// Renamed over, with another repository.
	writeFiles(t, w.dir, map[string]string{"tmp": at("d", "d.test")})
	if err := os.Rename(filepath.Join(w.dir, "tmp"), filepath.Join(w.dir, "a.json")); err != nil {
		t.Fatal(err)
	}
	w.wait(t, map[string]string{"a": "", "d": "d.test"})
	w.waitBad(t, map[string]bool{})

	// Removed.
	if err := os.RemoveAll(filepath.Join(w.dir, "new")); err != nil {
		t.Fatal(err)
	}
	w.wait(t, map[string]string{"b": "b.test", "c": "", "d": "d.test"})

	// The whole directory is replaced, and then a file of the new one.
	next := w.dir + "-next"
	writeFiles(t, next, map[string]string{"e.json": at("e", "e.test")})
	if err := os.Rename(w.dir, w.dir+"-last"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, w.dir); err != nil {
		t.Fatal(err)
	}
	w.wait(t, map[string]string{"b": "", "d": "", "e": "e.test"})
	writeFiles(t, w.dir, map[string]string{"e.json": at("e", "f.test")})
	w.wait(t, map[string]string{"e": "f.test"})
}

// TestGone: a directory that is gone takes nothing with it.
func TestGone(t *testing.T) {
	w := watch(t, map[string]string{"a.json": at("a", "a.test")}, 5*time.Millisecond)
	w.wait(t, map[string]string{"a": "a.test"})
	if err := os.Rename(w.dir, w.dir+"-aside"); err != nil {
		t.Fatal(err)
	}
	w.waitBad(t, map[string]bool{".": true})
	w.wait(t, map[string]string{"a": "a.test"})
	if err := os.Mkdir(w.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	w.wait(t, map[string]string{"a": ""})
	w.waitBad(t, map[string]bool{})
}

// TestLate: a directory that is made later is found.
func TestLate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "metadata")
	d, err := crane.OpenDirectory(crane.DirectoryOptions{Path: dir, Interval: 5 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]bool{".": false}, bad(d)); diff != "" {
		t.Errorf("bad (-want +got):\n%s", diff)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { _ = d.Run(ctx) }()
	writeFiles(t, dir, map[string]string{"a.json": at("a", "a.test")})
	(&watched{Directory: d}).wait(t, map[string]string{"a": "a.test"})
}

// syncBuffer is a bytes.Buffer that may be written to concurrently.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
