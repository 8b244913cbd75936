package bucket_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"regcred.dev"
	"regcred.dev/registry"
	"regcred.dev/registry/bucket"
)

// hook is a transport that calls before ahead of requests, and after behind them.
type hook struct {
	http.RoundTripper
	before, after func(*http.Request)
}

// RoundTrip implements http.RoundTripper.
func (h *hook) RoundTrip(r *http.Request) (*http.Response, error) {
	if h.before != nil {
		h.before(r)
	}
	resp, err := h.RoundTripper.RoundTrip(r)
	if h.after != nil {
		h.after(r)
	}
	return resp, err
}

// twoBuckets are two processes that use a bucket of a server which knows no conditional
// DELETE, and their hooks.
func twoBuckets(t *testing.T) (f *fakeS3, one, two *bucket.Bucket, hookOne, hookTwo *hook) {
	t.Helper()
	f = &fakeS3{ignore: method(http.MethodDelete)}
	o := fakeOptions(t, f)
	hookOne, hookTwo = &hook{RoundTripper: o.Transport}, &hook{RoundTripper: o.Transport}
	o.Transport = hookOne
	one = open(t, o)
	o.Transport = hookTwo
	return f, one, open(t, o), hookOne, hookTwo
}

// TestWriteBesideDeletion writes between the steps of a conditional deletion: nothing that
// was acknowledged is lost, and nobody reads what is between.
func TestWriteBesideDeletion(t *testing.T) {
	for name, condition := range map[string]registry.Condition{"create": registry.IfAbsent, "put": {}} {
		t.Run(name, func(t *testing.T) {
			_, one, two, hookOne, hookTwo := twoBuckets(t)
			put(t, one, "k", "old", registry.IfAbsent)
			_, version, err := one.Read(t.Context(), "k")
			if err != nil {
				t.Fatal(err)
			}
			looked, written := make(chan struct{}, 100), make(chan error, 1)
			hookTwo.after = func(r *http.Request) {
				if r.Method == http.MethodHead {
					looked <- struct{}{}
				}
			}
			hookOne.before = func(r *http.Request) {
				if r.Method != http.MethodDelete {
					return
				}
				go func() { written <- two.Put(t.Context(), "k", []byte("new"), condition) }()
				<-looked
				_, _, err := one.Read(t.Context(), "k")
				wantError(t, err, regcred.NotFound)
				_, err = one.Stat(t.Context(), "k")
				wantError(t, err, regcred.NotFound)
				_, err = one.Get(t.Context(), "k")
				wantError(t, err, regcred.NotFound)
				wantError(t, one.Put(t.Context(), "k", nil, registry.IfVersion(version)), regcred.Stale)
				if len(written) > 0 {
					t.Error("written while it is being deleted")
				}
			}
			if err := one.Delete(t.Context(), "k", registry.IfVersion(version)); err != nil {
				t.Fatal(err)
			}
			if err := <-written; err != nil {
				t.Fatal(err)
			}
			if got := read(t, one, "k"); got != "new" {
				t.Errorf("it is %q", got)
			}
		})
	}
}

// TestChangeBeforeDeletion: what was changed after it was looked at is not deleted.
func TestChangeBeforeDeletion(t *testing.T) {
	_, one, two, hookOne, _ := twoBuckets(t)
	put(t, one, "k", "old", registry.IfAbsent)
	_, version, err := one.Read(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	hookOne.before = func(r *http.Request) {
		if r.Method == http.MethodPut {
			hookOne.before = nil
			put(t, two, "k", "new", registry.IfVersion(version))
		}
	}
	wantError(t, one.Delete(t.Context(), "k", registry.IfVersion(version)), regcred.Stale)
	if got := read(t, one, "k"); got != "new" {
		t.Errorf("it is %q", got)
	}
}

// leaveGrave leaves what a process leaves that was killed between the steps of a deletion.
func leaveGrave(f *fakeS3, at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	meta := http.Header{}
	meta.Set("X-Amz-Meta-Regcred-Deleted", at.Format(time.RFC3339))
	f.objects["/images/k"] = fakeObject{[]byte("a grave"), meta}
}

func isThere(f *fakeS3) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, there := f.objects["/images/k"]
	return there
}

// TestGraveThatIsLeft: writes wait for one that is young, and who comes to an old one
// removes it.
func TestGraveThatIsLeft(t *testing.T) {
	f, one, two, hookOne, _ := twoBuckets(t)
	old := time.Now().Add(-time.Hour)
	for name, condition := range map[string]registry.Condition{"create": registry.IfAbsent, "put": {}} {
		leaveGrave(f, old)
		put(t, one, "k", name, condition)
		if got := read(t, two, "k"); got != name {
			t.Errorf("it is %q", got)
		}
	}
	leaveGrave(f, old)
	if _, _, err := one.Read(t.Context(), "k"); regcred.CodeOf(err) != regcred.NotFound || isThere(f) {
		t.Errorf("after a look: %v", err)
	}
	// Of two who come to it, one is first: the other one leaves alone what is there then.
	leaveGrave(f, old)
	hookOne.before = func(r *http.Request) {
		if r.Method == http.MethodPut && r.Header.Get("X-Amz-Meta-Regcred-Deleted") != "" {
			hookOne.before = nil
			put(t, two, "k", "new", registry.IfAbsent)
		}
	}
	wantError(t, one.Put(t.Context(), "k", []byte("late"), registry.IfAbsent), regcred.Exists)
	if got := read(t, one, "k"); got != "new" {
		t.Errorf("it is %q", got)
	}
}

// TestYoungGrave: a write gives up where a deletion does not end.
func TestYoungGrave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, one, _, _, _ := twoBuckets(t)
		leaveGrave(f, time.Now())
		began := time.Now()
		wantError(t, one.Put(t.Context(), "k", []byte("new"), registry.Condition{}), regcred.Unavailable, "is being deleted since")
		if took := time.Since(began); took < 10*time.Second || !isThere(f) {
			t.Errorf("it gave up after %s", took)
		}
	})
}
