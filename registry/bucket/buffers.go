package bucket

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"
)

// buffers hands out memory for parts, within a bound.
type buffers struct {
	part  int64 // bytes of a part
	bound int64 // bytes of all
	room  *semaphore.Weighted

	mu   sync.Mutex
	used int
	idle [][]byte
}

func newBuffers(part int64, count int) *buffers {
	bound := part * int64(count)
	return &buffers{part: part, bound: bound, room: semaphore.NewWeighted(bound)}
}

// kept is the size in bytes from which on a buffer is kept for the next part.
const kept = 1 << 20

// get returns a buffer, and what gives it back. It waits until there is room; one that
// is larger than the bound waits for all of it.
func (b *buffers) get(ctx context.Context, size int64) ([]byte, func(), error) {
	weight := min(size, b.bound)
	if size >= kept && size < b.part {
		weight = b.part
	}
	if err := b.room.Acquire(ctx, weight); err != nil {
		return nil, nil, err
	}
	if size < kept || size > b.part {
		return make([]byte, size), func() { b.room.Release(weight) }, nil
	}
	buf := b.take()
	return buf[:size], func() {
		b.put(buf)
		b.room.Release(weight)
	}, nil
}

func (b *buffers) take() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used++
	if last := len(b.idle) - 1; last >= 0 {
		buf := b.idle[last]
		b.idle = b.idle[:last]
		return buf
	}
	return make([]byte, b.part)
}

// put takes a buffer back. Of those that nobody uses one stays.
func (b *buffers) put(buf []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used--
	b.idle = append(b.idle, buf)
	if b.used == 0 {
		b.idle = [][]byte{buf}
	}
}
