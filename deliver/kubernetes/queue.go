package kubernetes

import (
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

// queue has the names of the namespaces that are to be seen to, each once, and hands
// none out twice at a time. Those that hurry come first: a new namespace does not wait
// for the refresh of all others.
type queue struct {
	workqueue.TypedRateLimitingInterface[string]

	order *order
}

func newQueue() *queue {
	o := &order{hurried: map[string]bool{}, waiting: map[string]bool{}}
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

// hurry adds a name in front of those that Add adds.
func (q *queue) hurry(name string) {
	q.order.mu.Lock()
	q.order.hurried[name] = true
	q.order.mu.Unlock()
	q.Add(name)
}

// order is the order in which the queue's names come: workqueue.Queue. The queue
// calls one of its methods at a time.
type order struct {
	mu      sync.Mutex
	hurried map[string]bool

	waiting map[string]bool
	fast    []string
	slow    []string
}

// Touch implements workqueue.Queue: a name that waits already may hurry now.
func (o *order) Touch(name string) {
	if o.takeHurry(name) {
		o.fast = append(o.fast, name) // Pop leaves out the other one
	}
}

// Push implements workqueue.Queue.
func (o *order) Push(name string) {
	o.waiting[name] = true
	if o.takeHurry(name) {
		o.fast = append(o.fast, name)
	} else {
		o.slow = append(o.slow, name)
	}
}

// Len implements workqueue.Queue.
func (o *order) Len() int { return len(o.waiting) }

// Pop implements workqueue.Queue.
func (o *order) Pop() string {
	for {
		var name string
		switch {
		case len(o.fast) > 0:
			name, o.fast = o.fast[0], o.fast[1:]
		default:
			name, o.slow = o.slow[0], o.slow[1:]
		}
		if o.waiting[name] {
			delete(o.waiting, name)
			return name
		}
	}
}

func (o *order) takeHurry(name string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.hurried[name] {
		return false
	}
	delete(o.hurried, name)
	return true
}
