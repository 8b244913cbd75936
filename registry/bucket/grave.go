package bucket

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"regcred.dev"
	"regcred.dev/registry"
)

// How an object is deleted only if it has a version still, where the server knows If-Match
// of PUT and not that of DELETE.
//
// The object is replaced by a grave, under the condition, and then the grave is deleted. A
// grave is an object with metadata that say since when it is one, and with random content,
// so that no other object has its version; to readers it is no
// object. Nobody writes over a grave: who wants to waits until it is gone, and a write
// without a condition gets that of what it found. So nothing is written between the two
// steps, which the second one would delete.
//
// Whoever is killed between them leaves a grave. Who comes to one that is older than
// graveTakeover digs it anew, so that of two who come to it one goes on, and deletes it.
// The two steps end after graveTimeout; that clocks agree to a few minutes is assumed.
const (
	metaDeleted = "regcred-deleted"

	graveTimeout  = time.Minute
	graveTakeover = 15 * time.Minute
	// gravePatience is how long a write waits for a grave to go.
	gravePatience = 10 * time.Second
	// graveTries bounds how often a write begins anew that others come before.
	graveTries = 100
)

// buried returns since when an object with these metadata is a grave. One whose time
// cannot be read is of the year 1.
func buried(meta map[string]string) (time.Time, bool) {
	text, ok := meta[metaDeleted]
	at, _ := time.Parse(time.RFC3339, text)
	return at, ok
}

// bury deletes an object of a version, by its key in S3. Once it has begun it ends, or
// fails, whatever becomes of ctx. Errors: Stale.
func (b *Bucket) bury(ctx context.Context, path, version string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), graveTimeout)
	defer cancel()
	grave := map[string]string{metaDeleted: time.Now().UTC().Format(time.RFC3339)}
	if err := b.putWith(ctx, path, []byte(rand.Text()), grave, registry.IfVersion(version)); err != nil {
		return err
	}
	return b.remove(ctx, path, "")
}

// found is what is under a key.
type found struct {
	version string // "": nothing
	grave   bool
	since   time.Time // of a grave
}

func (b *Bucket) look(ctx context.Context, path string) (found, error) {
	out, err := b.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.o.Bucket, Key: &path})
	if absent(err) {
		return found{}, nil
	}
	if err != nil {
		return found{}, b.fail(ctx, "HeadObject", path, err)
	}
	since, grave := buried(out.Metadata)
	return found{aws.ToString(out.ETag), grave, since}, nil
}

// clear ends what was left of a deletion, if it is old enough.
func (b *Bucket) clear(ctx context.Context, path, version string, since time.Time) error {
	if time.Since(since) < graveTakeover {
		return nil
	}
	err := b.bury(ctx, path, version)
	if err != nil && regcred.CodeOf(err) == regcred.Stale {
		return nil // by somebody else
	}
	return err
}

// putBesideGraves is put where graves are dug. Errors: Unavailable where a grave stays.
func (b *Bucket) putBesideGraves(ctx context.Context, path string, data []byte, c registry.Condition) error {
	if c.Version() != "" { // that of no grave
		return b.put(ctx, path, data, c)
	}
	began := time.Now()
	for wait := 10 * time.Millisecond; ; wait *= 2 {
		at, err := b.putOverNoGrave(ctx, path, data, c)
		if err != nil || !at.grave {
			return err
		}
		if err := b.clear(ctx, path, at.version, at.since); err != nil {
			return err
		}
		if time.Since(began) > gravePatience {
			return registry.Operational(regcred.Errorf(regcred.Unavailable, "object %s is being deleted since %s: try again in some minutes", path, at.since.Format(time.RFC3339)))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// putOverNoGrave stores an object, if it is absent or whatever it is, and returns the
// grave that it found instead.
func (b *Bucket) putOverNoGrave(ctx context.Context, path string, data []byte, c registry.Condition) (found, error) {
	condition := registry.IfAbsent
	for range graveTries {
		refusal := b.put(ctx, path, data, condition)
		if code := regcred.CodeOf(refusal); refusal == nil || code != regcred.Exists && code != regcred.Stale {
			return found{}, refusal
		}
		at, err := b.look(ctx, path)
		switch {
		case err != nil || at.grave:
			return at, err
		case at.version == "":
			condition = registry.IfAbsent
		case c.Absent():
			return found{}, refusal
		default:
			condition = registry.IfVersion(at.version)
		}
	}
	return found{}, registry.Operational(regcred.Errorf(regcred.Unavailable, "others go on changing object %s: try again", path))
}
