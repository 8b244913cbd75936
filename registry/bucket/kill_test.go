//go:build integration

package bucket_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"regcred.dev"
	"regcred.dev/regcredtest/s3test"
	"regcred.dev/registry"
	"regcred.dev/registry/blob"
	"regcred.dev/registry/bucket"
)

// childJob is the environment variable with the job of a child process, as JSON.
const childJob = "REGCRED_BUCKET_CHILD"

// job is what a child process does: store objects until it is killed, or one large
// object, after which it prints its peak memory.
type job struct {
	Endpoint, Region, Bucket, AccessKey, SecretKey, Spool string
	// KillAt is the number of the request to S3 at which the process kills itself, and
	// After whether that is once its answer is there.
	KillAt int32
	After  bool
	Size   int64 // of the one object, in bytes
}

func TestMain(m *testing.M) {
	if text := os.Getenv(childJob); text != "" {
		if err := child(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	// Each step of the suite's model is a request or more.
	if err := flag.Set("rapid.checks", "20"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// newJob returns a job for the bucket of options.
func newJob(t *testing.T, s *s3test.Server, o bucket.Options) job {
	t.Helper()
	return job{Endpoint: o.Endpoint, Region: o.Region, Bucket: o.Bucket, AccessKey: s.AccessKey, SecretKey: s.SecretKey, Spool: t.TempDir()}
}

// start runs a child process. It returns its output once it has ended.
func (j job) start(t *testing.T) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	text, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childJob+"="+string(text))
	out := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, out
}

func (j job) open(ctx context.Context) (*bucket.Bucket, error) {
	spool, err := blob.Open(j.Spool)
	if err != nil {
		return nil, err
	}
	return bucket.Open(ctx, bucket.Options{
		Bucket: j.Bucket, Region: j.Region, Endpoint: j.Endpoint, PathStyle: true,
		AccessKeyID: j.AccessKey, SecretAccessKey: regcred.NewSecret(j.SecretKey),
		Spool: spool, Transport: j.transport(),
	})
}

// transport kills the process where the job says so.
func (j job) transport() http.RoundTripper {
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.DisableCompression = true
	var sent atomic.Int32
	return transportFunc(func(r *http.Request) (*http.Response, error) {
		kill := sent.Add(1) == j.KillAt
		if kill && !j.After {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		resp, err := base.RoundTrip(r)
		if kill {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		return resp, err
	})
}

func child(text string) error {
	var j job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		return err
	}
	ctx := context.Background()
	b, err := j.open(ctx)
	if err != nil {
		return err
	}
	if j.Size > 0 {
		return storeLarge(ctx, b, j.Size)
	}
	for i := uint64(0); ; i++ {
		if err := storeSome(ctx, b, fmt.Sprintf("%d-%t-%d", j.KillAt, j.After, i), i); err != nil {
			return err
		}
	}
}

// killSize is the size of the objects of TestKill: three parts.
const killSize = 17 << 20

// storeSome stores an object directly and one by an upload, and says which are there.
func storeSome(ctx context.Context, b *bucket.Bucket, name string, seed uint64) error {
	data := random(seed, killSize)
	if err := b.PutDirect(ctx, "direct/"+name, digest.FromBytes(data), killSize, bytes.NewReader(data), registry.IfAbsent); err != nil {
		return err
	}
	fmt.Printf("direct/%s %d\n", name, seed)
	up, err := b.CreateUpload(ctx, "up-"+name)
	if err != nil {
		return err
	}
	if _, err := up.Write(data); err != nil {
		return err
	}
	if err := up.Commit(ctx, "uploaded/"+name); err != nil {
		return err
	}
	fmt.Printf("uploaded/%s %d\n", name, seed)
	return nil
}

// TestKill kills a process that stores objects before and after each of its first
// requests to S3. What it said is stored is there, what is there is whole, and what it
// left can be cleaned.
func TestKill(t *testing.T) {
	s := s3test.Start(t)
	o := options(t, s, s.Endpoint)
	b := open(t, o)
	acked := 0
	for point := range int32(2 * 14) { // the first is for the marker, 11 for two objects
		j := newJob(t, s, o)
		j.KillAt, j.After = point/2+1, point%2 == 1
		cmd, out := j.start(t)
		err := cmd.Wait()
		if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
			t.Fatalf("request %d: the child ended by itself: %v", j.KillAt, err)
		}
		for {
			var key string
			var seed uint64
			if n, _ := fmt.Fscanln(out, &key, &seed); n != 2 {
				break
			}
			acked++
			checkObject(t, b, key, random(seed, killSize))
		}
	}
	whole := 0
	for info, err := range b.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		if info.Size != killSize {
			t.Errorf("%s has %d bytes", info.Key, info.Size)
		}
		whole++
	}
	left, err := b.CleanUploads(t.Context(), time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d writes were acknowledged, %d objects are there, %d uploads were left half-way", acked, whole, left)
	if acked == 0 || left == 0 {
		t.Error("nothing was acknowledged, or nothing broken off: the test shows nothing")
	}
}

// zeros is content of any size.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func storeLarge(ctx context.Context, b *bucket.Bucket, size int64) error {
	d, err := digest.FromReader(io.LimitReader(zeros{}, size))
	if err != nil {
		return err
	}
	if err := b.PutDirect(ctx, "large", d, size, io.LimitReader(zeros{}, size), registry.Condition{}); err != nil {
		return err
	}
	object, err := b.Get(ctx, "large")
	if err != nil {
		return err
	}
	defer object.Close()
	if got, err := digest.FromReader(object); err != nil || got != d {
		return fmt.Errorf("read %s, %w", got, err)
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	_, peak, _ := bytes.Cut(status, []byte("VmHWM:"))
	peak, _, _ = bytes.Cut(peak, []byte("kB"))
	fmt.Printf("%s\n", bytes.TrimSpace(peak))
	return nil
}

// TestMemory bounds what storing and reading a large object takes: three parts of 8 MiB,
// and the program itself.
func TestMemory(t *testing.T) {
	s := s3test.Start(t)
	o := options(t, s, s.Endpoint)
	open(t, o)
	j := newJob(t, s, o)
	j.Size = 512 << 20
	cmd, out := j.start(t)
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	var peak int // KiB
	if _, err := fmt.Fscan(out, &peak); err != nil {
		t.Fatal(err)
	}
	t.Logf("512 MiB were stored and read with a peak of %d MiB", peak>>10)
	if peak > 72<<10 {
		t.Errorf("the peak was %d MiB", peak>>10)
	}
}
