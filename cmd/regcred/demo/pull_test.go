package demo

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPullBy runs a docker that is not one: what it leaves in its daemon is taken
// away, one that cannot reach the registry is passed over, any other failure ends
// the demo.
func TestPullBy(t *testing.T) {
	for _, test := range []struct {
		name, script, want, note, calls string
		pulls                           int
	}{
		{name: "works", script: "exit 0", pulls: 1, calls: "info\n--config DIR/docker pull 127.0.0.1:1/acme/regcred:demo\nrmi 127.0.0.1:1/acme/regcred:demo\n"},
		{name: "no daemon", script: `[ "$1" != info ]`, note: "docker is installed, but cannot run here", calls: "info\n"},
		{name: "elsewhere", script: `[ "$1" = info ] || { echo 'dial tcp 127.0.0.1:1: connect: connection refused' >&2; exit 1; }`, note: "it does not reach this machine's 127.0.0.1"},
		{name: "fails", script: `[ "$1" = info ] || { echo 'unauthorized' >&2; exit 1; }`, want: "unauthorized"},
	} {
		dir := t.TempDir()
		script := "#!/bin/sh\necho \"$@\" >> " + dir + "/calls\n" + test.script + "\n"
		if err := os.WriteFile(filepath.Join(dir, "docker"), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
		t.Setenv("PATH", dir+":/usr/bin:/bin")
		var out bytes.Buffer
		d := &demo{out: &out, dir: dir, host: "127.0.0.1:1"}
		for _, c := range d.pullers() {
			if c.program != "docker" {
				continue
			}
			err := d.pullBy(t.Context(), c)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: %v, want %q", test.name, err, test.want)
			}
		}
		calls, err := os.ReadFile(filepath.Join(dir, "calls"))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.ReplaceAll(string(calls), dir, "DIR"); test.calls != "" && got != test.calls {
			t.Errorf("%s: it was called with %q, want %q", test.name, got, test.calls)
		}
		if !strings.Contains(out.String(), test.note) || d.pulls != test.pulls {
			t.Errorf("%s: %d pulls, said %q, want %q", test.name, d.pulls, out.String(), test.note)
		}
	}
}
