//go:build integration

package bucket_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/opencontainers/go-digest"

	"regcred.dev"
	"regcred.dev/regcredtest/s3test"
	"regcred.dev/registry"
)

// TestLargeStream sends what takes several parts, while requests fail.
func TestLargeStream(t *testing.T) {
	s := s3test.Start(t)
	p := s.Proxy(t, s3test.Faults{Rate: 0.2, Seed: 1})
	o := options(t, s, p.Endpoint)
	o.PartSize = 5 << 20
	b := open(t, o)
	for _, size := range []int{5 << 20, 5<<20 + 1, 23 << 20} {
		data := random(uint64(size), size)
		r := iotest.HalfReader(bytes.NewReader(data))
		if err := b.PutStream(t.Context(), "k", digest.FromBytes(data), int64(size), r, registry.Condition{}); err != nil {
			t.Fatal(err)
		}
		checkObject(t, b, "k", data)
	}
}

// TestStreamsAreAlone has a stranger begin to send other content by the same digest, in
// parts whose checksums may be made the same: nothing of it stays, and nothing counts.
func TestStreamsAreAlone(t *testing.T) {
	s := s3test.Start(t)
	p := s.Proxy(t, s3test.Faults{})
	o := options(t, s, p.Endpoint)
	o.PartSize = 5 << 20
	b := open(t, o)
	data := random(1, 17<<20)
	d, size := digest.FromBytes(data), int64(len(data))
	put := func(r io.Reader) error { return b.PutStream(t.Context(), "k", d, size, r, registry.IfAbsent) }

	errBroken := errors.New("broken")
	if err := put(io.MultiReader(bytes.NewReader(data[:11<<20]), iotest.ErrReader(errBroken))); !errors.Is(err, errBroken) {
		t.Errorf("a stream that breaks off: %v", err)
	}
	if n, err := b.CleanUploads(t.Context(), time.Now().Add(time.Hour)); n != 0 || err != nil {
		t.Errorf("%d uploads were left, %v", n, err)
	}
	other := bytes.Clone(data)
	other[size-1] ^= 1
	stranger := newSlow(other)
	ended := make(chan error)
	go func() { ended <- put(stranger) }()
	<-stranger.waits // its first parts are sent

	var parts atomic.Int32
	p.Set(s3test.Faults{Before: func(r *http.Request) {
		if isPart(r) {
			parts.Add(1)
		}
	}})
	if err := put(bytes.NewReader(data)); err != nil {
		t.Error(err)
	}
	if n := parts.Load(); n < 4 {
		t.Errorf("%d parts of 4 were sent", n)
	}
	stranger.goOn <- nil
	wantError(t, <-ended, regcred.Invalid)
	checkObject(t, b, "k", data)
	if n, err := b.CleanUploads(t.Context(), time.Now().Add(time.Hour)); n != 0 || err != nil {
		t.Errorf("%d uploads were left, %v", n, err)
	}
}
