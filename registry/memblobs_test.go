package registry_test

import (
	"bytes"
	"context"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"regcred.dev"
	"regcred.dev/regcredtest"
	"regcred.dev/registry"
)

// memBlobs is Blobs in memory. An object's version is made of its content alone, as
// it may be elsewhere.
type memBlobs struct {
	mu      sync.Mutex
	objects map[string]memObject
	uploads map[string]*memUpload
}

type memObject struct {
	data []byte
	at   time.Time
}

func newMemBlobs() *memBlobs {
	return &memBlobs{objects: map[string]memObject{}, uploads: map[string]*memUpload{}}
}

func TestMemBlobs(t *testing.T) {
	regcredtest.TestBlobs(t, func(*testing.T) registry.Blobs { return newMemBlobs() })
}

// snapshot returns what is stored at this moment.
func (m *memBlobs) snapshot() *memBlobs {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &memBlobs{objects: maps.Clone(m.objects), uploads: map[string]*memUpload{}}
}

func (m *memBlobs) find(ctx context.Context, key string) (memObject, error) {
	if err := registry.CheckKey(key); err != nil {
		return memObject{}, err
	}
	if err := ctx.Err(); err != nil {
		return memObject{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	o, ok := m.objects[key]
	if !ok {
		return o, regcred.Errorf(regcred.NotFound, "there is no object %s", key)
	}
	return o, nil
}

func (o memObject) info(key string) registry.Info {
	return registry.Info{Key: key, Size: int64(len(o.data)), ModifiedAt: o.at}
}

func (m *memBlobs) Get(ctx context.Context, key string) (registry.Object, error) {
	o, err := m.find(ctx, key)
	if err != nil {
		return registry.Object{}, err
	}
	return registry.Object{ReadSeekCloser: nopCloser{bytes.NewReader(o.data)}, Info: o.info(key)}, nil
}

type nopCloser struct{ io.ReadSeeker }

func (nopCloser) Close() error { return nil }

func (m *memBlobs) Stat(ctx context.Context, key string) (registry.Info, error) {
	o, err := m.find(ctx, key)
	return o.info(key), err
}

func (m *memBlobs) Read(ctx context.Context, key string) ([]byte, string, error) {
	o, err := m.find(ctx, key)
	if err == nil && len(o.data) > registry.MaxSmall {
		err = regcred.Errorf(regcred.TooLarge, "object %s is too large", key)
	}
	if err != nil {
		return nil, "", err
	}
	return slices.Clone(o.data), digest.FromBytes(o.data).Encoded(), nil
}

func (m *memBlobs) Put(ctx context.Context, key string, data []byte, c registry.Condition) error {
	if len(data) > registry.MaxSmall {
		return regcred.Errorf(regcred.TooLarge, "object %s is too large", key)
	}
	return m.change(ctx, key, c, func() error {
		for other := range m.objects {
			if strings.HasPrefix(other, key+"/") || strings.HasPrefix(key, other+"/") {
				return regcred.Errorf(regcred.Invalid, "%s and %s: one is a directory of the other", key, other)
			}
		}
		m.objects[key] = memObject{slices.Clone(data), time.Now()}
		return nil
	})
}

func (m *memBlobs) Delete(ctx context.Context, key string, c registry.Condition) error {
	return m.change(ctx, key, c, func() error {
		delete(m.objects, key)
		return nil
	})
}

func (m *memBlobs) change(ctx context.Context, key string, c registry.Condition, do func() error) error {
	if err := registry.CheckKey(key); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	o, there := m.objects[key]
	switch {
	case c.Absent() && there:
		return regcred.Errorf(regcred.Exists, "object %s exists", key)
	case c.Version() != "" && (!there || digest.FromBytes(o.data).Encoded() != c.Version()):
		return regcred.Errorf(regcred.Stale, "object %s was changed", key)
	}
	return do()
}

func (m *memBlobs) List(ctx context.Context, prefix, after string) iter.Seq2[registry.Info, error] {
	return func(yield func(registry.Info, error) bool) {
		if dir := prefix[:strings.LastIndexByte(prefix, '/')+1]; dir != "" && registry.CheckKey(strings.TrimSuffix(dir, "/")) != nil {
			yield(registry.Info{}, registry.CheckKey(strings.TrimSuffix(dir, "/")))
			return
		}
		for key := range slices.Values(slices.Sorted(maps.Keys(m.snapshot().objects))) {
			if !strings.HasPrefix(key, prefix) || key <= after {
				continue
			}
			info, err := m.Stat(ctx, key)
			if err != nil && regcred.CodeOf(err) == regcred.NotFound {
				continue
			}
			if !yield(info, err) || err != nil {
				return
			}
		}
		if ctx.Err() != nil {
			yield(registry.Info{}, ctx.Err())
		}
	}
}

func (m *memBlobs) CreateUpload(ctx context.Context, id string) (registry.Upload, error) {
	if err := registry.CheckUploadID(id); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.uploads[id] != nil {
		return nil, regcred.Errorf(regcred.Exists, "upload %s exists", id)
	}
	u := &memUpload{m: m, id: id, open: true, at: time.Now()}
	m.uploads[id] = u
	return &memTurn{memUpload: u}, nil
}

func (m *memBlobs) OpenUpload(_ context.Context, id string) (registry.Upload, error) {
	if err := registry.CheckUploadID(id); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	u := m.uploads[id]
	if u == nil {
		return nil, regcred.Errorf(regcred.NotFound, "there is no upload %s", id)
	}
	if u.open {
		return nil, regcred.Errorf(regcred.Stale, "upload %s is in use", id)
	}
	u.open = true
	return &memTurn{memUpload: u}, nil
}

func (m *memBlobs) CleanUploads(_ context.Context, before time.Time) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := len(m.uploads)
	maps.DeleteFunc(m.uploads, func(_ string, u *memUpload) bool { return !u.open && u.at.Before(before) })
	return n - len(m.uploads), nil
}

// memUpload is an upload, memTurn one turn of it.
type memUpload struct {
	m    *memBlobs
	id   string
	open bool
	at   time.Time
	data []byte
}

type memTurn struct {
	*memUpload
	over bool
}

func (u *memTurn) Size() int64 { return int64(len(u.data)) }

func (u *memTurn) Write(p []byte) (int, error) {
	if u.over {
		return 0, io.ErrClosedPipe
	}
	u.data, u.at = append(u.data, p...), time.Now()
	return len(p), nil
}

func (u *memTurn) Content() (io.Reader, error) { return bytes.NewReader(u.data), nil }

func (u *memTurn) Commit(ctx context.Context, key string) error {
	if u.over {
		return io.ErrClosedPipe
	}
	err := u.m.change(ctx, key, registry.Condition{}, func() error {
		u.m.objects[key] = memObject{u.data, time.Now()}
		return nil
	})
	if err != nil {
		return err
	}
	return u.end(true)
}

func (u *memTurn) Cancel() error { return u.end(true) }
func (u *memTurn) Close() error  { return u.end(false) }

func (u *memTurn) end(gone bool) error {
	u.m.mu.Lock()
	defer u.m.mu.Unlock()
	if u.over {
		return nil
	}
	u.over, u.open = true, false
	if gone {
		delete(u.m.uploads, u.id)
	}
	return nil
}
