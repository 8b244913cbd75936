package kubernetes

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	eventrecord "k8s.io/client-go/tools/record"

	"regcred.dev"
)

// Events get their own few requests, a second and at once, so that they are in
// nobody's way. The rest are lost: the status has what they say.
const (
	eventQPS   = 2
	eventBurst = 20
)

// Reasons of Events, all of which are warnings about the Secret of a namespace.
const (
	reasonConflict = "PullSecretConflict" // it cannot be written to
	reasonFailed   = "PullSecretFailed"   // the API server refuses it
	reasonHeld     = "PullSecretHeld"     // an operator has to confirm what is to go
)

// events tells the users of a namespace what keeps its Secret from being right, once
// for each new problem.
type events struct {
	broadcaster eventrecord.EventBroadcaster
	recorder    eventrecord.EventRecorder
}

func newEvents(o *Options) (*events, error) {
	config := rest.CopyConfig(o.Config)
	config.QPS, config.Burst = eventQPS, eventBurst
	core, err := typedcorev1.NewForConfig(config)
	if err != nil {
		return nil, unconfigured(err)
	}
	b := eventrecord.NewBroadcaster()
	b.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: core.Events("")})
	return &events{b, b.NewRecorder(scheme.Scheme, corev1.EventSource{Component: managedBy})}, nil
}

func (e *events) close() {
	if e != nil {
		e.broadcaster.Shutdown()
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
	if !s.table.tell(p.name, text) {
		return
	}
	secret := &corev1.ObjectReference{APIVersion: "v1", Kind: "Secret", Namespace: p.name, Name: s.o.SecretName}
	if p.secret != nil {
		secret.UID, secret.ResourceVersion = p.secret.uid, p.secret.version
	}
	e.recorder.Event(secret, corev1.EventTypeWarning, reason, text)
}

// passing reports whether an error may go away by itself.
func passing(err error) bool {
	code := regcred.CodeOf(err)
	return code == regcred.Unavailable || code == regcred.Throttled || code == regcred.Internal
}
