package main

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"regcred.dev/client"
	"regcred.dev/cmd/docker-credential-regcred/helper"
	"regcred.dev/cmd/regcred/cli"
	"regcred.dev/cmd/regcred/demo"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"regcred":                   func() { os.Exit(cli.System().Main(os.Args[1:])) },
		"docker-credential-regcred": func() { os.Exit(helper.System().Main(os.Args[1:])) },
	})
}

// TestScript runs testdata/script: what the program does, as its users see it.
func TestScript(t *testing.T) { testscript.Run(t, scriptParams("testdata/script")) }

// scriptParams are how scripts are run: each has a directory of its own, in which
// it may start a server.
func scriptParams(dir string) testscript.Params {
	return testscript.Params{
		Dir: dir,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":       exits,
			"ready":       ready,
			"packimage":   packImage,
			"eventually":  eventually,
			"certificate": certificate,
			"losecontent": loseContent,
		},
	}
}

// exits CODE COMMAND... runs a command that must end with that exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARGUMENT]...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// patience bounds each wait for a server.
const patience = 20 * time.Second

// ready waits for the server of ./regcred-data and sets HOSTPORT to where it
// listens.
func ready(ts *testscript.TestScript, _ bool, _ []string) {
	until(ts, func() error { return ts.Exec("regcred", "status", "-o", "json") })
	var st client.Status
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &st))
	_, host, _ := strings.Cut(st.LocalURL, "://")
	ts.Setenv("HOSTPORT", host)
	token, err := os.ReadFile(ts.MkAbs("regcred-data/admin.token"))
	ts.Check(err)
	ts.Setenv("ADMIN_TOKEN", strings.TrimSpace(string(token)))
}

// eventually COMMAND... runs a command until it succeeds.
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	until(ts, func() error {
		err := ts.Exec(args[0], args[1:]...)
		if neg && err == nil {
			return fmt.Errorf("%v still succeeds", args)
		}
		if neg {
			return nil
		}
		return err
	})
}

func until(ts *testscript.TestScript, f func() error) {
	deadline := time.Now().Add(patience)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("not within %s: %v", patience, err)
		}
		time.Sleep(20 * time.Millisecond) //nolint:forbidigo // polling a process
	}
}

// certificate NAME writes NAME.crt and NAME.key: a certificate for 127.0.0.1 that is its
// own authority.
func certificate(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: certificate NAME")
	}
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	pair := server.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	ts.Check(err)
	for suffix, block := range map[string]*pem.Block{
		".crt": {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, ".key": {Type: "PRIVATE KEY", Bytes: key},
	} {
		ts.Check(os.WriteFile(ts.MkAbs(args[0]+suffix), pem.EncodeToMemory(block), 0o600))
	}
}

// losecontent DIR removes the files below a directory.
func loseContent(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: losecontent DIR")
	}
	removed := 0
	ts.Check(filepath.WalkDir(ts.MkAbs(args[0]), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		removed++
		return os.Remove(path)
	}))
	if removed == 0 {
		ts.Fatalf("there is nothing in %s", args[0])
	}
}

// packimage FILE ARCHIVE writes a `docker save` archive with one file in it.
func packImage(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: packimage FILE ARCHIVE")
	}
	ts.Check(demo.PackImage(ts.MkAbs(args[0]), filepath.Clean(ts.MkAbs(args[1]))))
}
