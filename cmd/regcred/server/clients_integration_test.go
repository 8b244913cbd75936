//go:build integration

package server_test

import (
	"strings"
	"testing"

	"regcred.dev"
	"regcred.dev/config"
	"regcred.dev/regcredtest/pullers"
	"regcred.dev/regcredtest/s3test"
	"regcred.dev/registry"
)

// TestPullers: docker, containerd, podman and skopeo pull an image that was of Pulp's v1,
// with a login and not without, from a directory and where blobs come from a bucket.
func TestPullers(t *testing.T) {
	s3 := s3test.Start(t)
	storages := map[string]config.Registry{
		"directory": {},
		"bucket": {Redirect: true, Bucket: &config.Bucket{
			Name: s3.Bucket(t), Endpoint: s3.Endpoint, Region: s3.Region, PathStyle: true,
			AccessKeyID: s3.AccessKey, SecretAccessKey: regcred.NewSecret(s3.SecretKey), SpoolDir: t.TempDir(),
		}},
	}
	clients := pullers.Start(t)
	for storage, in := range storages {
		cfg := config.Default()
		cfg.Registry = in
		cfg.Registry.Policy = registry.Policy{{Pattern: "acme/*", Scope: regcred.OrgScope("acme")}}
		r, _ := start(t, cfg)
		e := newExport(t)
		e.publish(r, e.token(r, regcred.RolePusher))
		as := pullers.Login{User: "any", Password: e.token(r, regcred.RolePuller)}
		image := strings.TrimPrefix(r.url, "http://") + "/acme/small:latest"
		for client, pull := range clients {
			t.Run(storage+" "+client, func(t *testing.T) {
				if err := pull(t, image, pullers.Login{}); err == nil {
					t.Error("it was pulled without a login")
				}
				if err := pull(t, image, as); err != nil {
					t.Error(err)
				}
			})
		}
	}
}
