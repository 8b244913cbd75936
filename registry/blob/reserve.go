package blob

import (
	"context"
	"errors"
	"io"
	"os"

	"regcred.dev/internal/flock"
	"regcred.dev/registry"
)

var _ registry.Reserver = (*Dir)(nil)

// The file reserve takes up room that small objects get on a full disk, by which others
// are deleted: reserveStep bytes at a time, which are several blocks of any file system.
// It is filled up again as soon as there is room.
//
// A file system that compresses, or that copies on write, may keep no room for it: such
// a disk that is full to the last block takes an administrator.
const (
	reserveName = "reserve"
	reserveSize = 256 << 10
	reserveStep = 16 << 10
)

// PutReserved implements registry.Reserver.
func (d *Dir) PutReserved(ctx context.Context, key string, data []byte, c registry.Condition) error {
	if err := d.fillReserve(); err != nil {
		return writeError(key, err)
	}
	for {
		err := d.Put(ctx, key, data, c)
		if !errors.Is(err, registry.ErrNoSpace) {
			return err
		}
		if released, releaseErr := d.releaseReserve(); !released || releaseErr != nil {
			return errors.Join(err, releaseErr)
		}
	}
}

// fillReserve makes the reserve as large as the disk lets it be.
func (d *Dir) fillReserve() error {
	err := d.withReserve(func(f *os.File, size int64) error {
		step := make([]byte, reserveStep)
		for size -= size % reserveStep; size < reserveSize; size += reserveStep {
			if _, err := f.WriteAt(step, size); err != nil {
				return errors.Join(err, f.Truncate(size)) // only whole steps are released
			}
		}
		return nil
	})
	if errors.Is(writeError(reserveName, err), registry.ErrNoSpace) {
		return nil
	}
	return err
}

// releaseReserve gives a step of the reserve back to the disk, and reports whether there
// was one.
func (d *Dir) releaseReserve() (released bool, err error) {
	err = d.withReserve(func(f *os.File, size int64) error {
		if size == 0 {
			return nil
		}
		released = true
		return f.Truncate(max(0, size-reserveStep))
	})
	return released, err
}

// withReserve hands out the reserve and its size, while nobody else has it.
func (d *Dir) withReserve(do func(f *os.File, size int64) error) error {
	f, err := d.root.OpenFile(reserveName, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := flock.Lock(f); err != nil {
		return err
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	return do(f, size)
}
