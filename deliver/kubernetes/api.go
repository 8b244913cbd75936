package kubernetes

import (
	"context"
	"net/http"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
)

// clientFor returns a client of one group of the API, whose types are those that are
// used here: client-go's own clients know all of Kubernetes', which is a quarter of the
// program's memory (docs/decisions/0070). Errors: Invalid.
func clientFor(config *rest.Config, web *http.Client, group schema.GroupVersion) (rest.Interface, error) {
	types := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, coordinationv1.AddToScheme} {
		if err := add(types); err != nil {
			return nil, err
		}
	}
	config = rest.CopyConfig(config)
	config.GroupVersion, config.APIPath = &group, "/apis"
	if group.Group == "" {
		config.APIPath = "/api"
	}
	config.NegotiatedSerializer = serializer.NewCodecFactory(types).WithoutConversion()
	config.ContentType = runtime.ContentTypeProtobuf
	config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	if config.UserAgent == "" {
		config.UserAgent = userAgent
	}
	c, err := rest.RESTClientForConfigAndClient(config, web)
	return c, unconfigured(err)
}

// Secrets are those of one namespace, for who needs one beside a Target. Its methods
// return the API server's own errors (k8s.io/apimachinery/pkg/api/errors).
type Secrets struct {
	client    *client
	namespace string
}

// NewSecrets returns the Secrets of a namespace. It sends nothing. Errors: Invalid.
func NewSecrets(config *rest.Config, namespace string) (*Secrets, error) {
	web, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, unconfigured(err)
	}
	core, err := clientFor(config, web, corev1.SchemeGroupVersion)
	if err != nil {
		return nil, err
	}
	return &Secrets{&client{core: core, http: web}, namespace}, nil
}

// Get returns a Secret.
func (s *Secrets) Get(ctx context.Context, name string) (*corev1.Secret, error) {
	out := new(corev1.Secret)
	return out, send(ctx, s.client.core.Get().Namespace(s.namespace).Resource(secrets).Name(name), out)
}

// Update replaces a Secret of that resource version, and returns it as it was stored.
func (s *Secrets) Update(ctx context.Context, secret *corev1.Secret) (*corev1.Secret, error) {
	return s.client.updateSecret(ctx, secret)
}
