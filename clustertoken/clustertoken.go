// Package clustertoken says which workload of a Kubernetes cluster a projected
// service account token speaks for, and which scope that workload is in: the kubelet
// sends such tokens through its credential provider plugin (KEP-4412).
//
// A token is believed for what its issuer signed into it alone: the namespace. What a
// tenant writes, such as a service account's annotations, counts for nothing.
package clustertoken

import (
	"context"
	"fmt"
	"time"

	"regcred.dev"
	"regcred.dev/internal/jwks"
)

// MaxSize bounds a token, in bytes: those of Kubernetes have about 1 KiB.
const MaxSize = 16 << 10

// Identity is the workload that a token speaks for.
type Identity struct {
	Namespace      string
	ServiceAccount string
	// Pod is the one that the token is bound to, Node where it runs; Node is "" where
	// the token does not say.
	Pod, Node string
	// Labels are the namespace's, nil where the Verifier does not ask for them.
	Labels map[string]string
}

// Verifier tells whether a cluster issued a token for us. Implementations: OIDC,
// which looks at the signature; and package review, which asks the API server.
type Verifier interface {
	// Verify returns whom a token speaks for. Errors: Unauthenticated where it is not
	// valid at now; Unavailable where that cannot be found out.
	Verify(ctx context.Context, now time.Time, raw string) (Identity, error)
}

// Cluster is one whose tokens are accepted.
type Cluster struct {
	// Name is for people.
	Name string
	// Issuer is the claim "iss" of its tokens: no other token is shown to the Verifier.
	Issuer   string
	Verifier Verifier
	// Scope returns the scope of a workload's namespace. Errors: Invalid where the
	// namespace has none.
	Scope func(Identity) (regcred.Scope, error)
}

// Clusters are all whose tokens are accepted, each with an Issuer of its own.
type Clusters []Cluster

// Authenticate returns the caller that a token stands for: of the role workload, at
// the scope of its namespace.
//
// Errors: those of Verifier.Verify; Unauthenticated where the token is of no cluster
// that is known; Denied where its namespace has no scope, or an app's: the logins of
// an app are not for all that runs in a namespace.
func (c Clusters) Authenticate(ctx context.Context, now time.Time, raw string) (regcred.Caller, error) {
	issuer, ok := jwks.ClaimedIssuer(raw)
	if !ok || len(raw) > MaxSize {
		return regcred.Caller{}, jwks.Refused("it is no service account token")
	}
	for _, cluster := range c {
		if cluster.Issuer == issuer {
			return cluster.authenticate(ctx, now, raw)
		}
	}
	return regcred.Caller{}, jwks.Refused("no cluster with the issuer %.200q is trusted here: regcred.yaml names them under kubernetes_tokens", issuer)
}

func (c Cluster) authenticate(ctx context.Context, now time.Time, raw string) (regcred.Caller, error) {
	id, err := c.Verifier.Verify(ctx, now, raw)
	if err != nil {
		return regcred.Caller{}, err
	}
	scope, err := c.Scope(id)
	if err == nil {
		err = scope.Validate()
	}
	if err == nil && scope.Level() == regcred.LevelApp {
		err = regcred.Errorf(regcred.Invalid, "an app's logins are not for a namespace")
	}
	if err != nil {
		return regcred.Caller{}, regcred.Errorf(regcred.Denied, "namespace %s of cluster %s has no scope: %w", id.Namespace, c.Name, err)
	}
	return regcred.Caller{
		Name:  fmt.Sprintf("service account %s/%s (pod %s, cluster %s)", id.Namespace, id.ServiceAccount, id.Pod, c.Name),
		Role:  regcred.RoleWorkload,
		Scope: scope,
	}, nil
}
