package blob

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"

	"regcred.dev"
	"regcred.dev/internal/flock"
	"regcred.dev/registry"
)

// Get implements registry.Blobs. The object's reader is an *os.File.
func (d *Dir) Get(ctx context.Context, key string) (registry.Object, error) {
	f, info, err := d.open(ctx, key)
	if err != nil {
		return registry.Object{}, err
	}
	return registry.Object{ReadSeekCloser: f, Info: info}, nil
}

// Stat implements registry.Blobs.
func (d *Dir) Stat(ctx context.Context, key string) (registry.Info, error) {
	name, err := objectPath(key)
	if err != nil {
		return registry.Info{}, err
	}
	if err := ctx.Err(); err != nil {
		return registry.Info{}, err
	}
	info, err := d.root.Stat(name)
	if err != nil {
		return registry.Info{}, readError(key, err)
	}
	return objectInfo(key, info)
}

// Read implements registry.Blobs. The version is a hash of the content.
func (d *Dir) Read(ctx context.Context, key string) ([]byte, string, error) {
	f, info, err := d.open(ctx, key)
	if err != nil {
		return nil, "", err
	}
	defer f.Close()
	if info.Size > registry.MaxSmall {
		return nil, "", regcred.Errorf(regcred.TooLarge, "object %s has %d bytes, more than a small one may have (%d)", key, info.Size, registry.MaxSmall)
	}
	data := make([]byte, info.Size)
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, "", err
	}
	return data, version(data), nil
}

// Put implements registry.Blobs.
func (d *Dir) Put(ctx context.Context, key string, data []byte, c registry.Condition) error {
	if len(data) > registry.MaxSmall {
		return regcred.Errorf(regcred.TooLarge, "object %s has %d bytes, more than a small one may have (%d)", key, len(data), registry.MaxSmall)
	}
	if c.Absent() {
		// Most often it is there: spare the write.
		if _, err := d.Stat(ctx, key); err == nil {
			return existsError(key)
		}
	}
	tmp := path.Join(tmpDir, tmpPrefix+randomName())
	f, err := d.createLocked(tmp)
	if err != nil {
		return writeError(key, err)
	}
	defer f.Close()
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = d.place(ctx, key, c, tmp)
	}
	if err != nil {
		_ = d.root.Remove(tmp)
		return writeError(key, err)
	}
	return nil
}

// Delete implements registry.Blobs.
func (d *Dir) Delete(ctx context.Context, key string, c registry.Condition) error {
	return d.change(ctx, key, c, func(name string) error {
		err := d.root.Remove(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
}

// place renames a file to where the object of a key is.
func (d *Dir) place(ctx context.Context, key string, c registry.Condition, file string) error {
	return d.change(ctx, key, c, func(name string) error { return d.root.Rename(file, name) })
}

// change does something to the name of an object, where the condition holds,
// while no other writer does, and makes it last.
func (d *Dir) change(ctx context.Context, key string, c registry.Condition, do func(name string) error) error {
	name, err := objectPath(key)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	dir, err := d.makeDir(path.Dir(name))
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := flock.Lock(dir); err != nil {
		return err
	}
	if err := d.check(ctx, key, c); err != nil {
		return err
	}
	if err := do(name); err != nil {
		return err
	}
	if err := flock.Unlock(dir); err != nil {
		return err
	}
	return dir.Sync()
}

// check reports whether the condition holds.
func (d *Dir) check(ctx context.Context, key string, c registry.Condition) error {
	switch {
	case c.Absent():
		_, err := d.Stat(ctx, key)
		if err == nil {
			return existsError(key)
		}
		return ignoreNotFound(err)
	case c.Version() != "":
		_, found, err := d.Read(ctx, key)
		if err := ignoreNotFound(err); err != nil {
			return err
		}
		if found != c.Version() {
			return regcred.Errorf(regcred.Stale, "object %s was changed meanwhile", key)
		}
	}
	return nil
}

func (d *Dir) open(ctx context.Context, key string) (*os.File, registry.Info, error) {
	name, err := objectPath(key)
	if err != nil {
		return nil, registry.Info{}, err
	}
	if err := ctx.Err(); err != nil {
		return nil, registry.Info{}, err
	}
	f, err := d.root.Open(name)
	if err != nil {
		return nil, registry.Info{}, readError(key, err)
	}
	stat, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return nil, registry.Info{}, err
	}
	info, err := objectInfo(key, stat)
	if err != nil {
		_ = f.Close()
		return nil, registry.Info{}, err
	}
	return f, info, nil
}

func objectInfo(key string, info fs.FileInfo) (registry.Info, error) {
	if info.IsDir() {
		return registry.Info{}, notFound(key)
	}
	return registry.Info{Key: key, Size: info.Size(), ModifiedAt: info.ModTime()}, nil
}

func version(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// readError gives an error of a read the code that its callers look for.
func readError(key string, err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return notFound(key)
	}
	return err
}

func ignoreNotFound(err error) error {
	if regcred.CodeOf(err) == regcred.NotFound {
		return nil
	}
	return err
}

func notFound(key string) error {
	return regcred.Errorf(regcred.NotFound, "there is no object %s", key)
}

func existsError(key string) error {
	return regcred.Errorf(regcred.Exists, "object %s exists", key)
}
