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
// order in which they came by it; but no more than maxNews in a row for news.
type queue struct {
	workqueue.TypedRateLimitingInterface[string]

	order *order
}

func newQueue() *queue {
	o := newOrder()
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

// maxNews is how many names of which there is news come in a row while others wait:
// where somebody changes something all the time, logins are renewed none the less.
const maxNews = 3

// order is the order in which the queue's names come: workqueue.Queue. The queue
// calls one of its methods at a time.
type order struct {
	mu    sync.Mutex
	ranks map[string]rank // of those that are about to be added

	hasty, passing row // passing are those of classPass
	count          uint64
	news           int // how many in a row came before one that passes
}

func newOrder() *order {
	return &order{ranks: map[string]rank{}, hasty: row{at: map[string]int{}}, passing: row{at: map[string]int{}}}
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
	from := &o.hasty
	if _, passes := o.passing.at[name]; passes {
		from = &o.passing
	}
	i := from.at[name]
	if r := o.take(name); r.compare(from.all[i].rank) < 0 {
		heap.Remove(from, i)
		o.push(name, r)
	}
}

// Push implements workqueue.Queue.
func (o *order) Push(name string) { o.push(name, o.take(name)) }

func (o *order) push(name string, r rank) {
	to := &o.hasty
	if r.class == classPass {
		to = &o.passing
	}
	o.count++
	heap.Push(to, waiting{name, r, o.count})
}

// Len implements workqueue.Queue.
func (o *order) Len() int { return o.hasty.Len() + o.passing.Len() }

// Pop implements workqueue.Queue.
func (o *order) Pop() string {
	switch {
	case o.passing.Len() == 0:
		o.news = 0
	case o.hasty.Len() == 0, o.hasty.all[0].class == classNews && o.news == maxNews:
		o.news = 0
		return heap.Pop(&o.passing).(waiting).name
	case o.hasty.all[0].class == classNews:
		o.news++
	}
	return heap.Pop(&o.hasty).(waiting).name
}

type waiting struct {
	name string
	rank
	number uint64
}

// row is a heap of names that wait: heap.Interface.
type row struct {
	all []waiting
	at  map[string]int // where each of them is
}

func (w *row) Len() int { return len(w.all) }

func (w *row) Less(i, j int) bool {
	x, y := w.all[i], w.all[j]
	return cmp.Or(x.compare(y.rank), cmp.Compare(x.number, y.number)) < 0
}

func (w *row) Swap(i, j int) {
	w.all[i], w.all[j] = w.all[j], w.all[i]
	w.at[w.all[i].name], w.at[w.all[j].name] = i, j
}

func (w *row) Push(x any) {
	last := x.(waiting)
	w.at[last.name] = len(w.all)
	w.all = append(w.all, last)
}

func (w *row) Pop() any {
	i := len(w.all) - 1
	last := w.all[i]
	w.all[i] = waiting{}
	w.all = w.all[:i]
	delete(w.at, last.name)
	return last
}
