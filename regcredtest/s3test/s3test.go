// Package s3test runs tests against a real S3 server: versitygw over a directory, as
// `make bin/versitygw` builds it. It checks signatures, conditions and checksums.
//
// Its quirks: a key "a" beside "a/b" is answered with 409, as its objects are files;
// and it knows no ACLs of objects.
package s3test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"regcred.dev/regcredtest/internal/program"
)

// Region is that of every Server.
const Region = "eu-central-1"

// Server is an S3 server on a loopback port. Its buckets are addressed by path.
type Server struct {
	// Endpoint is its URL: http, with a port and no path.
	Endpoint             string
	AccessKey, SecretKey string
	Region               string
	// Dir is where it keeps its buckets: an object is the file Dir/BUCKET/KEY.
	Dir string

	temp    string // removed in the end
	process *program.Process
}

// Open starts a server whose objects are in a directory, or in a temporary one where
// dir is "". Close ends it.
func Open(dir string) (_ *Server, err error) {
	path, err := findProgram()
	if err != nil {
		return nil, err
	}
	temp, err := os.MkdirTemp("", "s3test-")
	if err != nil {
		return nil, err
	}
	s := &Server{
		AccessKey: "key-" + rand.Text(), SecretKey: rand.Text(), Region: Region,
		Dir: dir, temp: temp,
	}
	if s.Dir == "" {
		s.Dir = filepath.Join(temp, "buckets")
	}
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		s.Close()
		return nil, err
	}
	if err := s.start(path); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Start is Open in a temporary directory for one test; it fails the test where it
// cannot.
func Start(t testing.TB) *Server {
	t.Helper()
	s, err := Open("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// Close ends the server and removes what it stored in a temporary directory.
func (s *Server) Close() {
	s.process.Kill()
	_ = os.RemoveAll(s.temp) // nothing can be done about it
}

// PID returns that of the server's process, for those who measure it.
func (s *Server) PID() int { return s.process.PID() }

// Bucket makes a new bucket and returns its name.
func (s *Server) Bucket(t testing.TB) string {
	t.Helper()
	name := "b-" + strings.ToLower(rand.Text())
	if _, err := s.Client(s.Endpoint).CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &name}); err != nil {
		t.Fatal(err)
	}
	return name
}

// Client returns a plain client of the SDK, by way of an endpoint: the server's own or
// a Proxy's.
func (s *Server) Client(endpoint string) *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(endpoint), Region: s.Region, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(s.AccessKey, s.SecretKey, ""),
	})
}

// host returns the host and port of the endpoint.
func (s *Server) host() string {
	u, err := url.Parse(s.Endpoint)
	if err != nil {
		return s.Endpoint
	}
	return u.Host
}

// start runs the program, at another port where the first one was taken meanwhile.
func (s *Server) start(path string) error {
	var err error
	for range 3 {
		var address string
		if address, err = program.FreeAddress(); err != nil {
			return err
		}
		s.Endpoint = "http://" + address
		if s.process, err = program.Run(filepath.Join(s.temp, "log"), s.environment(), path,
			"--port", address, "--region", s.Region, "--quiet", "--keep-alive", "posix", s.Dir); err != nil {
			return err
		}
		if err = s.wait(); err == nil {
			return nil
		}
		s.process.Kill()
		s.process = nil
	}
	return err
}

// environment has the keys, which do not belong into arguments.
func (s *Server) environment() []string {
	return append(os.Environ(), "ROOT_ACCESS_KEY_ID="+s.AccessKey, "ROOT_SECRET_ACCESS_KEY="+s.SecretKey)
}

// wait waits until the server answers.
func (s *Server) wait() error {
	ctx, cancel := context.WithTimeout(context.Background(), program.StartTimeout)
	defer cancel()
	client := s.Client(s.Endpoint)
	for {
		_, err := client.ListBuckets(ctx, nil)
		if err == nil {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
			continue
		case <-s.process.Ended:
		case <-ctx.Done():
		}
		log, _ := os.ReadFile(filepath.Join(s.temp, "log"))
		return fmt.Errorf("versitygw did not become ready: %w\n%s", err, log[max(0, len(log)-2000):])
	}
}

// findProgram returns the path of versitygw.
func findProgram() (string, error) {
	path := os.Getenv("REGCRED_VERSITYGW")
	if path == "" {
		root, err := repository()
		if err != nil {
			return "", err
		}
		path = filepath.Join(root, "bin", "versitygw")
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("s3test needs versitygw: run `make bin/versitygw`, or set REGCRED_VERSITYGW: %w", err)
	}
	return filepath.Abs(path)
}

func repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "tools", "s3", "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("s3test runs in the repository only, or with REGCRED_VERSITYGW: there is no tools/s3 above the working directory")
		}
		dir = parent
	}
}
