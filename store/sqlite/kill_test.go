package sqlite_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/seal"
	"regcred.dev/store/sqlite"
)

// The test binary runs as a writer where this variable names a database. Its
// argument is the seed of what it writes, or togetherArg.
const writerEnv = "REGCRED_TEST_WRITER"

// killPointsEnv sets how many times TestKill kills a writer.
const killPointsEnv = "REGCRED_KILL_POINTS"

func TestMain(m *testing.M) {
	if path := os.Getenv(writerEnv); path != "" {
		if os.Args[1] == togetherArg {
			panic(writeTogether(path))
		}
		seed, err := strconv.ParseUint(os.Args[1], 10, 64)
		if err == nil {
			err = writer(path, seed)
		}
		panic(err)
	}
	m.Run()
}

// writer opens the store and changes it until it is killed. It says on standard
// output what it begins and what was acknowledged.
func writer(path string, seed uint64) error {
	fmt.Println("open")
	ctx := context.Background()
	s, err := openWriter(ctx, path)
	if err != nil {
		return err
	}
	fence, err := s.Fence(ctx)
	if err != nil {
		return err
	}
	for _, step := range steps(seed) {
		fmt.Println("begin")
		if err := step.run(ctx, s, fence); err != nil {
			return err
		}
		fmt.Println("done")
	}
	return fmt.Errorf("nobody killed the writer of %d", seed)
}

// openWriter opens the store that the test opens after it.
func openWriter(ctx context.Context, path string) (*sqlite.Store, error) {
	k, err := seal.NewKey(bytes.Repeat([]byte{1}, seal.RootSize))
	if err != nil {
		return nil, err
	}
	return sqlite.Open(ctx, sqlite.Options{Path: path, Keys: seal.Keys{k}})
}

// step is one change to a store, to one of a few credentials. Both the writer and
// the test know all steps of a seed beforehand.
type step struct {
	kind  int
	guid  string
	value string
}

// The kinds of step.
const (
	stepSet    = iota // creates the credential, or gives it another password
	stepLogin         // puts a login, if the credential is there
	stepDelete        // deletes the credential, if it is there
	stepDrop          // drops its login, if it is there
	stepToken         // creates a token
	stepKinds
)

func steps(seed uint64) []step {
	random := rand.New(rand.NewPCG(seed, 3))
	list := make([]step, 1000)
	for i := range list {
		list[i] = step{
			kind: random.IntN(stepKinds), guid: fmt.Sprint("guid-", random.IntN(5)), value: fmt.Sprintf("%d-%d", seed, i),
		}
	}
	return list
}

// run makes the step.
func (st step) run(ctx context.Context, s regcred.Store, fence uint64) error {
	switch st.kind {
	case stepSet:
		password := regcred.NewSecret(st.value)
		_, err := s.Update(ctx, st.guid, func(c *regcred.Credential) error { c.Password = password; return nil })
		if regcred.CodeOf(err) == regcred.NotFound {
			_, err = s.Create(ctx, regcred.Credential{GUID: st.guid, Provider: "vendor", Password: password})
		}
		return err
	case stepLogin, stepDelete, stepDrop:
		c, err := s.Get(ctx, st.guid)
		if regcred.CodeOf(err) == regcred.NotFound {
			return nil
		}
		if err != nil {
			return err
		}
		switch st.kind {
		case stepDelete:
			_, err = s.Delete(ctx, st.guid)
		case stepDrop:
			_, err = s.DropLogin(ctx, st.guid)
		default:
			_, err = s.PutLogin(ctx, st.guid, regcred.Login{Password: regcred.NewSecret(st.value), Version: c.Version}, fence)
		}
		return err
	}
	return s.CreateToken(ctx, regcred.APIToken{ID: st.value})
}

// model is what a store should hold: the password of each credential by "guid",
// that of its login by "guid login", "dropped" where that was dropped, "deleted" by
// the guid of a deleted one, and "token" by the id of each token.
type model map[string]string

// apply is what run does, on a model.
func (m model) apply(st step) {
	have := m[st.guid] != "" && m[st.guid] != "deleted"
	switch {
	case st.kind == stepSet:
		m[st.guid] = st.value
	case st.kind == stepLogin && have:
		m[st.guid+" login"] = st.value
	case st.kind == stepDelete && have:
		m[st.guid] = "deleted"
		delete(m, st.guid+" login")
	case st.kind == stepDrop && have:
		m[st.guid+" login"] = "dropped"
	case st.kind == stepToken:
		m[st.value] = "token"
	}
}

