//go:build integration

package bucket_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/opencontainers/go-digest"

	"regcred.dev"
	"regcred.dev/regcredtest"
	"regcred.dev/regcredtest/s3test"
	"regcred.dev/registry"
	"regcred.dev/registry/bucket"
)

// TestSuiteOverFaults runs the suite while every tenth request fails: nothing of it
// shows. TestTwoClients has lost answers, after which a step may be done twice.
func TestSuiteOverFaults(t *testing.T) {
	kinds := []s3test.Fault{s3test.Drop, s3test.Fail, s3test.SlowDown, s3test.Truncate, s3test.Shorten}
	s := s3test.Start(t)
	p := s.Proxy(t, s3test.Faults{Rate: 0.1, Seed: 1, Kinds: kinds})
	regcredtest.TestBlobs(t, func(t *testing.T) registry.Blobs { return open(t, options(t, s, p.Endpoint)) })
	for _, fault := range kinds {
		if p.Failed()[fault] == 0 {
			t.Errorf("%q never happened: the test shows nothing of it", fault)
		}
	}
}

// TestLargeOverFaults stores and reads what takes several requests.
func TestLargeOverFaults(t *testing.T) {
	s := s3test.Start(t)
	p := s.Proxy(t, s3test.Faults{})
	o := options(t, s, p.Endpoint)
	o.PartSize = 5 << 20
	b := open(t, o)
	for seed := range uint64(3) {
		data := random(seed, 23<<20+int(seed))
		p.Set(s3test.Faults{Rate: 0.2, Seed: seed})
		key := fmt.Sprintf("blobs/%d", seed)
		if err := b.PutDirect(t.Context(), key, digest.FromBytes(data), int64(len(data)), bytes.NewReader(data), registry.IfAbsent); err != nil {
			t.Fatal(err)
		}
		err := b.PutDirect(t.Context(), key, digest.FromBytes(data), int64(len(data)), bytes.NewReader(data), registry.IfAbsent)
		if err != nil { // the same content again: where an answer was lost, that was this one's
			wantError(t, err, regcred.Exists)
		}
		checkObject(t, b, key, data)
		commit(t, b, key+"-uploaded", data)
		checkObject(t, b, key+"-uploaded", data)
	}
	p.Set(s3test.Faults{})
	// Uploads whose creation had no answer are nobody's.
	n, err := b.CleanUploads(t.Context(), time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d uploads were begun without an answer", n)
	if n, err := b.CleanUploads(t.Context(), time.Now().Add(time.Hour)); n != 0 || err != nil {
		t.Errorf("%d uploads are left, %v", n, err)
	}
}

// TestGetIsRightOrFails reads while nearly all answers break: what is read is right as
// far as it goes, and an end is the end.
func TestGetIsRightOrFails(t *testing.T) {
	s := s3test.Start(t)
	p := s.Proxy(t, s3test.Faults{})
	b := open(t, options(t, s, p.Endpoint))
	data := random(1, 3<<20)
	commit(t, b, "k", data)
	right, failed := 0, 0
	for seed := range uint64(30) {
		p.Set(s3test.Faults{Rate: 0.8, Seed: seed})
		object, err := b.Get(t.Context(), "k")
		if err != nil {
			wantError(t, err, regcred.Unavailable)
			failed++
			continue
		}
		got, err := io.ReadAll(object)
		_ = object.Close()
		switch {
		case !bytes.HasPrefix(data, got):
			t.Fatal("wrong bytes were read")
		case err == nil && len(got) != len(data):
			t.Fatalf("%d bytes of %d were all", len(got), len(data))
		case err == nil:
			right++
		default:
			wantError(t, err, regcred.Unavailable)
			failed++
		}
	}
	t.Logf("%d readers got all, %d an error", right, failed)
	if right == 0 || failed == 0 {
		t.Error("one of the two never happened: the test shows nothing")
	}
}

// TestWrongBytes flips bits: Read tells, and readers of Get have their digest.
func TestWrongBytes(t *testing.T) {
	s := s3test.Start(t)
	p := s.Proxy(t, s3test.Faults{})
	b := open(t, options(t, s, p.Endpoint))
	put(t, b, "k", "small content", registry.Condition{})
	wrong := s3test.Faults{Rate: 1, Kinds: []s3test.Fault{s3test.Wrong}}
	p.Set(wrong)
	_, _, err := b.Read(t.Context(), "k")
	wantError(t, err, regcred.Corrupt)
	wrong.Rate = 0.3
	p.Set(wrong)
	for range 20 {
		if data, _, err := b.Read(t.Context(), "k"); err == nil && string(data) != "small content" {
			t.Fatalf("read %q", data)
		}
	}
}

// TestAcknowledged writes while every other request fails for good: what was
// acknowledged is there, and what was not is there whole or not at all.
func TestAcknowledged(t *testing.T) {
	s := s3test.Start(t)
	p := s.Proxy(t, s3test.Faults{})
	o := options(t, s, p.Endpoint)
	o.PartSize = 5 << 20
	b, direct := open(t, o), o
	direct.Endpoint = s.Endpoint
	sure := open(t, direct)
	p.Set(s3test.Faults{Rate: 0.75, Seed: 7})
	acked, failed := 0, 0
	for i := range 60 {
		data := random(uint64(i), 1+i%3*(6<<20)+i)
		key := fmt.Sprintf("k%d", i)
		err := b.PutDirect(t.Context(), key, digest.FromBytes(data), int64(len(data)), bytes.NewReader(data), registry.Condition{})
		if err == nil {
			acked++
			checkObject(t, sure, key, data)
			continue
		}
		failed++
		if _, err := sure.Stat(t.Context(), key); err == nil {
			checkObject(t, sure, key, data)
		} else {
			wantError(t, err, regcred.NotFound)
		}
	}
	t.Logf("%d writes were acknowledged, %d failed", acked, failed)
	if acked == 0 || failed == 0 {
		t.Error("one of the two never happened: the test shows nothing")
	}
}

// TestTwoClients count up by compare-and-swap through two clients, over faults: no
// step is lost. One whose answer was lost, and that the other client went on from, is
// done twice.
func TestTwoClients(t *testing.T) {
	s := s3test.Start(t)
	p := s.Proxy(t, s3test.Faults{Rate: 0.05})
	o := options(t, s, p.Endpoint)
	put(t, open(t, o), "counter", "", registry.Condition{})
	const steps = 25
	var wg sync.WaitGroup
	for range 2 {
		b := open(t, o)
		wg.Go(func() {
			for done := 0; done < steps; {
				data, version, err := b.Read(t.Context(), "counter")
				if err == nil {
					err = b.Put(t.Context(), "counter", append(data, 'x'), registry.IfVersion(version))
				}
				if err == nil {
					done++
				} else if regcred.CodeOf(err) != regcred.Stale {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	lost := p.Failed()[s3test.DropAnswer] + p.Failed()[s3test.FailAfter]
	if got := len(read(t, open(t, o), "counter")); got < 2*steps || got > 2*steps+lost {
		t.Errorf("%d steps were counted of %d, %d answers were lost", got, 2*steps, lost)
	}
}

// TestResume breaks an upload off: the next one sends what is missing alone, and
// another content for the same key goes into nothing of it.
func TestResume(t *testing.T) {
	s := s3test.Start(t)
	p := s.Proxy(t, s3test.Faults{})
	o := options(t, s, p.Endpoint)
	o.PartSize, o.Concurrency = 5<<20, 1
	b := open(t, o)
	data := random(1, 30<<20)
	put := func(ctx context.Context, data []byte) error {
		return b.PutDirect(ctx, "k", digest.FromBytes(data), int64(len(data)), bytes.NewReader(data), registry.Condition{})
	}
	breakOff(t, b, p, data)
	if _, err := b.Stat(t.Context(), "k"); regcred.CodeOf(err) != regcred.NotFound {
		t.Errorf("half an upload is an object: %v", err)
	}
	var parts atomic.Int32
	p.Set(s3test.Faults{Before: func(r *http.Request) {
		if isPart(r) {
			parts.Add(1)
		}
	}})
	if err := put(t.Context(), data); err != nil {
		t.Fatal(err)
	}
	if n := parts.Load(); n < 1 || n > 3 {
		t.Errorf("%d parts of 6 were sent again", n)
	}
	checkObject(t, b, "k", data)

	other := bytes.Clone(data)
	other[7<<20] ^= 1
	breakOff(t, b, p, other)
	if err := put(t.Context(), data); err != nil {
		t.Fatal(err)
	}
	checkObject(t, b, "k", data)
}

func isPart(r *http.Request) bool {
	return r.Method == http.MethodPut && r.URL.Query().Has("partNumber")
}

// breakOff stores content as "k" until its fourth part is sent.
func breakOff(t *testing.T, b *bucket.Bucket, p *s3test.Proxy, data []byte) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var parts atomic.Int32
	p.Set(s3test.Faults{Before: func(r *http.Request) {
		if isPart(r) && parts.Add(1) == 4 {
			cancel()
		}
	}})
	defer p.Set(s3test.Faults{})
	if b.PutDirect(ctx, "k", digest.FromBytes(data), int64(len(data)), bytes.NewReader(data), registry.Condition{}) == nil {
		t.Fatal("it went on though its context had ended")
	}
}

// TestWrongContent stores nothing of content that is not what it is said to be.
func TestWrongContent(t *testing.T) {
	s := s3test.Start(t)
	o := options(t, s, s.Endpoint)
	o.PartSize = 5 << 20
	b := open(t, o)
	for _, size := range []int{0, 1, 100, 5 << 20, 5<<20 + 1, 17 << 20} {
		data := random(1, size)
		d := digest.FromBytes(data)
		for name, err := range map[string]error{
			"digest": b.PutDirect(t.Context(), "k", digest.FromString("other"), int64(size), bytes.NewReader(data), registry.Condition{}),
			"longer": b.PutDirect(t.Context(), "k", d, int64(size), bytes.NewReader(append(bytes.Clone(data), 'x')), registry.Condition{}),
			"short":  b.PutDirect(t.Context(), "k", d, int64(size)+1, bytes.NewReader(data), registry.Condition{}),
		} {
			if regcred.CodeOf(err) != regcred.Invalid || err == nil {
				t.Errorf("%d bytes, %s: %v", size, name, err)
			}
		}
		_, err := b.Stat(t.Context(), "k")
		wantError(t, err, regcred.NotFound)
	}
	if n, err := b.CleanUploads(t.Context(), time.Now().Add(time.Hour)); n != 0 || err != nil {
		t.Errorf("%d uploads were left, %v", n, err)
	}
}

// TestCleanMultiparts removes what was begun in parts and never completed, below the
// prefix alone.
func TestCleanMultiparts(t *testing.T) {
	s := s3test.Start(t)
	o := options(t, s, s.Endpoint)
	o.Prefix = "mine"
	b := open(t, o)
	for _, key := range []string{"mine/blobs/a", "other/blobs/a"} {
		if _, err := s.Client(s.Endpoint).CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &o.Bucket, Key: &key}); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		before time.Duration
		want   int
	}{{-time.Hour, 0}, {time.Hour, 1}, {time.Hour, 0}} {
		if n, err := b.CleanUploads(t.Context(), time.Now().Add(test.before)); n != test.want || err != nil {
			t.Errorf("before %s: %d were removed, want %d, %v", test.before, n, test.want, err)
		}
	}
}

// TestReplacedWhileRead never mixes two objects.
func TestReplacedWhileRead(t *testing.T) {
	s := s3test.Start(t)
	b := open(t, options(t, s, s.Endpoint))
	one, two := random(1, 4<<20), random(2, 4<<20)
	commit(t, b, "k", one)
	object, err := b.Get(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	defer object.Close()
	commit(t, b, "k", two)
	got, err := io.ReadAll(object)
	wantError(t, err, regcred.Unavailable, "replaced")
	if !bytes.HasPrefix(one, got) {
		t.Error("it read another object")
	}
}

// TestSeek reads pieces here and there.
func TestSeek(t *testing.T) {
	s := s3test.Start(t)
	b := open(t, options(t, s, s.Proxy(t, s3test.Faults{Rate: 0.1}).Endpoint))
	data := random(1, 300_000)
	commit(t, b, "k", data)
	object, err := b.Get(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	defer object.Close()
	if end, err := object.Seek(0, io.SeekEnd); end != 300_000 || err != nil {
		t.Errorf("the end is at %d, %v", end, err)
	}
	for _, at := range []int64{0, 1, 65_535, 65_536, 200_000, 299_999, 300_000, 100} {
		if _, err := object.Seek(at, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(io.LimitReader(object, 70_000))
		if want := data[at:min(at+70_000, 300_000)]; err != nil || !bytes.Equal(got, want) {
			t.Errorf("from %d on: %d bytes, %v", at, len(got), err)
		}
	}
	if _, err := object.Seek(-1, io.SeekStart); err == nil {
		t.Error("there is something before the beginning")
	}
}

// random returns bytes that follow from a seed.
func random(seed uint64, size int) []byte {
	data := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(data) // never fails
	return data
}

// commit stores an object by an upload.
func commit(t *testing.T, b *bucket.Bucket, key string, data []byte) {
	t.Helper()
	up, err := b.CreateUpload(t.Context(), fmt.Sprintf("up-%d", rand.Uint64()))
	if err == nil {
		_, err = up.Write(data)
	}
	if err == nil {
		err = up.Commit(t.Context(), key)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// checkObject reads an object and compares it.
func checkObject(t *testing.T, b *bucket.Bucket, key string, want []byte) {
	t.Helper()
	object, err := b.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer object.Close()
	got, err := io.ReadAll(object)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s has %d bytes, want %d, or others: %v", key, len(got), len(want), err)
	}
}
