package static

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/opencontainers/go-digest"

	"regcred.dev"
	"regcred.dev/registry"
)

// names returns the names that the file of an object may have, in the order in which they
// count.
func names(key string) []string {
	if !strings.Contains(key, manifestsDir) {
		return []string{key}
	}
	list := make([]string, 0, len(manifestTypes))
	for _, t := range manifestTypes {
		list = append(list, key+t.suffix)
	}
	return list
}

// open opens the file of an object. Errors: NotFound.
func (d *Directory) open(ctx context.Context, key string) (*os.File, int64, error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, context.Cause(ctx)
	}
	for _, name := range names(key) {
		f, err := d.root.Open(name)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
			continue
		}
		if err != nil {
			return nil, 0, regcred.Errorf(regcred.Unavailable, "cannot read %s: %w", key, err)
		}
		info, err := f.Stat()
		if err == nil && !info.IsDir() {
			return f, info.Size(), nil
		}
		_ = f.Close()
	}
	return nil, 0, regcred.Errorf(regcred.NotFound, "there is no object %s", key)
}

// Size implements Objects.
func (d *Directory) Size(ctx context.Context, key string) (int64, error) {
	f, size, err := d.open(ctx, key)
	if err != nil {
		return 0, err
	}
	return size, f.Close()
}

// Read implements Objects. The version is a hash of the content.
func (d *Directory) Read(ctx context.Context, key string) ([]byte, string, error) {
	f, size, err := d.open(ctx, key)
	if err != nil {
		return nil, "", err
	}
	defer f.Close()
	if size > registry.MaxSmall {
		return nil, "", regcred.Errorf(regcred.TooLarge, "object %s has %d bytes, more than a small one may have (%d)", key, size, registry.MaxSmall)
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, "", regcred.Errorf(regcred.Unavailable, "cannot read %s: %w", key, err)
	}
	sum := sha256.Sum256(data)
	return data, hex.EncodeToString(sum[:]), nil
}

// Put implements Objects. A key that ends with a slash is that of a directory, which is
// all that is made of it.
func (d *Directory) Put(ctx context.Context, key, contentType, _ string, data []byte, c registry.Condition) error {
	if strings.HasSuffix(key, "/") {
		return writeError(key, d.change(ctx, key+"file", func() error { return nil }))
	}
	if len(data) > registry.MaxSmall {
		return regcred.Errorf(regcred.TooLarge, "object %s has %d bytes, more than a small one may have (%d)", key, len(data), registry.MaxSmall)
	}
	return d.place(ctx, key, contentType, bytes.NewReader(data), func() error { return d.check(ctx, key, c) })
}

// Store implements Objects.
func (d *Directory) Store(ctx context.Context, key, contentType, _ string, want digest.Digest, size int64, r io.Reader) error {
	if err := checkDigest(want); err != nil {
		return err
	}
	counted := &counter{hash: want.Algorithm().Hash()}
	content := io.TeeReader(io.LimitReader(r, size+1), counted)
	return d.place(ctx, key, contentType, content, func() error {
		found := digest.NewDigest(want.Algorithm(), counted.hash)
		if counted.size != size || found != want {
			return regcred.Errorf(regcred.Invalid, "the content for %s has digest %s in %d bytes, not %s in %d", key, found, counted.size, want, size)
		}
		return nil
	})
}

// counter hashes and counts.
type counter struct {
	hash hash.Hash
	size int64
}

func (c *counter) Write(p []byte) (int, error) {
	c.size += int64(len(p))
	return c.hash.Write(p)
}

// place makes content the file of an object, where check allows it once all of it is
// there.
func (d *Directory) place(ctx context.Context, key, contentType string, content io.Reader, check func() error) error {
	tmp, remove, err := d.temporary(content)
	if err != nil {
		return writeError(key, err)
	}
	defer remove()
	name := key + suffixOf(contentType)
	return writeError(key, d.change(ctx, key, func() error {
		if err := check(); err != nil {
			return err
		}
		if err := d.root.Rename(tmp, name); err != nil {
			return err
		}
		return d.removeOthers(key, name)
	}))
}

// removeOthers removes files that an object had under another type.
func (d *Directory) removeOthers(key, name string) error {
	for _, other := range names(key) {
		if other == name {
			continue
		}
		if err := d.root.Remove(other); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// check returns an error where a condition does not hold.
func (d *Directory) check(ctx context.Context, key string, c registry.Condition) error {
	if c == (registry.Condition{}) {
		return nil
	}
	_, version, err := d.Read(ctx, key)
	switch {
	case err != nil && regcred.CodeOf(err) != regcred.NotFound:
		return err
	case c.Absent() && err == nil:
		return regcred.Errorf(regcred.Exists, "object %s exists", key)
	case !c.Absent() && version != c.Version():
		return regcred.Errorf(regcred.Stale, "object %s was changed meanwhile", key)
	}
	return nil
}

// Copy implements Objects: both are one file with two names, so it takes no room. Not
// every file system can do that.
func (d *Directory) Copy(ctx context.Context, from, to string) error {
	return writeError(to, d.change(ctx, to, func() error {
		err := d.root.Link(from, to)
		switch {
		case errors.Is(err, fs.ErrExist):
			return nil
		case errors.Is(err, fs.ErrNotExist):
			return regcred.Errorf(regcred.NotFound, "there is no object %s", from)
		}
		return err
	}))
}
