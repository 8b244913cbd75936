package dockerconfig_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/deliver"
	"regcred.dev/keyring"
)

const (
	// killFile makes the test binary a regcred that delivers to a file until it is
	// killed; killRevision is the revision that its store begins with.
	killFile     = "REGCRED_TEST_KILL_FILE"
	killRevision = "REGCRED_TEST_KILL_REVISION"

	killHosts = 20
)

func TestMain(m *testing.M) {
	if path := os.Getenv(killFile); path != "" {
		fmt.Fprintln(os.Stderr, deliverUntilKilled(path))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// killHost returns the host of a credential, which is its guid too.
func killHost(i int) string { return fmt.Sprintf("r%02d.example.com", i) }

// deliverUntilKilled renews, deletes and stores credentials again, and delivers each
// step.
func deliverUntilKilled(path string) error {
	revision, err := strconv.ParseUint(os.Getenv(killRevision), 10, 64)
	if err != nil {
		return err
	}
	tg, b := target(nil, path), killBook(revision, "begin", killHosts)
	for step := 0; ; step++ {
		if _, err := tg.Sync(context.Background(), b, deliver.SyncOptions{}); err != nil {
			return err
		}
		if step == 0 {
			fmt.Println("delivered")
		}
		revision++
		c := put(revision, killHost(step*7%killHosts), fmt.Sprint("step ", step))
		if step%3 == 2 {
			c = regcred.Change{Revision: revision, Credential: c.Credential, Deleted: true}
		}
		b = b.Apply(regcred.Batch{Revision: revision, Changes: []regcred.Change{c}})
	}
}

// killBook returns a book with the last n credentials; the others are deleted.
func killBook(revision uint64, password string, n int) *keyring.Book {
	batch := regcred.Batch{Revision: revision, Current: true}
	for i := range killHosts {
		c := put(revision, killHost(i), password)
		c.Deleted = i < killHosts-n
		batch.Changes = append(batch.Changes, c)
	}
	return keyring.New("s1").Now().Apply(batch)
}

// TestKill kills a regcred that delivers at a random moment, again and again. The
// file is valid at every moment, what others wrote is untouched, and the next start
// makes all right. REGCRED_KILL_POINTS says how often; default 50.
func TestKill(t *testing.T) {
	points := 50
	if s := os.Getenv("REGCRED_KILL_POINTS"); s != "" {
		var err error
		if points, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "config.json")
	write(t, path, "{\n  \"auths\": {\"theirs.example.com\": {\"auth\": \"eDp5\", \"n\": 1.50}},\n  \"unknown\": [1e400]\n}", 0o600)
	foreign := strangers(t, path)
	random := rand.New(rand.NewPCG(4711, 0))
	midway := 0 // kills that left something to clean up
	var starts []time.Duration
	for point := range points {
		revision := uint64(point+1) * 1_000_000
		kill(t, path, revision, time.Duration(random.IntN(60_000))*time.Microsecond)

		if diff := cmp.Diff(foreign, strangers(t, path)); diff != "" {
			t.Fatalf("kill %d changed what others wrote (-before +after):\n%s", point, diff)
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) > 3 {
			midway++
		}
		keep := point % 2 * (killHosts / 2)
		began := time.Now()
		report := mustSync(t, target(nil, path), killBook(revision+500_000, canary, killHosts/2+keep))
		starts = append(starts, time.Since(began))
		if len(report.Held) > 0 || len(report.Warnings) > 0 || report.Delivered != killHosts/2+keep {
			t.Errorf("after kill %d the report is %+v", point, report)
		}
		want := map[string]string{"theirs.example.com": "x:y"}
		for i := range killHosts/2 + keep {
			want[killHost(killHosts-1-i)] = "robot:" + canary
		}
		if diff := cmp.Diff(want, readLogins(t, path)); diff != "" {
			t.Fatalf("after kill %d and a start (-want +got):\n%s", point, diff)
		}
		wantNames(t, dir, ".config.json.regcred", ".config.json.regcred.lock", "config.json")
	}
	t.Logf("%d of %d kills left a temporary file", midway, points)
	if midway == 0 && points >= 50 {
		t.Error("no kill hit a write: the test proves nothing")
	}
	// A busy machine makes one start slow, or some; a slow recovery all.
	slices.Sort(starts)
	if middle := starts[points/2]; middle > 5*time.Second {
		t.Errorf("every other start takes %s and more", middle)
	}
	if err := target(nil, path).Uninstall(t.Context(), "s1"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"theirs.example.com": "x:y"}, readLogins(t, path)); diff != "" {
		t.Errorf("after uninstalling (-want +got):\n%s", diff)
	}
}

// kill starts a regcred, and kills it a while after its first delivery.
func kill(t *testing.T, path string, revision uint64, after time.Duration) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), killFile+"="+path, killRevision+"="+fmt.Sprint(revision))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("the regcred ended by itself: %q, %v", line, err)
	}
	time.Sleep(after)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.Exited() {
		t.Fatalf("the regcred was not killed: %v", err)
	}
}

// strangers returns all of a file that is not regcred's, as it is written.
func strangers(t *testing.T, path string) map[string]string {
	t.Helper()
	var file, auths map[string]json.RawMessage
	decode(t, path, &file)
	if err := json.Unmarshal(file["auths"], &auths); err != nil {
		t.Fatal(err)
	}
	delete(file, "auths")
	maps.DeleteFunc(auths, func(key string, _ json.RawMessage) bool { return key[0] == 'r' })
	maps.Copy(file, auths)
	texts := map[string]string{}
	for key, value := range file {
		texts[key] = string(value)
	}
	return texts
}
