package bucket_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/opencontainers/go-digest"

	"regcred.dev"
	"regcred.dev/registry"
)

// slowContent is content that stops before its last byte until it is let go.
type slowContent struct {
	data    []byte
	waits   chan struct{} // closed once it waits
	goOn    chan error    // nil, or why it breaks off
	waiting bool
}

func newSlow(data []byte) *slowContent {
	return &slowContent{data: data, waits: make(chan struct{}), goOn: make(chan error, 1)}
}

func (s *slowContent) Read(p []byte) (int, error) {
	if len(s.data) == 1 && !s.waiting {
		s.waiting = true
		close(s.waits)
		if err := <-s.goOn; err != nil {
			return 0, err
		}
	}
	if len(s.data) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.data[:max(1, len(s.data)-1)])
	s.data = s.data[n:]
	return n, nil
}

// TestSlowStreams holds that clients who stall keep nobody from writing but other
// streams, which are told so, and that they leave room again, however they end.
func TestSlowStreams(t *testing.T) {
	f := &fakeS3{}
	o := fakeOptions(t, f)
	o.PartSize, o.Concurrency = 5<<20, 1
	b := open(t, o)
	data := bytes.Repeat([]byte("x"), int(o.PartSize))
	d := digest.FromBytes(data)
	stream := func(key string, r io.Reader) error {
		return b.PutStream(t.Context(), key, d, int64(len(data)), r, registry.IfAbsent)
	}
	for _, broken := range []error{errors.New("broken"), nil} {
		f.objects = map[string]fakeObject{}
		first, second := newSlow(data), newSlow(data)
		ended := make(chan error)
		for key, r := range map[string]*slowContent{"first": first, "second": second} {
			go func() { ended <- stream(key, r) }()
			<-r.waits
		}
		if err := stream("third", neverRead{t}); !errors.Is(err, registry.ErrNoRoom) {
			t.Errorf("a third stream: %v", err)
		}
		if err := b.PutDirect(t.Context(), "direct", d, int64(len(data)), bytes.NewReader(data), registry.IfAbsent); err != nil {
			t.Errorf("beside slow streams: %v", err)
		}
		first.goOn <- broken
		second.goOn <- broken
		for range 2 {
			if err := <-ended; !errors.Is(err, broken) {
				t.Errorf("a slow stream: %v", err)
			}
		}
		want := 1
		if broken == nil {
			want = 3
		}
		if n := len(f.objects); n != want {
			t.Errorf("%d objects, want %d", n, want)
		}
	}
}

// neverRead is content that must not be read.
type neverRead struct{ t *testing.T }

func (r neverRead) Read([]byte) (int, error) {
	r.t.Error("it was read")
	return 0, io.EOF
}

// TestSmallStreams holds that small content takes little of the memory for streams.
func TestSmallStreams(t *testing.T) {
	f := &fakeS3{}
	b := open(t, fakeOptions(t, f))
	const streams = 100
	data := []byte("content")
	ended := make(chan error)
	var all []*slowContent
	for range streams {
		r := newSlow(data)
		all = append(all, r)
		go func() {
			ended <- b.PutStream(t.Context(), "k", digest.FromBytes(data), int64(len(data)), r, registry.Condition{})
		}()
		<-r.waits
	}
	for _, r := range all {
		r.goOn <- nil
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
}

// TestWrongStream stores nothing of what a client says wrongly.
func TestWrongStream(t *testing.T) {
	f := &fakeS3{}
	b := open(t, fakeOptions(t, f))
	data := []byte("content")
	put := func(d digest.Digest, size int64) error {
		return b.PutStream(t.Context(), "k", d, size, bytes.NewReader(data), registry.Condition{})
	}
	d := digest.FromBytes(data)
	for name, err := range map[string]error{
		"digest":   put(digest.FromString("other"), 7),
		"longer":   put(d, 6),
		"shorter":  put(d, 8),
		"negative": put(d, -1),
		"none":     put("none", 7),
	} {
		wantError(t, err, regcred.Invalid)
		if err == nil {
			t.Error(name)
		}
	}
	_, err := b.Stat(t.Context(), "k")
	wantError(t, err, regcred.NotFound)
	if err := put(d, 7); err != nil {
		t.Error(err)
	}
}
