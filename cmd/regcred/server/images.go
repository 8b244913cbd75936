package server

import (
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"path"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"regcred.dev"
	"regcred.dev/config"
	"regcred.dev/registry"
	"regcred.dev/registry/blob"
	"regcred.dev/registry/bucket"
	"regcred.dev/registry/crane"
	"regcred.dev/service"
)

// images is the registry: its storage, and what serves it.
type images struct {
	dir     *blob.Dir // of the images; with a bucket, of uploads that are under way
	where   string    // the images are kept
	storage *registry.Storage
	server  *registry.Server
	v2      http.Handler
	v1      http.Handler // Crane's surface too
	crane   *crane.Directory
	handler *crane.Handler
}

// collectInterval is how often content that nobody needs is collected.
const collectInterval = 6 * time.Hour

// openImages opens the registry.
func (s *Server) openImages(ctx context.Context, metrics prometheus.Registerer) (err error) {
	c, im := s.cfg.Registry, &s.images
	dir := cmp.Or(c.Directory, s.path(RegistryName))
	if c.Bucket != nil {
		dir = cmp.Or(c.Bucket.SpoolDir, dir)
	}
	if im.dir, err = blob.Open(dir); err != nil {
		return err
	}
	im.where = Where(c, dir)
	blobs := registry.Blobs(im.dir)
	if c.Bucket != nil {
		if blobs, err = openBucket(ctx, c.Bucket, im.dir, s); err != nil {
			return err
		}
	}
	im.storage = registry.NewStorage(blobs, registry.StorageOptions{Policy: c.Policy, Uploads: c.Uploads})
	o := registry.Options{
		Storage: im.storage, Tokens: s.tokens, PublicURL: s.public, Log: s.log, Metrics: metrics,
		Redirect: registry.Redirect{Enabled: c.Redirect, Lifetime: c.RedirectLifetime},
		Owners:   c.Owners, TrustedProxies: c.TrustedProxies, Audit: s.audit,
	}
	front := crane.Options{Log: s.log, Metrics: metrics}
	if c.Crane != nil {
		if im.crane, err = openCrane(c.Crane, s); err != nil {
			return err
		}
		o.Elsewhere = im.crane.Serves
		front.Endpoint = c.Crane.Endpoint
		front.CDN = crane.CDN{From: c.Crane.CDNFrom, To: c.Crane.CDNTo, Secret: c.Crane.CDNSecret, Param: c.Crane.CDNParam, TTL: c.Crane.CDNTTL}
		front.Directory = im.crane
	}
	if im.server, err = registry.New(o); err != nil {
		return err
	}
	front.Server, front.Storage = im.server, im.storage
	if im.handler, err = crane.New(front); err != nil {
		return err
	}
	im.v1, im.v2 = im.handler, im.server
	if im.crane != nil {
		im.v2 = im.handler
	}
	return metrics.Register(im.storage.RepositoryMetrics())
}

// openBucket opens the storage in a bucket. Uploads wait in a directory of this machine.
func openBucket(ctx context.Context, c *config.Bucket, spool *blob.Dir, s *Server) (registry.Blobs, error) {
	o, err := BucketOptions(c)
	if err != nil {
		return nil, err
	}
	o.Spool, o.Log = spool, s.log
	return bucket.Open(ctx, o)
}

// BucketOptions returns the options of a bucket that the configuration names.
func BucketOptions(c *config.Bucket) (bucket.Options, error) {
	o := bucket.Options{
		Bucket: c.Name, Prefix: c.Prefix, Region: c.Region, Endpoint: c.Endpoint, PublicEndpoint: c.PublicEndpoint, PathStyle: c.PathStyle,
		AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, SSE: c.SSE, KMSKeyID: c.KMSKeyID, StorageClass: c.StorageClass,
	}
	if c.CA == "" {
		return o, nil
	}
	var err error
	if o.CA, err = os.ReadFile(c.CA); err != nil {
		return o, regcred.Errorf(regcred.Invalid, "registry.storage.s3.ca: %w", err)
	}
	return o, nil
}

func openCrane(c *config.Crane, s *Server) (*crane.Directory, error) {
	o := crane.DirectoryOptions{Path: c.Metadata, Interval: c.Interval, Owners: c.Owners, Log: s.log}
	if c.ClientCA != "" {
		pem, err := os.ReadFile(c.ClientCA)
		if err != nil {
			return nil, regcred.Errorf(regcred.Invalid, "registry.crane.client_ca: %w", err)
		}
		o.ClientCAs = x509.NewCertPool()
		if !o.ClientCAs.AppendCertsFromPEM(pem) {
			return nil, regcred.Errorf(regcred.Invalid, "registry.crane.client_ca: %s holds no certificate in PEM form", c.ClientCA)
		}
	}
	return crane.OpenDirectory(o)
}

// forService is the registry as package service has it.
func (im *images) forService() service.Images {
	out := service.Images{Storage: im.storage, Where: im.where}
	if im.crane != nil {
		out.Crane = craneService{im.crane, im.handler}
	}
	return out
}

// Where says in words where images are kept: in a bucket, or else in that directory.
func Where(c config.Registry, dir string) string {
	if c.Bucket == nil {
		return "directory " + dir
	}
	where := "bucket " + path.Join(c.Bucket.Name, c.Bucket.Prefix)
	if c.Bucket.Endpoint != "" {
		where += " at " + c.Bucket.Endpoint
	}
	return where
}

// craneService is Crane's directory as package service has it.
type craneService struct {
	*crane.Directory
	handler *crane.Handler
}

// Shadowed implements service.Crane.
func (c craneService) Shadowed(ctx context.Context) ([]string, error) { return c.handler.Shadowed(ctx) }

// mounts are the paths of the registry, but for those below /v2/.
func (im *images) mounts() map[string]http.Handler {
	return map[string]http.Handler{
		"/v2": im.v2, registry.TokenPath: im.server, "/v1/": im.v1, "/crane/": im.v1,
	}
}

// runImages runs what the registry does besides answering.
func (s *Server) runImages(ctx context.Context, run func(func() error)) {
	run(func() error {
		s.images.storage.KeepStatistics(ctx, 0, s.log)
		return nil
	})
	if s.images.crane != nil {
		run(func() error { return ended(ctx, s.images.crane.Run(ctx)) })
	}
	if !s.cfg.Registry.NoCollect {
		run(func() error { return s.svc.RunCollections(ctx, cmp.Or(s.cfg.Registry.CollectEvery, collectInterval)) })
	}
}

// close lets go of the storage.
func (im *images) close() error {
	if im.dir == nil {
		return nil
	}
	if err := im.dir.Close(); err != nil {
		return fmt.Errorf("the registry's storage: %w", err)
	}
	return nil
}
