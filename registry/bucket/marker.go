package bucket

import (
	"context"
	"crypto/rand"
	"encoding/json"

	"regcred.dev"
	"regcred.dev/registry"
)

// marker is the object that Open leaves in a bucket once it has been looked at. Its
// key is none that registry.CheckKey allows.
type marker struct {
	Format            string `json:"format"`
	ConditionalDelete bool   `json:"conditionalDelete"`
}

const (
	markerKey = ".regcred"

	// The formats: the registry's own storage, and a site.
	blobsFormat = "regcred blobs 1"
	siteFormat  = "regcred static 1"
)

// uses says what has a format, in words for who runs it.
var uses = map[string]string{
	blobsFormat: "the storage of a regcred server",
	siteFormat:  "a static registry",
}

// readMarker reads what an earlier Open found out, or finds it out.
func (b *Bucket) readMarker(ctx context.Context) error {
	data, _, err := b.read(ctx, b.prefix()+markerKey)
	if regcred.CodeOf(err) == regcred.NotFound && err != nil {
		return b.writeMarker(ctx)
	}
	if err != nil {
		return err
	}
	var m marker
	err = json.Unmarshal(data, &m)
	if use, known := uses[m.Format]; known && m.Format != b.format {
		return regcred.Errorf(regcred.Invalid, "bucket %s%s: below the prefix %q is %s: choose another prefix", b.o.Bucket, b.at, b.prefix(), use)
	}
	if err != nil || m.Format != b.format {
		return regcred.Errorf(regcred.Invalid, "bucket %s%s: %s%s has another format than %q: choose another prefix, or use the version of regcred that wrote it, or a newer one",
			b.o.Bucket, b.at, b.prefix(), markerKey, b.format)
	}
	b.conditionalDelete = m.ConditionalDelete
	return nil
}

func (b *Bucket) writeMarker(ctx context.Context) error {
	found, err := b.probeConditions(ctx)
	if err != nil {
		return err
	}
	if !found.put() {
		return regcred.Errorf(regcred.Unavailable,
			"bucket %s%s: the server ignores If-None-Match and If-Match of PUT, and so loses tags that are written at the same time: use one that knows them, or a newer version of it",
			b.o.Bucket, b.at)
	}
	b.conditionalDelete = found.delete
	data, err := json.Marshal(marker{Format: b.format, ConditionalDelete: found.delete})
	if err != nil {
		return err
	}
	return b.put(ctx, b.prefix()+markerKey, data, registry.Condition{})
}

// conditions says which conditions a server holds writes to.
type conditions struct {
	create bool // If-None-Match of PUT
	change bool // If-Match of PUT
	delete bool // If-Match of DELETE
}

func (c conditions) put() bool { return c.create && c.change }

// noVersion is an ETag that no object of the registry has.
const noVersion = `"00000000000000000000000000000000"`

// probeConditions finds out by an object of its own, which it removes.
func (b *Bucket) probeConditions(ctx context.Context) (conditions, error) {
	key := b.prefix() + markerKey + "-probe-" + rand.Text()
	var found conditions
	if err := b.put(ctx, key, []byte("one"), registry.IfAbsent); err != nil {
		return found, err
	}
	defer func() { _ = b.remove(context.WithoutCancel(ctx), key, "") }() // else it stays, small as it is
	var err error
	if found.create, err = held(b.put(ctx, key, []byte("two"), registry.IfAbsent)); err != nil {
		return found, err
	}
	if found.change, err = held(b.put(ctx, key, []byte("three"), registry.IfVersion(noVersion))); err != nil {
		return found, err
	}
	found.delete, err = held(b.remove(ctx, key, noVersion))
	return found, err
}

// held reports whether a write was refused for its condition.
func held(err error) (bool, error) {
	switch {
	case err == nil:
		return false, nil
	case regcred.CodeOf(err) == regcred.Exists, regcred.CodeOf(err) == regcred.Stale:
		return true, nil
	}
	return false, err
}
