package registry_test

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"cuelabs.dev/go/oci/ociregistry"
	"github.com/opencontainers/go-digest"

	"regcred.dev/registry"
	"regcred.dev/registry/blob"
)

// killDir names the storage of a child that is killed, killTask what it does until
// then, killRound which one it is.
const (
	killDir   = "REGCRED_KILL_DIR"
	killTask  = "REGCRED_KILL_TASK"
	killRound = "REGCRED_KILL_ROUND"
)

// killTasks are what children do.
var killTasks = map[string]func(dir string, seed uint64) error{
	"push": pushUntilKilled, "collect": collectUntilKilled, "serve": serveUntilKilled,
}

func TestMain(m *testing.M) {
	if dir := os.Getenv(killDir); dir != "" {
		fmt.Fprintln(os.Stderr, runTask(dir))
		os.Exit(1) // never on to the tests, which would start children of their own
	}
	os.Exit(m.Run())
}

// runTask does the task of a child until that is killed, or returns why it was not.
func runTask(dir string) error {
	task := killTasks[os.Getenv(killTask)]
	seed, err := strconv.ParseUint(os.Getenv(killRound), 10, 64)
	if task == nil || err != nil {
		return fmt.Errorf("there is no task %q of round %q", os.Getenv(killTask), os.Getenv(killRound))
	}
	return cmp.Or(task(dir, seed), errors.New("the task has ended"))
}

// TestKill kills a process that pushes, again and again over the same storage, at
// 50 points, or as many as REGCRED_KILL_POINTS says. After each, the storage opens
// clean, every push that was acknowledged is there, and no tag points at anything
// that is incomplete.
func TestKill(t *testing.T) {
	points := killPoints(t)
	dir := t.TempDir()
	acknowledged := 0
	for round := range points {
		acked := runChild(t, dir, "push", round)
		acknowledged += len(acked)
		storage := openStorage(t, dir)
		for _, ack := range acked {
			repo, tag, _ := strings.Cut(ack, " ")
			checkImage(t, storage, repo, tag)
		}
		checkTags(t, storage, killRepo(strconv.Itoa(round)))
		if left := fileNames(t, filepath.Join(dir, "tmp")); len(left) > 0 {
			t.Errorf("round %d: temporary files are left: %q", round, left)
		}
		if t.Failed() {
			t.Fatalf("failed in round %d", round)
		}
	}
	t.Logf("%d pushes were acknowledged in %d rounds", acknowledged, points)
	if acknowledged == 0 {
		t.Error("no push was acknowledged in any round: the test shows nothing")
	}
	checkContents(t, filepath.Join(dir, "objects", "blobs"))
	if _, err := openStorage(t, dir).CleanUploads(t.Context(), time.Now().Add(time.Hour)); err != nil {
		t.Error(err)
	}
	if left := fileNames(t, filepath.Join(dir, "uploads")); len(left) > 0 {
		t.Errorf("uploads are left: %q", left)
	}
}

// killPoints returns how often to kill.
func killPoints(t *testing.T) int {
	t.Helper()
	points, err := strconv.Atoi(cmp.Or(os.Getenv("REGCRED_KILL_POINTS"), "50"))
	if err != nil {
		t.Fatal(err)
	}
	return points
}

func killRepo(round string) string { return "kill/r" + round }

// runChild runs a process that does a task until it is killed, and returns what it said
// was done.
func runChild(t *testing.T, dir, task string, round int) []string {
	t.Helper()
	patience, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(patience, os.Args[0])
	cmd.Env = append(os.Environ(), killDir+"="+dir, killTask+"="+task, killRound+"="+strconv.Itoa(round))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var acked []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		acked = append(acked, lines.Text())
	}
	err = cmd.Wait()
	if patience.Err() != nil {
		t.Fatalf("round %d: the child neither ends nor is killed", round)
	}
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		t.Fatalf("round %d: the child ended by itself: %v", round, err)
	}
	return acked
}

