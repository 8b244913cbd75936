package kubernetes

import (
	"context"
	"crypto/rand"
	"net"
	"os"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/client-go/rest"
)

// leaseClient asks the API server for one Lease: leases.
type leaseClient struct {
	api             rest.Interface
	namespace, name string
}

// newLeaseClient returns one with connections of its own, so that nothing else delays a
// renewal. Errors: Invalid.
func newLeaseClient(o *Options) (*leaseClient, error) {
	config := rest.CopyConfig(o.Config)
	config.QPS, config.RateLimiter = -1, nil
	if config.Dial == nil { // client-go shares connections between clients that have none
		config.Dial = (&net.Dialer{Timeout: leaseRequest}).DialContext
	}
	web, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, unconfigured(err)
	}
	api, err := clientFor(config, web, coordinationv1.SchemeGroupVersion)
	return &leaseClient{api, o.LeaderElection.Namespace, o.LeaderElection.Name}, err
}

func (c *leaseClient) get(ctx context.Context) (*coordinationv1.Lease, error) {
	out := new(coordinationv1.Lease)
	return out, send(ctx, c.api.Get().Namespace(c.namespace).Resource("leases").Name(c.name), out)
}

func (c *leaseClient) create(ctx context.Context, l *coordinationv1.Lease) (*coordinationv1.Lease, error) {
	out := new(coordinationv1.Lease)
	l.Namespace, l.Name = c.namespace, c.name
	return out, send(ctx, c.api.Post().Namespace(c.namespace).Resource("leases").Body(l), out)
}

func (c *leaseClient) update(ctx context.Context, l *coordinationv1.Lease) (*coordinationv1.Lease, error) {
	out := new(coordinationv1.Lease)
	return out, send(ctx, c.api.Put().Namespace(c.namespace).Resource("leases").Name(c.name).Body(l), out)
}

// newIdentity tells this replica from the others: its host's name, which is the pod's,
// and a random part.
func newIdentity() (string, error) {
	host, err := os.Hostname()
	return host + "-" + rand.Text()[:8], err
}
