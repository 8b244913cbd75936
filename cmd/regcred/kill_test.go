package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"regcred.dev"
	"regcred.dev/client"
	"regcred.dev/cmd/regcred/demo"
	"regcred.dev/cmd/regcred/server"
)

// restart is how soon a killed server must be ready again. A busy machine makes one start
// slow, or some; a slow recovery makes all of them slow.
const restart = 5 * time.Second

// killed is a server that is killed again and again, and what it acknowledged.
type killed struct {
	t       *testing.T
	program string
	dir     string
	config  string // the docker config file that it delivers into
	archive string

	starts []time.Duration // until it was ready

	mu          sync.Mutex
	credentials map[string]bool // by location
	tags        []string
}

// TestKill kills a server with SIGKILL amid writes, publishing and delivery, at
// seeded points: the next start is clean, and all that was acknowledged is there.
// REGCRED_KILL_POINTS sets how many.
func TestKill(t *testing.T) {
	points := 10
	if s := os.Getenv("REGCRED_KILL_POINTS"); s != "" {
		var err error
		if points, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	k := newKilled(t)
	random := rand.New(rand.NewPCG(1, 2))
	for point := range points {
		srv := k.start()
		k.check(srv)
		published := len(k.tags)
		ctx, stop := context.WithCancel(t.Context())
		var work sync.WaitGroup
		work.Go(func() { k.write(ctx, srv, point) })
		work.Go(func() { k.publish(ctx, point) })
		// After up to two publications, and some time into what comes then: however
		// fast the machine is, the points are spread over all of the work.
		k.await(published + random.IntN(3))
		pause(ctx, time.Duration(random.IntN(100))*time.Millisecond)
		srv.kill()
		stop()
		work.Wait()
	}
	srv := k.start()
	k.check(srv)
	srv.kill()
	if len(k.credentials) == 0 || len(k.tags) == 0 {
		t.Errorf("%d writes and %d publications were acknowledged: the test shows nothing", len(k.credentials), len(k.tags))
	}
	slices.Sort(k.starts)
	middle := k.starts[len(k.starts)/2]
	if middle > restart {
		t.Errorf("every other start takes %s and more, want %s", middle, restart)
	}
	t.Logf("%d kills, %d acknowledged writes, %d acknowledged publications, ready after %s", points, len(k.credentials), len(k.tags), middle)
}

func newKilled(t *testing.T) *killed {
	t.Helper()
	dir := t.TempDir()
	k := &killed{
		t: t, dir: filepath.Join(dir, "data"), program: filepath.Join(dir, "regcred"),
		config: filepath.Join(dir, "docker", "config.json"), archive: filepath.Join(dir, "image.tar"),
		credentials: map[string]bool{},
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// Under this name the test's binary is the program: see TestMain.
	if err := os.Symlink(self, k.program); err != nil {
		t.Fatal(err)
	}
	payload := filepath.Join(dir, "payload")
	if err := os.WriteFile(payload, bytes.Repeat([]byte("what the image holds\n"), 10_000), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := demo.PackImage(payload, k.archive); err != nil {
		t.Fatal(err)
	}
	yaml := fmt.Sprintf("data_dir: %q\nlisten: 127.0.0.1:0\ntargets:\n  - dockerconfig: {path: %q}\n", k.dir, k.config)
	if err := os.WriteFile(filepath.Join(dir, "regcred.yaml"), []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	return k
}

// process is one life of the server.
type process struct {
	cmd   *exec.Cmd
	local *client.Client
	host  string
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// start starts the server and waits until it is ready.
func (k *killed) start() *process {
	k.t.Helper()
	var log bytes.Buffer
	p := &process{
		cmd:   exec.Command(k.program, "serve", "--config", filepath.Join(filepath.Dir(k.dir), "regcred.yaml")),
		local: client.NewLocal(filepath.Join(k.dir, server.SocketName)),
	}
	p.cmd.Stderr = &log
	if err := p.cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(p.kill)
	began := time.Now()
	poll(k.t, func() error {
		st, err := p.local.Status(k.t.Context())
		if err == nil && !st.Current {
			err = errors.New("the book is not read yet")
		}
		p.host = strings.TrimPrefix(st.URL, "http://")
		return err
	})
	k.starts = append(k.starts, time.Since(began))
	return p
}

// poll calls f until it returns nil, for a while.
func poll(t *testing.T, f func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %v", patience, err)
		}
		pause(t.Context(), 10*time.Millisecond)
	}
}

// write stores credentials until it fails.
func (k *killed) write(ctx context.Context, p *process, point int) {
	for i := 0; ; i++ {
		location := fmt.Sprintf("r%d-%d.example.com", point, i)
		_, err := p.local.CreateCredential(ctx, client.CreateRequest{Location: location, Username: "u", Password: "p"})
		if err != nil {
			return
		}
		k.mu.Lock()
		k.credentials[location] = true
		k.mu.Unlock()
	}
}

// await waits until so many publications are acknowledged.
func (k *killed) await(publications int) {
	k.t.Helper()
	poll(k.t, func() error {
		k.mu.Lock()
		defer k.mu.Unlock()
		if len(k.tags) < publications {
			return fmt.Errorf("%d of %d publications", len(k.tags), publications)
		}
		return nil
	})
}

// publish publishes under new tags until it fails.
func (k *killed) publish(ctx context.Context, point int) {
	for i := 0; ; i++ {
		tag := fmt.Sprintf("t%d-%d", point, i)
		cmd := exec.CommandContext(ctx, k.program, "publish", k.archive, "acme/app:"+tag)
		cmd.Env = append(os.Environ(), "REGCRED_DATA_DIR="+k.dir, "REGCRED_SERVER=")
		if cmd.Run() != nil {
			return
		}
		k.mu.Lock()
		k.tags = append(k.tags, tag)
		k.mu.Unlock()
	}
}

// check looks for all that was acknowledged.
func (k *killed) check(p *process) {
	k.t.Helper()
	list, err := p.local.Credentials(k.t.Context(), nil)
	if err != nil {
		k.t.Fatal(err)
	}
	stored := map[string]bool{}
	for _, c := range list {
		stored[c.Canonical] = true
	}
	for location := range k.credentials {
		if !stored[location] {
			k.t.Errorf("the credential for %s was acknowledged and is lost", location)
		}
	}
	k.checkTags(p)
	poll(k.t, func() error { return k.delivered(stored) })
	poll(k.t, k.leftovers)
}

// checkTags pulls every tag that there is, and wants each that was acknowledged.
func (k *killed) checkTags(p *process) {
	k.t.Helper()
	token, err := os.ReadFile(filepath.Join(k.dir, server.AdminTokenName))
	if err != nil {
		k.t.Fatal(err)
	}
	repo, err := name.NewRepository(p.host+"/acme/app", name.Insecure)
	if err != nil {
		k.t.Fatal(err)
	}
	auth := remote.WithAuth(&authn.Basic{Username: "any", Password: strings.TrimSpace(string(token))})
	tags, err := remote.List(repo, auth)
	if err != nil && len(k.tags) > 0 {
		k.t.Fatal(err)
	}
	there := map[string]bool{}
	for i, tag := range tags {
		there[tag] = true
		img, err := remote.Image(repo.Tag(tag), auth)
		if err != nil {
			k.t.Errorf("tag %s points at nothing: %v", tag, err)
			continue
		}
		if i == len(tags)-1 { // they share their contents
			if err := validate.Image(img); err != nil {
				k.t.Errorf("tag %s is incomplete: %v", tag, err)
			}
		}
	}
	for _, tag := range k.tags {
		if !there[tag] {
			k.t.Errorf("tag %s was acknowledged and is lost", tag)
		}
	}
}

// delivered returns an error unless the docker config file has just what is
// stored.
func (k *killed) delivered(stored map[string]bool) error {
	data, err := os.ReadFile(k.config)
	if errors.Is(err, fs.ErrNotExist) && len(stored) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	var file struct {
		Auths map[string]json.RawMessage `json:"auths"`
	}
	if err := json.Unmarshal(data, &file); err != nil {
		k.t.Fatalf("the docker config file is broken: %v", err)
	}
	if len(file.Auths) != len(stored) {
		return regcred.Errorf(regcred.Unavailable, "the docker config file has %d entries, not %d", len(file.Auths), len(stored))
	}
	return nil
}

// leftovers returns an error while a temporary file is beside the docker config
// file: one that the killed server left goes when the next one looks at the file.
func (k *killed) leftovers() error {
	entries, err := os.ReadDir(filepath.Dir(k.config))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if strings.Contains(e.Name(), "tmp") {
			return fmt.Errorf("%s was left behind", e.Name())
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
