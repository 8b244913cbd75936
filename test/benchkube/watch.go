package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
)

// Annotations of regcred's, which the floor's Secrets have too.
const (
	recordAnnotation = "regcred.dev/record"
	expiryAnnotation = "regcred.dev/expires-at"
)

var secrets = corev1.SchemeGroupVersion.WithResource("secrets")

// sight is what is known of a Secret. The zero value is one that is not there.
type sight struct {
	uid    types.UID
	record string
	expiry string
}

// watcher sees the Secrets of one name in all namespaces, by their metadata.
type watcher struct {
	source watch.Interface
	ended  chan struct{}

	mu     sync.Mutex
	sights map[string]sight // by namespace
	wish   *wish
}

// wish is what is waited for.
type wish struct {
	ok   func(before, now sight) bool
	left map[string]sight // as they were when it was wished
	// first is when anything was seen of them. Read it once all is done.
	first time.Time
	done  chan time.Time // receives when it was true of the last one
}

// watch starts to watch. What is there already is seen soon.
func (p *plant) watch(ctx context.Context, secret string) (*watcher, error) {
	source, err := p.metadata.Resource(secrets).Watch(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector(metav1.ObjectNameField, secret).String(),
	})
	if err != nil {
		return nil, err
	}
	w := &watcher{source: source, ended: make(chan struct{}), sights: map[string]sight{}}
	go w.run()
	return w, nil
}

func (w *watcher) stop() {
	w.source.Stop()
	<-w.ended
}

func (w *watcher) run() {
	defer close(w.ended)
	for e := range w.source.ResultChan() {
		o, ok := e.Object.(*metav1.PartialObjectMetadata)
		if !ok {
			return // an error, or a bookmark of another kind
		}
		now := sight{o.UID, o.Annotations[recordAnnotation], o.Annotations[expiryAnnotation]}
		if e.Type == watch.Deleted {
			now = sight{}
		}
		w.see(o.Namespace, now)
	}
}

func (w *watcher) see(namespace string, now sight) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sights[namespace] = now
	if w.wish == nil {
		return
	}
	before, waits := w.wish.left[namespace]
	if waits && w.wish.first.IsZero() {
		w.wish.first = time.Now()
	}
	if !waits || !w.wish.ok(before, now) {
		return
	}
	delete(w.wish.left, namespace)
	if len(w.wish.left) == 0 {
		w.wish.done <- time.Now()
		w.wish = nil
	}
}

// expect begins to wait until ok holds of the Secret in each of the namespaces.
func (w *watcher) expect(namespaces []string, ok func(before, now sight) bool) *wish {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.expectLocked(namespaces, ok)
}

func (w *watcher) expectLocked(namespaces []string, ok func(before, now sight) bool) *wish {
	w.wish = &wish{ok: ok, left: map[string]sight{}, done: make(chan time.Time, 1)}
	for _, ns := range namespaces {
		w.wish.left[ns] = w.sights[ns]
	}
	return w.wish
}

// await waits until every Secret was seen that is there already.
func (w *watcher) await(ctx context.Context, namespaces []string) error {
	w.mu.Lock()
	var unseen []string
	for _, ns := range namespaces {
		if w.sights[ns] == (sight{}) {
			unseen = append(unseen, ns)
		}
	}
	wish := w.expectLocked(unseen, filled)
	w.mu.Unlock()
	if len(unseen) == 0 {
		return nil
	}
	_, err := w.wait(ctx, wish)
	return err
}

// wait returns when the wish came true.
func (w *watcher) wait(ctx context.Context, wish *wish) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case at := <-wish.done:
		return at, nil
	case <-w.ended:
		return time.Time{}, errors.New("the API server has ended the watch")
	case <-ctx.Done():
		w.mu.Lock()
		defer w.mu.Unlock()
		some := slices.Sorted(maps.Keys(wish.left))
		return time.Time{}, fmt.Errorf("the Secrets of %d namespaces are not as they are to be, such as that of %s: %w", len(some), some[0], ctx.Err())
	}
}

// filled, renewed and back are what is waited for.
func filled(_, now sight) bool       { return now.expiry != "" }
func renewed(before, now sight) bool { return now.record != "" && now.record != before.record }
func back(before, now sight) bool    { return now.uid != "" && now.uid != before.uid }
