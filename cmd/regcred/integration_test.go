//go:build integration

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestClients runs testdata/clients: real registry clients against a real server,
// with the files that regcred writes for them.
//
// A client that is missing fails the test, unless REGCRED_WITHOUT names it.
func TestClients(t *testing.T) {
	without := strings.Fields(os.Getenv("REGCRED_WITHOUT"))
	params := scriptParams("testdata/clients")
	params.Condition = func(cond string) (bool, error) {
		client, ok := strings.CutPrefix(cond, "without:")
		if !ok {
			return false, fmt.Errorf("unknown condition %q", cond)
		}
		if slices.Contains(without, client) {
			return true, nil
		}
		if _, err := exec.LookPath(client); err != nil {
			return false, fmt.Errorf("%s is not installed: install it (Debian: apt-get install %s), or set REGCRED_WITHOUT=%s", client, client, client)
		}
		return false, nil
	}
	scripts, err := filepath.Glob("testdata/clients/*.txt")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	testscript.Run(t, params)
}
