package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// maxSize bounds the program, in bytes: it is copied to every node.
const maxSize = 12 << 20

// TestProgram builds the program, and sees that it is small and knows both of its
// protocols.
func TestProgram(t *testing.T) {
	path := filepath.Join(t.TempDir(), "docker-credential-regcred")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() >= maxSize {
		t.Errorf("the program has %d bytes, %d are too many", info.Size(), maxSize)
	}
	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, "usage"},
		{[]string{"get"}, "no credentials server URL"},
		{[]string{"kubelet", "--server", "https://127.0.0.1:1"}, "plugin for the kubelet"},
	} {
		cmd := exec.CommandContext(t.Context(), path, test.args...)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Run(); err == nil || !strings.Contains(out.String(), test.want) {
			t.Errorf("%v: %v, %s", test.args, err, out.String())
		}
	}
}
