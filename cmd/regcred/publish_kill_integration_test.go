//go:build integration

package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"regcred.dev/cmd/regcred/demo"
	"regcred.dev/regcredtest/s3test"
	"regcred.dev/regcredtest/webfront"
	"regcred.dev/registry/bucket"
)

// publisher runs `regcred publish --to` a static registry.
type publisher struct {
	t       *testing.T
	program string
	archive string // its layer takes several parts of a bucket's upload
	to      string
	env     []string
	host    string // of the web server in front
}

func newPublisher(t *testing.T) *publisher {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	p := &publisher{t: t, program: filepath.Join(dir, "regcred"), archive: filepath.Join(dir, "image.tar")}
	// Under this name the test's binary is the program: see TestMain.
	if err := os.Symlink(self, p.program); err != nil {
		t.Fatal(err)
	}
	noise := make([]byte, 20<<20)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(noise) // never fails
	if err := os.WriteFile(filepath.Join(dir, "payload"), noise, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := demo.PackImage(filepath.Join(dir, "payload"), p.archive); err != nil {
		t.Fatal(err)
	}
	return p
}

// serve has the registry be pulled from by way of a web server.
func (p *publisher) serve(h http.Handler) {
	front := httptest.NewServer(h)
	p.t.Cleanup(front.Close)
	p.host = strings.TrimPrefix(front.URL, "http://")
}

func (p *publisher) command(tag string) *exec.Cmd {
	cmd := exec.CommandContext(p.t.Context(), p.program, "publish", p.archive, "acme/app:"+tag, "--to", p.to)
	cmd.Env = append(os.Environ(), p.env...)
	return cmd
}

// publish publishes a tag, which has to succeed.
func (p *publisher) publish(tag string) {
	p.t.Helper()
	if out, err := p.command(tag).CombinedOutput(); err != nil {
		p.t.Fatalf("publishing %s: %v\n%s", tag, err, out)
	}
}

// there reports whether a tag can be pulled, and checks that it is whole where it is.
func (p *publisher) there(tag string) bool {
	p.t.Helper()
	ref, err := name.NewTag(p.host+"/acme/app:"+tag, name.Insecure)
	if err != nil {
		p.t.Fatal(err)
	}
	img, err := remote.Image(ref)
	if answer, ok := errors.AsType[*transport.Error](err); ok && answer.StatusCode == http.StatusNotFound {
		return false
	}
	if err == nil {
		err = validate.Image(img)
	}
	if err != nil {
		p.t.Errorf("tag %s is incomplete: %v", tag, err)
	}
	return true
}

// listed returns the tags in the list.
func (p *publisher) listed() []string {
	p.t.Helper()
	repo, err := name.NewRepository(p.host+"/acme/app", name.Insecure)
	if err != nil {
		p.t.Fatal(err)
	}
	list, err := remote.List(repo)
	if answer, ok := errors.AsType[*transport.Error](err); ok && answer.StatusCode == http.StatusNotFound {
		return nil
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return list
}

// check checks that what is listed is there and whole.
func (p *publisher) check() {
	p.t.Helper()
	for _, tag := range p.listed() {
		if !p.there(tag) {
			p.t.Errorf("tag %s is listed and not there", tag)
		}
	}
}

// TestPublishKilledS3 kills a publisher with SIGKILL at each of its requests to a bucket,
// before and after the server has it: nothing incomplete can be pulled, and who publishes
// again completes it.
func TestPublishKilledS3(t *testing.T) {
	s, p := s3test.Start(t), newPublisher(t)
	for _, after := range []bool{false, true} {
		t.Run(fmt.Sprintf("after %t", after), func(t *testing.T) {
			for point := 1; p.killAt(t, s, point, after); point++ {
				if t.Failed() {
					return
				}
			}
		})
	}
}

// killAt kills a publisher at one request, and reports whether there was such a one.
func (p *publisher) killAt(t *testing.T, s *s3test.Server, point int, after bool) bool {
	t.Helper()
	proxy := s.Proxy(t, s3test.Faults{})
	name, prefix := s.Bucket(t), "registry"
	p.to, p.env = "s3://"+name+"/"+prefix, bucketEnvironment(s, proxy.Endpoint)
	makePublic(t, s, name)
	p.serve(bucketFront(t, s.Endpoint+"/"+name+"/"+prefix))

	cmd := p.command("1")
	var mu sync.Mutex
	requests, killed := 0, false
	proxy.Set(s3test.Faults{Before: func(*http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if requests++; requests == point && !killed && !after || requests == point+1 && !killed && after {
			killed = true
			_ = cmd.Process.Kill()
		}
	}})
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	mu.Lock() // until the process is known
	err := cmd.Start()
	mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	err = cmd.Wait()
	mu.Lock()
	wasKilled := killed
	mu.Unlock()
	proxy.Set(s3test.Faults{})
	p.check()
	if !wasKilled {
		if err != nil || !p.there("1") {
			t.Errorf("it was not killed, and ended with %v\n%s", err, out.String())
		}
		if point < 10 {
			t.Errorf("a publication has only %d requests", point)
		}
		return false
	}
	p.there("1")
	p.publish("1")
	if !p.there("1") || len(p.listed()) != 1 {
		t.Errorf("killed at request %d, and published again, it is not there", point)
	}
	return true
}

func bucketEnvironment(s *s3test.Server, endpoint string) []string {
	var env []string
	for key, value := range s3Environment(s) {
		if key == "AWS_ENDPOINT_URL_S3" {
			value = endpoint
		}
		env = append(env, key+"="+value)
	}
	return env
}

func makePublic(t *testing.T, s *s3test.Server, name string) {
	t.Helper()
	_, err := s.Client(s.Endpoint).PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{
		Bucket: &name, Policy: aws.String(bucket.PublicReadPolicy(name, "registry/v2")),
	})
	if err != nil {
		t.Fatal(err)
	}
}

func bucketFront(t *testing.T, prefix string) http.Handler {
	t.Helper()
	u, err := url.Parse(prefix)
	if err != nil {
		t.Fatal(err)
	}
	return webfront.Bucket(u)
}

// TestPublishKilledDirectory kills publishers with SIGKILL at points spread over the time
// that one takes.
func TestPublishKilledDirectory(t *testing.T) {
	const points = 20
	p := newPublisher(t)
	measured := t.TempDir()
	p.to = "file://" + measured
	begin := time.Now()
	p.publish("1")
	takes := time.Since(begin)
	killed := 0
	for point := range points {
		dir := t.TempDir()
		p.to = "file://" + dir
		p.serve(webfront.Files(dir))
		cmd := p.command("1")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		pause(t.Context(), takes*time.Duration(point)/points)
		_ = cmd.Process.Kill()
		if cmd.Wait() != nil {
			killed++
		}
		p.check()
		p.there("1")
		p.publish("1")
		if !p.there("1") {
			t.Errorf("point %d: published again, it is not there", point)
		}
		if left, err := filepath.Glob(filepath.Join(dir, ".regcred", "tmp-*")); err != nil || len(left) > 0 {
			t.Errorf("point %d: left behind: %v, %v", point, left, err)
		}
	}
	if killed < points/4 {
		t.Errorf("only %d of %d publishers were killed", killed, points)
	}
}

// TestPublishersAtOnce has several processes publish at the same time: no tag is lost.
func TestPublishersAtOnce(t *testing.T) {
	const publishers, each = 3, 4
	s := s3test.Start(t)
	for _, to := range []string{"s3", "file"} {
		t.Run(to, func(t *testing.T) {
			p := newPublisher(t)
			if to == "s3" {
				name := s.Bucket(t)
				makePublic(t, s, name)
				p.to, p.env = "s3://"+name+"/registry", bucketEnvironment(s, s.Endpoint)
				p.serve(bucketFront(t, s.Endpoint+"/"+name+"/registry"))
			} else {
				dir := t.TempDir()
				p.to = "file://" + dir
				p.serve(webfront.Files(dir))
			}
			var work sync.WaitGroup
			for n := range publishers {
				work.Go(func() {
					for i := range each {
						if out, err := p.command(fmt.Sprintf("t%d-%d", n, i)).CombinedOutput(); err != nil {
							t.Errorf("%v\n%s", err, out)
						}
					}
				})
			}
			work.Wait()
			if got := p.listed(); len(got) != publishers*each {
				t.Errorf("tags %v", got)
			}
			p.there("t0-0")
		})
	}
}
