package kubernetes

import (
	"cmp"
	"container/heap"
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"
)

// The wait before a namespace that failed is tried again doubles from the first to
// the last of these.
const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = 30 * time.Second
)

// rank says which of the namespaces that wait come first: those of the lower class, and
// among them those that are due earlier. The zero rank is the most urgent.
type rank struct {
	class class
	due   int64 // in nanoseconds since 1970
}

type class int8

const (
	classRevoked class = iota // something there must not be used any more
	classNews                 // something has just happened there
	classPass                 // all are looked at, because of a newer book
)

func (r rank) compare(other rank) int {
	return cmp.Or(cmp.Compare(r.class, other.class), cmp.Compare(r.due, other.due))
}

// queue has the names of the namespaces that are to be seen to, each once, and hands
// none out twice at a time. They come by their rank, and where that is the same in the
// order in which they came by it.
type queue struct {
	workqueue.TypedRateLimitingInterface[string]

	order *order
}

func newQueue() *queue {
	o := &order{ranks: map[string]rank{}, at: map[string]int{}}
	delaying := workqueue.NewTypedDelayingQueueWithConfig(workqueue.TypedDelayingQueueConfig[string]{
		Queue: workqueue.NewTypedWithConfig(workqueue.TypedQueueConfig[string]{Queue: o}),
	})
	limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[string](firstRetry, lastRetry)
	return &queue{
		TypedRateLimitingInterface: workqueue.NewTypedRateLimitingQueueWithConfig(limiter,
			workqueue.TypedRateLimitingQueueConfig[string]{DelayingQueue: delaying}),
		order: o,
	}
}

// add adds a name. One that waits already comes by the more urgent rank.
func (q *queue) add(name string, r rank) {
	q.order.set(name, r)
	q.Add(name)
}

// hurry adds a name of which something is new.
func (q *queue) hurry(name string) { q.add(name, rank{class: classNews}) }

// addAfter adds a name after a while; where that is 0, after one that doubles each time
// until Forget.
func (q *queue) addAfter(name string, r rank, wait time.Duration) {
	q.order.set(name, r)
	if wait > 0 {
		q.AddAfter(name, wait)
		return
	}
	q.AddRateLimited(name)
}

// order is the order in which the queue's names come: workqueue.Queue. The queue
// calls one of its methods at a time.
type order struct {
	mu    sync.Mutex
	ranks map[string]rank // of those that are about to be added

	waiting []waiting      // a heap
	at      map[string]int // where each of them is
	count   uint64
}

type waiting struct {
	name string
	rank
	number uint64
}

// set has a name come by a rank, once it is added, or by a more urgent one that was set
// before.
func (o *order) set(name string, r rank) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if old, ok := o.ranks[name]; !ok || r.compare(old) < 0 {
		o.ranks[name] = r
	}
}

// take returns the rank that was set for a name, that of a pass where none was.
func (o *order) take(name string) rank {
	o.mu.Lock()
	defer o.mu.Unlock()
	r, ok := o.ranks[name]
	if !ok {
		return rank{class: classPass}
	}
	delete(o.ranks, name)
	return r
}

// Touch implements workqueue.Queue: a name that waits already may be more urgent now.
func (o *order) Touch(name string) {
	i := o.at[name]
	if r := o.take(name); r.compare(o.waiting[i].rank) < 0 {
		o.count++
		o.waiting[i] = waiting{name, r, o.count}
		heap.Fix((*byRank)(o), i)
	}
}

// Push implements workqueue.Queue.
func (o *order) Push(name string) {
	o.count++
	heap.Push((*byRank)(o), waiting{name, o.take(name), o.count})
}

// Len implements workqueue.Queue.
func (o *order) Len() int { return len(o.waiting) }

// Pop implements workqueue.Queue.
func (o *order) Pop() string { return heap.Pop((*byRank)(o)).(waiting).name }

// byRank is an order as container/heap needs it.
type byRank order

func (b *byRank) Len() int { return len(b.waiting) }

func (b *byRank) Less(i, j int) bool {
	x, y := b.waiting[i], b.waiting[j]
	return cmp.Or(x.compare(y.rank), cmp.Compare(x.number, y.number)) < 0
}

func (b *byRank) Swap(i, j int) {
	b.waiting[i], b.waiting[j] = b.waiting[j], b.waiting[i]
	b.at[b.waiting[i].name], b.at[b.waiting[j].name] = i, j
}

func (b *byRank) Push(x any) {
	w := x.(waiting)
	b.at[w.name] = len(b.waiting)
	b.waiting = append(b.waiting, w)
}

func (b *byRank) Pop() any {
	last := len(b.waiting) - 1
	w := b.waiting[last]
	b.waiting[last] = waiting{}
	b.waiting = b.waiting[:last]
	delete(b.at, w.name)
	return w
}
