package kubernetes

import (
	"fmt"
	"time"

	"regcred.dev/deliver"
	"regcred.dev/keyring"
)

// outcome is how a namespace stands after it was seen to.
type outcome struct {
	// problem says why nothing is delivered there, "" where something is.
	problem string
	// err is why the API server did not take what was planned.
	err error
	// changed counts the entries that are written or taken away, and wrote says that the
	// Secret was written at all.
	changed  int
	wrote    bool
	omitted  []keyring.Omission
	warnings []string
	held     []deliver.Hold
	// pending are removals that wait until it is known how many there are.
	pending []deliver.Delivered
}

func (o *outcome) warn(format string, args ...any) {
	o.warnings = append(o.warnings, fmt.Sprintf(format, args...))
}

// settled reports whether there is nothing left to do.
func (o *outcome) settled() bool { return o.err == nil && len(o.held) == 0 && len(o.pending) == 0 }

// sameState reports whether two outcomes say the same of a namespace to its users.
func (o *outcome) sameState(p *outcome) bool {
	return o.problem == p.problem && (o.err == nil) == (p.err == nil) &&
		len(o.held) == len(p.held) && len(o.pending) == len(p.pending) && len(o.warnings) == len(p.warnings)
}

// NamespaceStatus is how one namespace stands, for metrics.
type NamespaceStatus struct {
	Namespace string
	// Synced says that its Secret has all that it is to have.
	Synced bool
	// Failed says that the API server did not take the last write.
	Failed bool
	// Conflict says that the Secret cannot be written to: it is somebody else's, of
	// a type that is no pull secret, or immutable.
	Conflict bool
	// ExpiresAt is when the first of its logins expires; zero: never.
	ExpiresAt time.Time
}