// read returns what a store holds. The revision of each change is checked against
// the store's own.
func read(t *testing.T, s regcred.Store) model {
	t.Helper()
	m := model{}
	for batch, err := range s.Watch(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		for _, change := range batch.Changes {
			guid := change.Credential.GUID
			switch {
			case change.Err != nil || change.Revision > batch.Revision:
				t.Fatalf("a change that was half written: %+v", change)
			case change.Deleted:
				m[guid] = "deleted"
				continue
			case change.Login != nil:
				m[guid+" login"] = change.Login.Password.Reveal()
			case change.Credential.DropRevision > 0:
				m[guid+" login"] = "dropped"
			}
			c, err := s.Get(t.Context(), guid)
			if err != nil {
				t.Fatal(err)
			}
			m[guid] = c.Password.Reveal()
		}
		break
	}
	tokens, err := s.Tokens(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range tokens {
		m[token.ID] = "token"
	}
	return m
}

// killPoints returns how many times a test kills a writer.
func killPoints(t *testing.T) int {
	t.Helper()
	text := os.Getenv(killPointsEnv)
	if text == "" {
		return 50
	}
	points, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", killPointsEnv, err)
	}
	return points
}

// TestKill kills a writer again and again at random points, its very first start
// too. Each time the store opens, and holds what was acknowledged; of the change
// under way it holds all or nothing.
func TestKill(t *testing.T) {
	points := killPoints(t)
	var path string
	var want model
	var acknowledged, midway int
	var starts []time.Duration
	for seed := range uint64(points) {
		if seed%10 == 0 { // a new store, whose first start is killed
			path, want = filepath.Join(t.TempDir(), "regcred.db"), model{}
		}
		random := rand.New(rand.NewPCG(seed, 4))
		lines, pause := 1+random.IntN(40), time.Duration(random.IntN(3000))*time.Microsecond
		if seed%10 == 0 {
			lines, pause = 1, 5*pause
		}
		var begun, done int
		killWriter(t, path, strconv.FormatUint(seed, 10), lines, pause, func(line string) {
			switch line {
			case "begin\n":
				begun++
			case "done\n":
				done++
			}
		})
		acknowledged += done
		for _, st := range steps(seed)[:done] {
			want.apply(st)
		}
		possible := []model{want}
		if begun > done {
			midway++
			further := maps.Clone(want)
			further.apply(steps(seed)[done])
			possible = append(possible, further)
		}
		began := time.Now()
		want = reopen(t, path, seed, possible)
		starts = append(starts, time.Since(began))
	}
	t.Logf("%d kills, %d of them amid a change, after %d acknowledged changes", points, midway, acknowledged)
	if acknowledged < points || midway == 0 {
		t.Fatal("the kills did not hit a writer at work")
	}
	// A busy machine makes one start slow, or some; a slow recovery all.
	slices.Sort(starts)
	if middle := starts[points/2]; middle > 5*time.Second {
		t.Errorf("every other start takes %s and more", middle)
	}
}

// reopen opens the store after a kill and returns which of the possible states it
// is in.
func reopen(t *testing.T, path string, seed uint64, possible []model) model {
	t.Helper()
	// The deadline is far off what it takes, it only tells a start from a hang.
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := sqlite.Open(ctx, sqlite.Options{Path: path, Keys: seal.Keys{key(t, 1)}})
	if err != nil {
		t.Fatalf("seed %d: the store does not open after a kill: %v", seed, err)
	}
	defer s.Close()
	got := read(t, s)
	for _, m := range possible {
		if maps.Equal(m, got) {
			return got
		}
	}
	t.Fatalf("seed %d: after a kill (-acknowledged +found):\n%s", seed, cmp.Diff(possible[0], got))
	return nil
}

// killWriter starts a writer, kills it some time after it wrote a number of lines,
// and hands all lines that it wrote to said. The pause is no wait for anything: it
// moves the kill into the midst of a step.
func killWriter(t *testing.T, path, arg string, lines int, pause time.Duration, said func(line string)) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], arg)
	cmd.Env = append(os.Environ(), writerEnv+"="+path)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	output := bufio.NewReader(stdout)
	read := 0
	count := func() bool {
		line, err := output.ReadString('\n')
		said(line)
		read++
		return err == nil
	}
	for running := true; running && read < lines; {
		running = count()
	}
	<-time.After(pause)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for count() { // what it said before it died
	}
	_, _ = io.Copy(io.Discard, output)
	if err := cmd.Wait(); err == nil || stderr.Len() > 0 {
		t.Fatalf("writer %s ended by itself: %v, %s", arg, err, stderr.String())
	}
}