// pushUntilKilled is a child. It kills itself, as kill -9 does, after up to two pushes and
// some time into what comes then, as the seed says: however slow the machine is, the
// points are spread over all of the work.
func pushUntilKilled(dir string, seed uint64) error {
	d, err := blob.Open(dir)
	if err != nil {
		return err
	}
	storage := registry.NewStorage(d, registry.StorageOptions{})
	round := strconv.FormatUint(seed, 10)
	point := rand.New(rand.NewPCG(seed, 1))
	after, left := time.Duration(point.Int64N(int64(250*time.Millisecond))), point.IntN(3)
	doom := func() { time.AfterFunc(after, func() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL) }) }
	if left == 0 {
		doom()
	}

	errs := make(chan error)
	var out sync.Mutex
	for worker := range 2 {
		go func() {
			random := rand.New(rand.NewPCG(seed, uint64(worker)+2))
			for i := 0; ; i++ {
				tag := fmt.Sprintf("w%d-%d", worker, i)
				if err := pushKillImage(storage, killRepo(round), tag, random); err != nil {
					errs <- err
					return
				}
				out.Lock()
				fmt.Printf("%s %s\n", killRepo(round), tag)
				if left--; left == 0 {
					doom()
				}
				out.Unlock()
			}
		}()
	}
	return <-errs
}

// pushKillImage pushes an image under two tags, one of which both workers move.
func pushKillImage(s *registry.Storage, repo, tag string, random *rand.Rand) error {
	var contents []string
	for range 3 {
		// A few contents only: the same ones are pushed by several at once.
		content := strings.Repeat(strconv.Itoa(random.IntN(8)), random.IntN(3)*20_000+1)
		if err := pushInChunks(s, repo, content); err != nil {
			return err
		}
		contents = append(contents, content)
	}
	manifest := imageManifest(contents...)
	manifest = fmt.Sprintf(`%s,"annotations":{"tag":%q}}`, manifest[:len(manifest)-1], tag)
	for _, tag := range []string{tag, "latest"} {
		if _, err := s.PushManifest(ctx, repo, tag, []byte(manifest), ociImage); err != nil {
			return err
		}
	}
	return nil
}

func pushInChunks(s *registry.Storage, repo, content string) error {
	w, err := s.PushBlobChunked(ctx, repo, 0)
	if err != nil {
		return err
	}
	defer w.Close()
	for chunk := range strings.SplitAfterSeq(content, strings.Repeat(content[:1], 5_000)) {
		if _, err := w.Write([]byte(chunk)); err != nil {
			return err
		}
	}
	_, err = w.Commit(digest.FromString(content))
	return err
}

// checkTags checks whatever the repository has tags of, if it is there.
func checkTags(t *testing.T, s *registry.Storage, repo string) {
	t.Helper()
	for tag, err := range s.Tags(t.Context(), repo, "") {
		if unknown(err) {
			return // killed before its first blob
		}
		if err != nil {
			t.Fatal(err)
		}
		checkImage(t, s, repo, tag)
	}
}

// checkImage reads everything of an image.
func checkImage(t *testing.T, s *registry.Storage, repo, tag string) {
	t.Helper()
	r, err := s.GetTag(t.Context(), repo, tag)
	if err != nil {
		t.Errorf("%s:%s: %v", repo, tag, err)
		return
	}
	defer r.Close()
	var m ociregistry.Manifest
	if err := json.NewDecoder(r).Decode(&m); err != nil {
		t.Errorf("%s:%s: %v", repo, tag, err)
	}
	for _, desc := range append(m.Layers, m.Config) {
		blob, err := s.GetBlob(t.Context(), repo, desc.Digest)
		if err != nil {
			t.Errorf("%s:%s: blob %s: %v", repo, tag, desc.Digest, err)
			continue
		}
		if d, err := digest.FromReader(blob); err != nil || d != desc.Digest {
			t.Errorf("%s:%s: blob %s has digest %s, %v", repo, tag, desc.Digest, d, err)
		}
		_ = blob.Close()
	}
}

// checkContents checks that the name of each content is its digest.
func checkContents(t *testing.T, dir string) {
	t.Helper()
	for _, name := range fileNames(t, dir) {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := digest.FromBytes(data).Encoded(); got != filepath.Base(name) {
			t.Errorf("%s has digest %s", name, got)
		}
	}
}

// fileNames lists the files below a directory.
func fileNames(t *testing.T, dir string) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			list = append(list, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}
