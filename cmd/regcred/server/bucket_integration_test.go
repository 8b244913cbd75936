//go:build integration

package server_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"regcred.dev"
	"regcred.dev/cmd/regcred/server"
	"regcred.dev/config"
	"regcred.dev/regcredtest/s3test"
	"regcred.dev/registry"
	"regcred.dev/registry/bucket"
)

// TestPulpExportInBucket takes a Pulp v1 export through a server that keeps its images in
// a bucket, and sends clients there for blobs.
func TestPulpExportInBucket(t *testing.T) {
	s3 := s3test.Start(t)
	cfg := config.Default()
	cfg.Registry.Bucket = &config.Bucket{
		Name: s3.Bucket(t), Prefix: "images", Endpoint: s3.Endpoint, Region: s3.Region, PathStyle: true,
		AccessKeyID: s3.AccessKey, SecretAccessKey: regcred.NewSecret(s3.SecretKey), SpoolDir: t.TempDir(),
	}
	cfg.Registry.Redirect = true
	cfg.Registry.Policy = registry.Policy{{Pattern: "acme/*", Scope: regcred.OrgScope("acme")}}
	checkSetup(t, cfg)
	r, _ := start(t, cfg)
	e := newExport(t)
	e.travel(r)
	e.checkRedirect(r, s3.Endpoint)

	ctx := t.Context()
	list, err := r.local.Repositories(ctx)
	if err != nil || len(list) != 1 || list[0].Name != "acme/small" || list[0].Tags != 2 {
		t.Errorf("%+v, %v", list, err)
	}
	st, err := r.local.Status(ctx)
	if want := "bucket " + cfg.Registry.Bucket.Name + "/images at " + s3.Endpoint; err != nil || st.Images.Storage != want {
		t.Errorf("%+v, %v", st.Images, err)
	}
	check, err := r.local.CheckRegistry(ctx, true)
	if err != nil || check.Lost != 0 || len(check.Problems) != check.Harmless {
		t.Errorf("%+v, %v", check, err)
	}
	if done, err := r.local.CollectGarbage(ctx, false, false); err != nil || done.Content.Count == 0 || done.Deleted.Count != 0 {
		t.Errorf("%+v, %v", done, err)
	}
}

// checkSetup tries the bucket as an operator does before the first start.
func checkSetup(t *testing.T, cfg config.Config) {
	t.Helper()
	o, err := server.BucketOptions(cfg.Registry.Bucket)
	if err != nil {
		t.Fatal(err)
	}
	report, err := bucket.Setup(context.WithoutCancel(t.Context()), o, false)
	if err != nil || !report.OK() {
		t.Errorf("setup: %+v, %v", report, err)
	}
}

// checkRedirect asks for a layer, and gets it from the bucket by nothing but the URL.
func (e *export) checkRedirect(r *running, endpoint string) {
	e.t.Helper()
	c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	get := func(url, password string) (*http.Response, []byte) {
		req, err := http.NewRequestWithContext(e.t.Context(), http.MethodGet, url, http.NoBody)
		if err != nil {
			e.t.Fatal(err)
		}
		if password != "" {
			req.SetBasicAuth("any", password)
		}
		resp, err := c.Do(req)
		if err != nil {
			e.t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			e.t.Fatal(err)
		}
		return resp, body
	}
	for _, path := range []string{
		"/v1/images/" + e.base + "/layer", "/v2/acme/small/blobs/" + digest.FromBytes(e.Image(e.base).Layer).String(),
	} {
		resp, _ := get(r.url+path, r.adminToken())
		location := resp.Header.Get("Location")
		if resp.StatusCode/100 != 3 || !strings.HasPrefix(location, endpoint+"/") {
			e.t.Errorf("%s: %s %q", path, resp.Status, location)
			continue
		}
		if resp, body := get(location, ""); !bytes.Equal(body, e.Image(e.base).Layer) {
			e.t.Errorf("%s: the bucket answers %s, %d bytes", path, resp.Status, len(body))
		}
	}
}
