package registry

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/opencontainers/go-digest"

	"regcred.dev"
)

// How content without links is deleted while others push.
//
// Content is shared by all repositories, and nobody locks anything. A collector and
// a push speak to each other by a marker object:
//
//	condemned/ALG/HEX   {"state":"condemned", "spared" or "deleting","at":"..","write":".."}
//
// The collector
//
//	C1 lists the content and then all links; what is old and has no link is condemned:
//	   it puts the marker, if there is none or it says "spared";
//	C2 in a later run, lists the links again, all of them after C1. What has a link is
//	   spared. The marker of the rest, if condemned for the grace period, it changes to
//	   "deleting", if it is still the same;
//	C3 deletes the content and then the marker.
//
// A push, a mount or a manifest's push
//
//	P1 looks for the marker: a condemned one it changes to "spared", if it is still the
//	   same; while one is "deleting", it waits (reprieve);
//	P2 looks for the content, and stores it where it is not there;
//	P3 puts the link;
//	P4 does P1 once more, without the waiting, and then P2 without the storing (stays).
//	   Where that fails, the link is taken back and the push is refused.
//
// What a push was told is stored stays: at P4 nothing is condemned, and the content is
// there. So a deletion that comes later begins with a C1 after P3, and its C2 sees the
// link. And a link never stands without its
// content, not even before P4, if P1 to P3 take less than the grace period: at P1
// nothing is condemned, so the C2 that could delete comes a grace period later.
//
// A marker that says "spared" is the same as none, and is removed by and by. Markers
// change by compare-and-swap and not by removal, so that nothing here rests on
// conditional deletions, which some object stores do not know.
//
// A collector that is killed between C2 and C3 leaves content that can neither be
// used nor stored. Whoever finds such a marker that is older than takeover does C3
// in its place. A request to delete content ends after deleteTimeout, so that the
// first collector does not delete what was stored anew since; that its clock and
// ours agree to a few minutes is assumed.

const (
	condemnedPrefix = "condemned/"
	stateCondemned  = "condemned"
	stateSpared     = "spared"
	stateDeleting   = "deleting"

	// takeover is how long after it began a deletion is given up for dead.
	takeover = 15 * time.Minute
	// deleteTimeout bounds a deletion, from before its marker says so.
	deleteTimeout = time.Minute
	// reprieveTimeout is how long a push waits for a deletion.
	reprieveTimeout = 10 * time.Second
)

// marker says that content is to be deleted.
type marker struct {
	State string    `json:"state"`
	At    time.Time `json:"at"` // of the state
	// Write is another one in every write, as in a pointer.
	Write string `json:"write"`
}

func condemnedKey(d digest.Digest) string { return condemnedPrefix + digestPath(d) }

func errBeingDeleted(d digest.Digest) error {
	return regcred.Errorf(regcred.Unavailable, "content %s, which nobody used any more, is being deleted: push it again in a minute", d)
}

// reprieve sees to it that content is not deleted that was condemned, and waits where
// its deletion has begun: afterwards it is either there to stay or has to be stored.
// Errors: Unavailable where the deletion does not end.
func (s *Storage) reprieve(ctx context.Context, d digest.Digest) error {
	wait := 10 * time.Millisecond
	for began := time.Now(); ; wait *= 2 {
		spared, err := s.spare(ctx, d)
		if spared || err != nil {
			return err
		}
		if time.Since(began) > reprieveTimeout {
			return errBeingDeleted(d)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// spare changes the marker of content that is condemned. It reports false while the
// content is being deleted.
func (s *Storage) spare(ctx context.Context, d digest.Digest) (bool, error) {
	for {
		m, version, err := s.readMarker(ctx, d)
		switch {
		case err != nil:
			return false, err
		case version == "", m.State == stateSpared:
			return true, nil
		case m.State == stateDeleting:
			return false, s.takeOver(ctx, d, m, version)
		}
		if _, err = s.putMarker(ctx, d, stateSpared, IfVersion(version)); !raced(err) {
			return err == nil, err
		}
	}
}

// stays reports whether content that was just linked is there and not being deleted.
func (s *Storage) stays(ctx context.Context, d digest.Digest, size int64) (bool, error) {
	spared, err := s.spare(ctx, d)
	if err != nil || !spared {
		return false, err
	}
	info, err := s.blobs.Stat(ctx, contentKey(d))
	return err == nil && info.Size == size, ignore(regcred.NotFound, err)
}

// takeOver ends a deletion that another process began and did not end in time.
func (s *Storage) takeOver(ctx context.Context, d digest.Digest, m marker, version string) error {
	if time.Since(m.At) < s.takeover {
		return nil
	}
	_, err := s.deleteContent(ctx, d, version)
	return err
}

// condemn marks content that has no links, and reports whether it was not yet.
func (s *Storage) condemn(ctx context.Context, d digest.Digest) (bool, error) {
	m, version, err := s.readMarker(ctx, d)
	condition := IfVersion(version)
	switch {
	case err != nil:
		return false, err
	case version == "":
		condition = IfAbsent
	case m.State != stateSpared:
		return false, nil
	}
	_, err = s.putMarker(ctx, d, stateCondemned, condition)
	if raced(err) {
		return false, nil
	}
	return err == nil, err
}

// putMarker writes a marker that says something from now on, and returns it.
func (s *Storage) putMarker(ctx context.Context, d digest.Digest, state string, c Condition) (marker, error) {
	m := marker{State: state, At: time.Now().UTC(), Write: rand.Text()}
	data, err := encodeJSON(m)
	if err != nil {
		return m, err
	}
	put := s.blobs.Put
	if r, ok := s.cache.Blobs.(Reserver); ok {
		put = r.PutReserved // content is deleted on a full disk too
	}
	return m, put(ctx, condemnedKey(d), data, c)
}

// deleteContent deletes content whose marker has a version still, and reports
// whether it had. Once it has begun it ends, or fails, whatever becomes of ctx.
func (s *Storage) deleteContent(ctx context.Context, d digest.Digest, version string) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deleteTimeout)
	defer cancel()
	deleting, err := s.putMarker(ctx, d, stateDeleting, IfVersion(version))
	if err != nil {
		return false, ignore(regcred.Stale, err)
	}
	if err := s.blobs.Delete(ctx, contentKey(d), Condition{}); err != nil {
		return false, err
	}
	found, version, err := s.readMarker(ctx, d)
	if err != nil || found.Write != deleting.Write {
		return true, err
	}
	return true, ignore(regcred.Stale, s.blobs.Delete(ctx, condemnedKey(d), IfVersion(version)))
}

// readMarker reads the marker of content; the version is "" where there is none. One
// that is damaged is the zero marker.
func (s *Storage) readMarker(ctx context.Context, d digest.Digest) (m marker, version string, err error) {
	version, err = s.readJSON(ctx, condemnedKey(d), &m)
	switch {
	case err == nil:
		return m, version, nil
	case regcred.CodeOf(err) == regcred.NotFound:
		return marker{}, "", nil
	case regcred.CodeOf(err) != regcred.Corrupt:
		return marker{}, "", err
	}
	_, version, err = s.blobs.Read(ctx, condemnedKey(d))
	return marker{}, version, ignore(regcred.NotFound, err)
}
