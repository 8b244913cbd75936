package kubernetes

import "regcred.dev"

// Of returns the scope of a namespace with these labels, for those who ask outside of a
// target: the same namespace is to have one scope however its logins reach it.
// Errors: Invalid where its labels make no scope.
func (s Scopes) Of(namespace string, labels map[string]string) (regcred.Scope, error) {
	return s.of(namespace, labels)
}
