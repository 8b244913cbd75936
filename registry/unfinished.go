package registry

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"cuelabs.dev/go/oci/ociregistry"
	"github.com/opencontainers/go-digest"

	"regcred.dev"
)

// UploadLimits bound the uploads that clients of a Server begin and neither end nor
// cancel: each is a file for as long as somebody may go on with it. The zero value is
// the defaults.
type UploadLimits struct {
	// PerCaller is how many one caller may have: an API token, a login's credential, or
	// without a login an address. 0 means DefaultUploadsPerCaller.
	PerCaller int
	// Total is how many all may have together. 0 means DefaultUploads.
	Total int
}

// The defaults of UploadLimits. A client uploads a handful of layers at once.
const (
	DefaultUploadsPerCaller = 1000
	DefaultUploads          = 20_000
)

// unfinished are the uploads that this process began for clients, by their ids in the
// Blobs, until they are over. Those of a process before are not among them.
type unfinished struct {
	limits UploadLimits

	mu      sync.Mutex
	uploads map[string]*begunUpload
	callers map[string]int // how many each has
}

type begunUpload struct {
	caller string
	at     time.Time // when somebody last went on with it
	empty  bool
}

func newUnfinished(l UploadLimits) *unfinished {
	l.PerCaller, l.Total = cmp.Or(l.PerCaller, DefaultUploadsPerCaller), cmp.Or(l.Total, DefaultUploads)
	return &unfinished{limits: l, uploads: map[string]*begunUpload{}, callers: map[string]int{}}
}

// begin notes an upload that is about to be created. Errors: ErrTooManyRequests.
func (u *unfinished) begin(id, caller string, now time.Time) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case u.callers[caller] >= u.limits.PerCaller:
		return tooMany("you have begun %d uploads and neither ended nor cancelled them, which is the most that one caller may", u.limits.PerCaller)
	case len(u.uploads) >= u.limits.Total:
		return tooMany("%d uploads are begun and neither ended nor cancelled, which is the most that this registry takes", u.limits.Total)
	}
	u.uploads[id] = &begunUpload{caller: caller, at: now, empty: true}
	u.callers[caller]++
	return nil
}

func tooMany(format string, args ...any) error {
	return ociregistry.NewError(fmt.Sprintf(format, args...)+": end or cancel some, or try again later", ociregistry.ErrTooManyRequests.Code(), nil)
}

// touch notes that somebody went on with an upload, which now has so many bytes.
func (u *unfinished) touch(id string, size int64, now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if b := u.uploads[id]; b != nil {
		b.at, b.empty = now, size == 0
	}
}

// end forgets an upload that is over, if it is known.
func (u *unfinished) end(id string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.forget(id)
}

// endBefore forgets uploads that nobody went on with since a time.
func (u *unfinished) endBefore(before time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for id, b := range u.uploads {
		if b.at.Before(before) {
			u.forget(id)
		}
	}
}

// forget is end. The caller holds the lock.
func (u *unfinished) forget(id string) {
	b := u.uploads[id]
	if b == nil {
		return
	}
	delete(u.uploads, id)
	if u.callers[b.caller]--; u.callers[b.caller] == 0 {
		delete(u.callers, b.caller)
	}
}

// emptyBefore returns the uploads without content that nobody went on with since a time.
func (u *unfinished) emptyBefore(before time.Time) []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	var ids []string
	for id, b := range u.uploads {
		if b.empty && b.at.Before(before) {
			ids = append(ids, id)
		}
	}
	return ids
}

// beginUpload begins an upload for a caller. Errors: those of createUpload;
// ErrTooManyRequests where the limits are reached.
func (s *Storage) beginUpload(ctx context.Context, repo, caller string, algorithm digest.Algorithm) (*blobWriter, error) {
	w := s.newUpload(ctx, repo, algorithm)
	if err := s.unfinished.begin(w.key(), caller, time.Now()); err != nil {
		return nil, err
	}
	if err := w.create(); err != nil {
		s.unfinished.end(w.key())
		return nil, err
	}
	return w, nil
}

// CleanUploads removes uploads that were last written to before a time, and
// returns how many. Call it every hour or so.
func (s *Storage) CleanUploads(ctx context.Context, before time.Time) (int, error) {
	n, err := s.blobs.CleanUploads(ctx, before)
	if err == nil {
		s.unfinished.endBefore(before)
	}
	return n, err
}

// CleanEmptyUploads removes uploads that clients of this process began before a time and
// sent nothing of, and returns how many. There is nothing to go on with: they need not
// stay for as long as others.
func (s *Storage) CleanEmptyUploads(ctx context.Context, before time.Time) (int, error) {
	removed := 0
	for _, id := range s.unfinished.emptyBefore(before) {
		ok, err := s.removeEmpty(ctx, id)
		if err != nil {
			return removed, err
		}
		if ok {
			removed++
		}
	}
	return removed, nil
}

// removeEmpty removes an upload, unless it has content or somebody has it open.
func (s *Storage) removeEmpty(ctx context.Context, id string) (bool, error) {
	up, err := s.blobs.OpenUpload(ctx, id)
	if err != nil {
		if regcred.CodeOf(err) == regcred.NotFound {
			s.unfinished.end(id)
		}
		return false, ignore(regcred.Stale, ignore(regcred.NotFound, err))
	}
	if up.Size() > 0 { // since just now
		return false, up.Close()
	}
	if err := up.Cancel(); err != nil {
		return false, err
	}
	s.unfinished.end(id)
	return true, nil
}
