package review

import (
	"context"
	"sync"

	"k8s.io/client-go/util/flowcontrol"

	"regcred.dev"
)

// maxWaiting bounds how many turns one client can wait for.
const maxWaiting = 200

type clientKey struct{}

// ClientContext returns a context of requests by a client, such as its IP address:
// where many ask, each client gets the same share.
func ClientContext(ctx context.Context, client string) context.Context {
	return context.WithValue(ctx, clientKey{}, client)
}

// turns limits how often something is done, for all together, and hands out turns by
// rotation among the clients that wait: one that asks without end delays no other by
// more than its own turn.
type turns struct {
	limiter flowcontrol.RateLimiter

	mu      sync.Mutex
	waiting map[string][]*turn // by client, who is in order
	order   []string
	handing bool // a goroutine hands out turns
}

type turn struct {
	come chan struct{}
	over bool // nobody waits for it any more
}

func newTurns(qps float32, burst int) *turns {
	return &turns{limiter: flowcontrol.NewTokenBucketRateLimiter(qps, burst), waiting: map[string][]*turn{}}
}

// wait waits for a turn of the context's client. Errors: Unavailable where too many of
// its requests wait, or ctx ends first.
func (t *turns) wait(ctx context.Context) error {
	client, _ := ctx.Value(clientKey{}).(string)
	t.mu.Lock()
	if !t.handing && t.limiter.TryAccept() {
		t.mu.Unlock()
		return nil
	}
	if len(t.waiting[client]) >= maxWaiting {
		t.mu.Unlock()
		return regcred.Errorf(regcred.Unavailable, "too many tokens of this client wait to be verified: try again later")
	}
	own := &turn{come: make(chan struct{})}
	if len(t.waiting[client]) == 0 {
		t.order = append(t.order, client)
	}
	t.waiting[client] = append(t.waiting[client], own)
	if !t.handing {
		t.handing = true
		go t.hand()
	}
	t.mu.Unlock()
	select {
	case <-own.come:
		return nil
	case <-ctx.Done():
		t.mu.Lock()
		own.over = true
		t.mu.Unlock()
		return regcred.Errorf(regcred.Unavailable, "too many tokens wait to be verified: try again later")
	}
}

// hand hands out turns until nobody waits.
func (t *turns) hand() {
	for {
		t.limiter.Accept()
		t.mu.Lock()
		next := t.next()
		if next == nil {
			t.handing = false
			t.mu.Unlock()
			return
		}
		close(next.come)
		t.mu.Unlock()
	}
}

// next takes the next turn that somebody waits for out of the order, nil for none.
func (t *turns) next() *turn {
	for len(t.order) > 0 {
		client := t.order[0]
		t.order = t.order[1:]
		first := t.waiting[client][0]
		if t.waiting[client] = t.waiting[client][1:]; len(t.waiting[client]) > 0 {
			t.order = append(t.order, client)
		} else {
			delete(t.waiting, client)
		}
		if !first.over {
			return first
		}
	}
	return nil
}
