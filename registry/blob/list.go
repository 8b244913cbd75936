package blob

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strings"
	"syscall"

	"regcred.dev/registry"
)

// List implements registry.Blobs. It holds the names of one directory at each
// level in memory.
func (d *Dir) List(ctx context.Context, prefix, after string) iter.Seq2[registry.Info, error] {
	return func(yield func(registry.Info, error) bool) {
		// Keys with the prefix are all below the directory that it ends in.
		dir := prefix[:strings.LastIndexByte(prefix, '/')+1]
		if dir != "" {
			if err := registry.CheckKey(strings.TrimSuffix(dir, "/")); err != nil {
				yield(registry.Info{}, err)
				return
			}
		}
		w := walk{d: d, prefix: prefix, after: after, yield: yield}
		w.dir(ctx, dir)
	}
}

type walk struct {
	d             *Dir
	prefix, after string
	yield         func(registry.Info, error) bool
}

// dir yields what is below a directory, "" or with a slash at its end, and
// reports whether to go on.
func (w *walk) dir(ctx context.Context, dir string) bool {
	if err := ctx.Err(); err != nil {
		return w.fail(err)
	}
	entries, err := w.d.readDir(path.Join(objectsDir, dir))
	if err != nil {
		return w.gone(err)
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
		if e.IsDir() {
			names[i] += "/" // which is how the directory sorts among whole keys
		}
	}
	slices.Sort(names)
	for _, name := range names {
		key := dir + name
		isDir := strings.HasSuffix(key, "/")
		switch {
		case !strings.HasPrefix(key, w.prefix) && !(isDir && strings.HasPrefix(w.prefix, key)):
			continue
		case isDir && key <= w.after && !strings.HasPrefix(w.after, key), !isDir && key <= w.after:
			continue
		case isDir && !w.dir(ctx, key), !isDir && !w.object(key):
			return false
		}
	}
	return true
}

func (w *walk) object(key string) bool {
	info, err := w.d.root.Stat(objectsDir + "/" + key)
	if err != nil {
		return w.gone(err)
	}
	return w.yield(registry.Info{Key: key, Size: info.Size(), ModifiedAt: info.ModTime()}, nil)
}

// gone goes on where a name was removed meanwhile.
func (w *walk) gone(err error) bool {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return true
	}
	return w.fail(err)
}

func (w *walk) fail(err error) bool {
	w.yield(registry.Info{}, err)
	return false
}
