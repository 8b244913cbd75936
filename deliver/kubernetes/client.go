package kubernetes

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/flowcontrol"

	"regcred.dev"
)

// requestTimeout bounds one request, its wait for a turn included.
const requestTimeout = 30 * time.Second

// userAgent is how requests name themselves.
const userAgent = "regcred"

// client sends requests to the API server. They are not repeated: who sends one
// knows when it is worth it.
type client struct {
	core     rest.Interface
	metadata metadata.Interface
	http     *http.Client
}

// newClient returns a client with the options' limits.
func newClient(o *Options) (*client, error) {
	config := rest.CopyConfig(o.Config)
	config.RateLimiter = flowcontrol.NewTokenBucketRateLimiter(o.QPS, o.Burst)
	if config.UserAgent == "" {
		config.UserAgent = userAgent
	}
	web, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, unconfigured(err)
	}
	meta, err := metadata.NewForConfigAndClient(metadata.ConfigFor(config), web)
	if err != nil {
		return nil, unconfigured(err)
	}
	core, err := clientFor(config, web, corev1.SchemeGroupVersion)
	if err != nil {
		return nil, err
	}
	return &client{core: core, metadata: meta, http: web}, nil
}

// close gives the connections back.
func (c *client) close() { c.http.CloseIdleConnections() }

// namespaces asks for the metadata of namespaces.
func (c *client) namespaces() metadata.Getter {
	return c.metadata.Resource(corev1.SchemeGroupVersion.WithResource("namespaces"))
}

const (
	secrets  = "secrets"
	accounts = "serviceaccounts"
)

// secret returns a Secret, nil where there is none.
func (c *client) secret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	s := new(corev1.Secret)
	err := send(ctx, c.core.Get().Namespace(namespace).Resource(secrets).Name(name), s)
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // there is none
	}
	return s, err
}

// createSecret returns the Secret as it was stored.
func (c *client) createSecret(ctx context.Context, s *corev1.Secret) (*corev1.Secret, error) {
	out := new(corev1.Secret)
	return out, send(ctx, c.core.Post().Namespace(s.Namespace).Resource(secrets).Body(s), out)
}

// updateSecret replaces a Secret of that resource version, and returns it as it was
// stored.
func (c *client) updateSecret(ctx context.Context, s *corev1.Secret) (*corev1.Secret, error) {
	out := new(corev1.Secret)
	return out, send(ctx, c.core.Put().Namespace(s.Namespace).Resource(secrets).Name(s.Name).Body(s), out)
}

// deleteSecret deletes a Secret if it is still as it was observed. One that is gone
// is fine.
func (c *client) deleteSecret(ctx context.Context, namespace, name string, o *object) error {
	options := &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &o.uid, ResourceVersion: &o.version}}
	err := send(ctx, c.core.Delete().Namespace(namespace).Resource(secrets).Name(name).Body(options), nil)
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// account returns a ServiceAccount, nil where there is none.
func (c *client) account(ctx context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	a := new(corev1.ServiceAccount)
	err := send(ctx, c.core.Get().Namespace(namespace).Resource(accounts).Name(name), a)
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // there is none
	}
	return a, err
}

// accountsOf returns the ServiceAccount of that name, or where it is AllServiceAccounts
// all of the namespace.
func (c *client) accountsOf(ctx context.Context, namespace, name string) ([]corev1.ServiceAccount, error) {
	if name != AllServiceAccounts {
		a, err := c.account(ctx, namespace, name)
		if err != nil || a == nil {
			return nil, err
		}
		return []corev1.ServiceAccount{*a}, nil
	}
	var list corev1.ServiceAccountList
	err := send(ctx, c.core.Get().Namespace(namespace).Resource(accounts), &list)
	return list.Items, err
}

// patchAccount gives a ServiceAccount of a resource version these imagePullSecrets.
// Their list is replaced as a whole: the API has no way to add to it.
func (c *client) patchAccount(ctx context.Context, namespace, name, version string, names []string) (*corev1.ServiceAccount, error) {
	list := make([]corev1.LocalObjectReference, len(names))
	for i, n := range names {
		list[i].Name = n
	}
	patch, err := json.Marshal(map[string]any{
		"metadata":         map[string]any{"resourceVersion": version},
		"imagePullSecrets": list,
	})
	if err != nil {
		return nil, err
	}
	out := new(corev1.ServiceAccount)
	return out, send(ctx, c.core.Patch(types.MergePatchType).Namespace(namespace).Resource(accounts).Name(name).Body(patch), out)
}

// send sends a request once.
func send(ctx context.Context, r *rest.Request, into runtime.Object) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	result := r.MaxRetries(0).Do(ctx)
	if into == nil {
		return result.Error()
	}
	return result.Into(into)
}

// vanishing reports whether a write failed because its namespace is being deleted,
// or is gone.
func vanishing(err error) bool {
	return apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) || apierrors.IsNotFound(err)
}

// outdated reports whether a write failed because what is there is not what was
// remembered.
func outdated(err error) bool { return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) }

// retryAfter returns how long the API server asked to wait, 0 where it did not.
func retryAfter(err error) time.Duration {
	if seconds, ok := apierrors.SuggestsClientDelay(err); ok {
		return time.Duration(seconds) * time.Second
	}
	return 0
}

// explain gives an error of the API server a code, and says what was not done.
func explain(what string, err error) error {
	switch {
	case apierrors.IsForbidden(err), apierrors.IsUnauthorized(err):
		return regcred.Errorf(regcred.Denied, "%s: %w: docs/kubernetes.md lists the rights that regcred needs", what, err)
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		return regcred.Errorf(regcred.Invalid, "%s: %w", what, err)
	case apierrors.IsRequestEntityTooLargeError(err):
		return regcred.Errorf(regcred.TooLarge, "%s: %w", what, err)
	case apierrors.IsTooManyRequests(err):
		return regcred.ThrottledFor(retryAfter(err), "%s: %w", what, err)
	}
	return regcred.Errorf(regcred.Unavailable, "%s: %w", what, err)
}
