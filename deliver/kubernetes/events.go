package kubernetes

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/flowcontrol"

	"regcred.dev"
)

// Events get their own few requests, a second and at once, so that they are in
// nobody's way, and so many wait at most. The rest are lost: the status has what they
// say.
const (
	eventQPS    = 2
	eventBurst  = 20
	eventsQueue = 100
)

// A namespace gets no more than so many in a time: its users can cause them.
const (
	namespaceEvents = 10
	eventsPeriod    = 5 * time.Minute
)

// maxEventText is how many bytes of text an Event has at most. It is what the API takes
// of newer ones.
const maxEventText = 1024

// Reasons of Events, all of which are warnings about the Secret of a namespace.
const (
	reasonConflict = "PullSecretConflict" // it cannot be written to
	reasonFailed   = "PullSecretFailed"   // the API server refuses it
	reasonHeld     = "PullSecretHeld"     // an operator has to confirm what is to go
)

// events tells the users of a namespace what keeps its Secret from being right, once
// for each new problem. All methods may be called concurrently, and on nil.
type events struct {
	core  rest.Interface
	queue chan *corev1.Event
	stop  context.CancelFunc
	ended chan struct{}

	mu sync.Mutex
	// sent counts what each namespace got since begun.
	sent  map[string]int
	begun time.Time
}

// newEvents returns one that sends over the client's connections until it is closed.
func newEvents(o *Options, c *client) (*events, error) {
	config := rest.CopyConfig(o.Config)
	config.RateLimiter = flowcontrol.NewTokenBucketRateLimiter(eventQPS, eventBurst)
	core, err := clientFor(config, c.http, corev1.SchemeGroupVersion)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	e := &events{
		core: core, queue: make(chan *corev1.Event, eventsQueue), stop: stop, ended: make(chan struct{}),
		sent: map[string]int{},
	}
	go e.run(ctx)
	return e, nil
}

// run sends what there is until ctx ends.
func (e *events) run(ctx context.Context) {
	defer close(e.ended)
	for {
		select {
		case event := <-e.queue:
			// One that fails is lost: it is told nowhere that it could not be told.
			_ = send(ctx, e.core.Post().Namespace(event.Namespace).Resource("events").Body(event), nil)
		case <-ctx.Done():
			return
		}
	}
}

// close ends it, and waits until it has.
func (e *events) close() {
	if e != nil {
		e.stop()
		<-e.ended
	}
}

// tell tells of a namespace's problem, if it is a new one that does not go away by
// itself.
func (e *events) tell(s *session, p *place, o outcome) {
	if e == nil {
		return
	}
	reason, text := "", ""
	switch {
	case o.problem != "":
		reason, text = reasonConflict, o.problem
	case o.err != nil && !passing(o.err):
		reason, text = reasonFailed, regcred.MessageOf(o.err)
	case len(o.held) > 0:
		reason, text = reasonHeld, o.held[0].String()
	}
	now := time.Now()
	if !s.table.tell(p.name, text) || !e.allows(now, p.name) {
		return
	}
	select {
	case e.queue <- newEvent(now, s.o.SecretName, p, reason, text):
	default:
	}
}

// allows reports whether a namespace may get one more, and counts it.
func (e *events) allows(now time.Time, namespace string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if now.Sub(e.begun) > eventsPeriod {
		clear(e.sent)
		e.begun = now
	}
	e.sent[namespace]++
	return e.sent[namespace] <= namespaceEvents
}

// newEvent returns an Event about the Secret of a place.
func newEvent(now time.Time, secret string, p *place, reason, text string) *corev1.Event {
	about := corev1.ObjectReference{APIVersion: "v1", Kind: "Secret", Namespace: p.name, Name: secret}
	if p.secret != nil {
		about.UID, about.ResourceVersion = p.secret.uid, p.secret.version
	}
	at := metav1.NewTime(now)
	return &corev1.Event{
		// Events have names that nobody asks for: the object's, and what makes it another one.
		ObjectMeta:     metav1.ObjectMeta{Namespace: p.name, Name: fmt.Sprintf("%s.%x", secret, now.UnixNano())},
		InvolvedObject: about,
		Reason:         reason, Message: strings.ToValidUTF8(text[:min(len(text), maxEventText)], ""),
		Source: corev1.EventSource{Component: managedBy}, ReportingController: managedBy,
		FirstTimestamp: at, LastTimestamp: at, Count: 1, Type: corev1.EventTypeWarning,
	}
}

// passing reports whether an error may go away by itself.
func passing(err error) bool {
	code := regcred.CodeOf(err)
	return code == regcred.Unavailable || code == regcred.Throttled || code == regcred.Internal
}
