package refresh

import "container/heap"

// A queue holds what comes before all else at its front. What it holds knows its
// own place, by moved, so that it can be taken out from anywhere.
type queue[T any] struct {
	items  []T
	before func(a, b T) bool
	moved  func(item T, index int) // to an index; out, where that is negative
}

func (q *queue[T]) front() T { return q.items[0] }

func (q *queue[T]) push(item T) { heap.Push((*heapOf[T])(q), item) }

func (q *queue[T]) remove(index int) { heap.Remove((*heapOf[T])(q), index) }

func (q *queue[T]) fix(index int) { heap.Fix((*heapOf[T])(q), index) }

func (q *queue[T]) len() int { return len(q.items) }

// heapOf is a queue as container/heap wants it.
type heapOf[T any] queue[T]

func (h *heapOf[T]) Len() int           { return len(h.items) }
func (h *heapOf[T]) Less(i, j int) bool { return h.before(h.items[i], h.items[j]) }

func (h *heapOf[T]) Swap(i, j int) {
	h.items[i], h.items[j] = h.items[j], h.items[i]
	h.moved(h.items[i], i)
	h.moved(h.items[j], j)
}

func (h *heapOf[T]) Push(x any) {
	item := x.(T) //nolint:forcetypeassert // nothing else is pushed
	h.moved(item, len(h.items))
	h.items = append(h.items, item)
}

func (h *heapOf[T]) Pop() any {
	last := len(h.items) - 1
	item := h.items[last]
	clear(h.items[last:])
	h.items = h.items[:last]
	h.moved(item, -1)
	return item
}
