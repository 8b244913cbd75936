package refresh

import (
	"container/heap"
	"context"
	"time"

	"regcred.dev"
)

// A lane holds the credentials of one provider, so that an issuer that hangs
// delays no other: it has a queue, a timer and a number of mints at once of its
// own.
type lane struct {
	provider regcred.Provider // nil: the lane of credentials whose provider is unknown
	queue    queue            // guarded by Refresher.mu
	wake     chan struct{}    // the head of the queue changed; one is enough
	slots    chan struct{}    // one element for each mint under way
}

func newLane(p regcred.Provider, concurrency int) *lane {
	return &lane{provider: p, wake: make(chan struct{}, 1), slots: make(chan struct{}, concurrency)}
}

// acquire takes a slot, and reports false where ctx ended before.
func (l *lane) acquire(ctx context.Context) bool {
	select {
	case l.slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (l *lane) release() { <-l.slots }

// schedule queues an entry for a time, anew where it is queued already; a zero
// time takes it out of the queue.
func (l *lane) schedule(e *entry, due time.Time) {
	if due.IsZero() {
		l.unschedule(e)
		return
	}
	e.due = due
	if e.queued {
		heap.Fix(&l.queue, e.index)
	} else {
		heap.Push(&l.queue, e)
	}
	if e.index == 0 {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
}

func (l *lane) unschedule(e *entry) {
	if e.queued {
		heap.Remove(&l.queue, e.index)
	}
	e.due = time.Time{}
}

// maxSleep bounds a wait, because a timer stands still while the machine sleeps
// and does not notice when its clock is set.
const maxSleep = time.Minute

// untilDue returns how long to wait at now before looking at the queue again, 0
// or less where its head is due. The caller holds Refresher.mu.
func (l *lane) untilDue(now time.Time) time.Duration {
	if len(l.queue) == 0 {
		return maxSleep
	}
	return min(l.queue[0].due.Sub(now), maxSleep)
}

// queue is a heap (container/heap) of entries, the one due first at the front.
type queue []*entry //nolint:recvcheck // the receivers are as container/heap asks

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }

func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

// Push is for container/heap.
func (q *queue) Push(x any) {
	e := x.(*entry) //nolint:forcetypeassert // nothing else is pushed
	e.index, e.queued = len(*q), true
	*q = append(*q, e)
}

// Pop is for container/heap.
func (q *queue) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	e.queued = false
	return e
}
