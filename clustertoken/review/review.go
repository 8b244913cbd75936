// Package review verifies service account tokens by asking the API server that issued
// them (TokenReview, authentication.k8s.io/v1), which knows when a pod or a service
// account is gone.
package review

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"

	"regcred.dev"
	"regcred.dev/clustertoken"
)

const (
	// timeout bounds what the API server is asked for one token.
	timeout = 10 * time.Second
	// Reviews a second, and at once after a pause: what strangers send counts too, so
	// that all clients (ClientContext) get the same share.
	qps, burst = 50, 100
)

// Options configure a Reviewer. All but Labels are required.
type Options struct {
	// Config is how the API server is reached: the user needs the right to create
	// tokenreviews.authentication.k8s.io (ClusterRole system:auth-delegator has it),
	// and where Labels is set to get namespaces. Its QPS and Burst are not used.
	Config *rest.Config
	// Audience is what a token must be for.
	Audience string
	// Labels says that the labels of the namespace are wanted.
	Labels bool
}

// Reviewer implements clustertoken.Verifier.
type Reviewer struct {
	o       Options
	reviews rest.Interface
	core    rest.Interface
	turns   *turns
}

// New returns a Reviewer. It asks nobody before the first token.
func New(o Options) (*Reviewer, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{authenticationv1.AddToScheme, corev1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	config := rest.CopyConfig(o.Config)
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	config.QPS, config.RateLimiter = -1, nil // turns are taken instead
	transport, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, regcred.Errorf(regcred.Invalid, "the configuration for the API server: %w", err)
	}
	// A token goes to the API server alone, wherever that might send us.
	transport.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	r := &Reviewer{o: o, turns: newTurns(qps, burst)}
	if r.reviews, err = clientFor(config, transport, "/apis", authenticationv1.SchemeGroupVersion); err != nil {
		return nil, err
	}
	r.core, err = clientFor(config, transport, "/api", corev1.SchemeGroupVersion)
	return r, err
}

func clientFor(config *rest.Config, transport *http.Client, path string, version schema.GroupVersion) (rest.Interface, error) {
	config = rest.CopyConfig(config)
	config.APIPath, config.GroupVersion = path, &version
	c, err := rest.RESTClientForConfigAndClient(config, transport)
	if err != nil {
		return nil, regcred.Errorf(regcred.Invalid, "the configuration for the API server: %w", err)
	}
	return c, nil
}

// Verify implements clustertoken.Verifier. Whatever the API server says but a clear
// yes is no.
func (r *Reviewer) Verify(ctx context.Context, _ time.Time, raw string) (clustertoken.Identity, error) {
	if len(raw) > clustertoken.MaxSize {
		return clustertoken.Identity{}, refused("it is too long for a service account token")
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := r.turns.wait(ctx); err != nil {
		return clustertoken.Identity{}, err
	}
	var answer authenticationv1.TokenReview
	err := r.reviews.Post().Resource("tokenreviews").Body(&authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: raw, Audiences: []string{r.o.Audience}},
	}).MaxRetries(0).Do(ctx).Into(&answer)
	if err != nil {
		// The words of a client's error may quote what was sent.
		return clustertoken.Identity{}, regcred.Errorf(regcred.Unavailable, "the cluster's API server cannot be asked about the token: %s", reason(ctx, err))
	}
	id, problem := identity(answer.Status, r.o.Audience)
	if problem != "" {
		return clustertoken.Identity{}, refused(problem)
	}
	if r.o.Labels {
		id.Labels, err = r.labels(ctx, id.Namespace)
	}
	return id, err
}

// identity returns whom a review found a token to speak for, or in words why it
// counts for nothing.
func identity(s authenticationv1.TokenReviewStatus, audience string) (clustertoken.Identity, string) {
	if !s.Authenticated || s.Error != "" {
		return clustertoken.Identity{}, "the cluster's API server does not know it, or it has expired, is for another audience, or its pod is gone"
	}
	if !slices.Contains(s.Audiences, audience) { // one that does not know audiences leaves them out
		return clustertoken.Identity{}, "the cluster's API server does not say that it is for the audience " + audience
	}
	// The form of the name: k8s.io/apiserver, pkg/authentication/serviceaccount.
	name, ok := strings.CutPrefix(s.User.Username, "system:serviceaccount:")
	namespace, account, both := strings.Cut(name, ":")
	if !ok || !both || namespace == "" || account == "" || strings.Contains(account, ":") {
		return clustertoken.Identity{}, "it is not of a service account"
	}
	id := clustertoken.Identity{
		Namespace: namespace, ServiceAccount: account,
		Pod: extra(s.User, "pod-name"), Node: extra(s.User, "node-name"),
	}
	if id.Pod == "" {
		return clustertoken.Identity{}, "it is not bound to a pod, as those that the kubelet sends are"
	}
	return id, ""
}

// extra returns what a user's extra fields say under a name of Kubernetes' own.
func extra(u authenticationv1.UserInfo, name string) string {
	values := u.Extra["authentication.kubernetes.io/"+name]
	if len(values) != 1 {
		return ""
	}
	return values[0]
}

// labels returns the labels of a namespace as they are now; never nil.
func (r *Reviewer) labels(ctx context.Context, namespace string) (map[string]string, error) {
	var ns corev1.Namespace
	err := r.core.Get().Resource("namespaces").Name(namespace).MaxRetries(0).Do(ctx).Into(&ns)
	if err != nil {
		return nil, regcred.Errorf(regcred.Unavailable, "the labels of namespace %s cannot be read: %s", namespace, reason(ctx, err))
	}
	if ns.Labels == nil {
		return map[string]string{}, nil
	}
	return ns.Labels, nil
}

func refused(reason string) error {
	return regcred.Errorf(regcred.Unauthenticated, "the token is refused: %s", reason)
}
