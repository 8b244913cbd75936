//go:build integration

package main

import (
	"context"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/rogpeppe/go-internal/testscript"

	"regcred.dev/regcredtest/s3test"
	"regcred.dev/registry/archive/archivetest"
)

// TestS3 runs testdata/s3: commands that write to a bucket of a real S3 server, each
// script with a server of its own.
func TestS3(t *testing.T) {
	params := scriptParams("testdata/s3")
	setup := params.Setup
	params.Setup = func(env *testscript.Env) error {
		s, err := s3test.Open("")
		if err != nil {
			return err
		}
		env.Defer(s.Close)
		env.Values["s3"] = s
		for key, value := range s3Environment(s) {
			env.Setenv(key, value)
		}
		return setup(env)
	}
	params.Cmds["packexport"] = packExport
	params.Cmds["makebucket"] = makeBucket
	params.Cmds["get"] = get
	testscript.Run(t, params)
}

// s3Environment has regcred find a server and log in there.
func s3Environment(s *s3test.Server) map[string]string {
	return map[string]string{
		"AWS_ENDPOINT_URL_S3": s.Endpoint, "AWS_REGION": s.Region, "REGCRED_S3_PATH_STYLE": "true",
		"AWS_ACCESS_KEY_ID": s.AccessKey, "AWS_SECRET_ACCESS_KEY": s.SecretKey,
	}
}

// packExport ARCHIVE writes a Pulp v1 export of two images, whose ids it sets BASE and
// APP to, with the lines of its upload in want.txt and masked.txt.
func packExport(ts *testscript.TestScript, _ bool, args []string) {
	var e archivetest.PulpExport
	base := e.Add("", "base", archivetest.File{Name: "base"})
	app := e.Add(base, "app", archivetest.File{Name: "app"})
	e.Tag("latest", app)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), archivetest.Tar(e.Files()...), 0o600))
	ts.Setenv("BASE", base)
	ts.Setenv("APP", app)
	uploaded := func(key string) string {
		return "Successfully uploaded to <Bucket: acme.bucket>:acme-app" + key + "\n"
	}
	first, second := base, app
	if app < base {
		first, second = app, base
	}
	var all, masked strings.Builder
	all.WriteString("Created bucket acme.bucket\nAnybody may now read acme.bucket/acme-app/, by the bucket's policy\n")
	for _, id := range []string{first, second} {
		lines := uploaded("/"+id+"/layer") + uploaded("/"+id+"/json") + uploaded("/"+id+"/ancestry")
		all.WriteString(lines)
		if id == base {
			lines = "Skipping layer " + base + "\n"
		}
		masked.WriteString(lines)
	}
	ts.Check(os.WriteFile(ts.MkAbs("want.txt"), []byte(all.String()+uploaded(".json")), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("masked.txt"), []byte(masked.String()+uploaded(".json")), 0o600))
}

func serverOf(ts *testscript.TestScript) *s3test.Server { return ts.Value("s3").(*s3test.Server) }

// makeBucket NAME makes a bucket.
func makeBucket(ts *testscript.TestScript, _ bool, args []string) {
	s := serverOf(ts)
	_, err := s.Client(s.Endpoint).CreateBucket(context.Background(), &s3.CreateBucketInput{Bucket: &args[0]})
	ts.Check(err)
}

// get STATUS PATH gets an object as anybody may, and has its content be stdout.
func get(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, serverOf(ts).Endpoint+"/"+args[1], http.NoBody)
	ts.Check(err)
	resp, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	ts.Check(err)
	if resp.StatusCode != want {
		ts.Fatalf("%s: status %d, want %d\n%s", args[1], resp.StatusCode, want, body)
	}
	_, err = ts.Stdout().Write(body)
	ts.Check(err)
}
