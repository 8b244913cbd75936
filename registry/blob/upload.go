package blob

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"

	"regcred.dev"
	"regcred.dev/internal/flock"
	"regcred.dev/registry"
)

// CreateUpload implements registry.Blobs.
func (d *Dir) CreateUpload(ctx context.Context, id string) (registry.Upload, error) {
	name, err := uploadPath(ctx, id)
	if err != nil {
		return nil, err
	}
	f, err := d.createLocked(name)
	if errors.Is(err, fs.ErrExist) {
		return nil, regcred.Errorf(regcred.Exists, "upload %s exists", id)
	}
	if err != nil {
		return nil, writeError("upload "+id, err)
	}
	return &upload{d: d, f: f, name: name}, nil
}

// OpenUpload implements registry.Blobs.
func (d *Dir) OpenUpload(ctx context.Context, id string) (registry.Upload, error) {
	name, err := uploadPath(ctx, id)
	if err != nil {
		return nil, err
	}
	f, err := d.openLocked(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, regcred.Errorf(regcred.NotFound, "there is no upload %s", id)
	case errors.Is(err, flock.ErrLocked):
		return nil, regcred.Errorf(regcred.Stale, "upload %s is being written to by another request", id)
	case err != nil:
		return nil, err
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return &upload{d: d, f: f, name: name, size: size}, nil
}

func uploadPath(ctx context.Context, id string) (string, error) {
	if err := registry.CheckUploadID(id); err != nil {
		return "", err
	}
	return path.Join(uploadsDir, id), ctx.Err()
}

// upload is a file in uploads, locked while it is open.
type upload struct {
	d    *Dir
	f    *os.File // nil once it is over
	name string
	size int64
}

func (u *upload) Size() int64 { return u.size }

func (u *upload) Write(p []byte) (int, error) {
	if u.f == nil {
		return 0, fs.ErrClosed
	}
	n, err := u.f.WriteAt(p, u.size)
	u.size += int64(n)
	return n, writeError(u.name, err)
}

func (u *upload) Content() (io.Reader, error) {
	if u.f == nil {
		return nil, fs.ErrClosed
	}
	return io.NewSectionReader(u.f, 0, u.size), nil
}

func (u *upload) Commit(ctx context.Context, key string) error {
	if u.f == nil {
		return fs.ErrClosed
	}
	if err := u.f.Sync(); err != nil {
		return writeError(key, err)
	}
	if err := u.d.place(ctx, key, registry.Condition{}, u.name); err != nil {
		return writeError(key, err)
	}
	return u.Close()
}

func (u *upload) Cancel() error {
	if u.f == nil {
		return nil
	}
	return errors.Join(u.d.root.Remove(u.name), u.Close())
}

func (u *upload) Close() error {
	if u.f == nil {
		return nil
	}
	f := u.f
	u.f = nil
	return f.Close()
}
