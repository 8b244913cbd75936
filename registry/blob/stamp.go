package blob

import (
	"context"
	"io/fs"
	"time"

	"golang.org/x/sys/unix"

	"regcred.dev/registry"
)

var _ registry.Stamper = (*Dir)(nil)

// Stamp implements registry.Stamper. It is one call to the kernel, which follows links
// out of the directory where somebody put one: nothing is read there, and what was
// read by open has another stamp.
func (d *Dir) Stamp(ctx context.Context, key string) (registry.Stamp, error) {
	if err := registry.CheckKey(key); err != nil {
		return registry.Stamp{}, err
	}
	if err := ctx.Err(); err != nil {
		return registry.Stamp{}, err
	}
	var st unix.Stat_t
	if err := unix.Fstatat(int(d.objects.Fd()), key, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return registry.Stamp{}, readError(key, &fs.PathError{Op: "stat", Path: key, Err: err})
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return registry.Stamp{}, notFound(key)
	}
	return registry.Stamp{
		Device:    uint64(st.Dev), //nolint:unconvert // another type on other systems
		File:      st.Ino,
		Size:      st.Size,
		ChangedAt: time.Unix(st.Ctim.Unix()),
	}, nil
}
