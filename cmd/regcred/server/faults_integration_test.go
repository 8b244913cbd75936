//go:build integration

package server_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/opencontainers/go-digest"

	"regcred.dev"
	"regcred.dev/config"
	"regcred.dev/regcredtest/s3test"
	"regcred.dev/registry/archive/archivetest"
)

// TestBrokenS3 publishes and pulls while every seventh request to S3 fails, one way or
// another, and all are slow. What is pulled is right, or its client is told; a publish that fails
// leaves nothing or a whole image, and one that does not leaves that.
func TestBrokenS3(t *testing.T) {
	s3 := s3test.Start(t)
	p := s3.Proxy(t, s3test.Faults{})
	name := s3.Bucket(t)
	serve := func(endpoint string) *running {
		cfg := config.Default()
		cfg.Registry.Bucket = &config.Bucket{
			Name: name, Endpoint: endpoint, Region: s3.Region, PathStyle: true,
			AccessKeyID: s3.AccessKey, SecretAccessKey: regcred.NewSecret(s3.SecretKey), SpoolDir: t.TempDir(),
		}
		r, _ := start(t, cfg)
		return r
	}
	broken, sound := serve(p.Endpoint), serve(s3.Endpoint)
	p.Set(s3test.Faults{Rate: 0.15, Kinds: append(slices.Clone(s3test.Lossless), s3test.Wrong), Latency: time.Millisecond, Seed: 5})
	var exports []*export
	pulled := 0
	for i := range uint64(5) {
		e := exportOf(t, i)
		exports = append(exports, e)
		err := e.tryPublish(broken, broken.adminToken())
		if whole := e.isWhole(sound); !whole && err == nil {
			t.Errorf("%d was published, and is not there", i)
		}
		for range 3 {
			if e.isRightOrFails(broken) {
				pulled++
			}
		}
	}
	t.Logf("%d layers were pulled; what failed: %v", pulled, p.Failed())
	if pulled == 0 || len(p.Failed()) == 0 {
		t.Error("nothing was pulled, or nothing failed: that shows little")
	}
	p.Set(s3test.Faults{})
	for i, e := range exports {
		e.publish(broken, broken.adminToken())
		if !e.isWhole(sound) {
			t.Errorf("%d is not there in the end", i)
		}
	}
}

// exportOf returns an export of an image of one layer, each number's another.
func exportOf(t *testing.T, number uint64) *export {
	t.Helper()
	content := make([]byte, 300_000)
	_, _ = rand.NewChaCha8([32]byte{byte(number)}).Read(content) // never fails
	e := &export{t: t}
	e.app = e.Add("", "app", archivetest.File{Name: "app", Body: content})
	e.Tag(fmt.Sprint("t", number), e.app)
	return e
}

// tag returns its one tag.
func (e *export) tag() string {
	for tag := range e.Tags {
		return tag
	}
	return ""
}

// isWhole reports whether a server has its image, which then must be right.
func (e *export) isWhole(r *running) bool {
	e.t.Helper()
	img, err := e.image(r, r.adminToken(), e.tag())
	if failed, ok := errors.AsType[*transport.Error](err); ok && failed.StatusCode == http.StatusNotFound {
		return false
	}
	if err != nil {
		e.t.Fatal(err)
	}
	e.checkImage(img, e.tag(), map[string]int{"app": 300_000})
	return true
}

// isRightOrFails pulls the layer as clients do, who compare its digest, and reports
// whether it came. What came without an error is never a part of it.
func (e *export) isRightOrFails(r *running) bool {
	e.t.Helper()
	layer := e.Image(e.app).Layer
	req, err := http.NewRequestWithContext(e.t.Context(), http.MethodGet, r.url+"/v2/acme/small/blobs/"+digest.FromBytes(layer).String(), http.NoBody)
	if err != nil {
		e.t.Fatal(err)
	}
	req.SetBasicAuth("any", r.adminToken())
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return false
	}
	if len(body) != len(layer) {
		e.t.Errorf("%d bytes of %d were sent, and no error", len(body), len(layer))
	}
	return bytes.Equal(body, layer)
}
