package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"regcred.dev"
)

// TestLocalProblem says why the local server cannot be reached, and what to do.
func TestLocalProblem(t *testing.T) {
	dir := t.TempDir()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		dir  string
		err  error
		code regcred.Code
		want string
	}{
		{filepath.Join(dir, "none"), fs.ErrNotExist, regcred.Unavailable, "no server: start one with 'regcred serve'"},
		{dir, fs.ErrNotExist, regcred.Unavailable, dir + " is not running: start it with 'regcred serve'"},
		{dir, syscall.ECONNREFUSED, regcred.Unavailable, dir + " is not running: start it with 'regcred serve'"},
		{dir, syscall.EACCES, regcred.Denied, dir + " is user " + me.Username + "'s: run regcred as that user"},
		{dir, errors.New("strange"), regcred.Internal, "cannot reach the server of " + dir + ": dial: strange"},
	} {
		err := localProblem(test.dir, fmt.Errorf("dial: %w", test.err))
		if regcred.CodeOf(err) != test.code || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s, %v: got %s, %v; want %s, %q", test.dir, test.err, regcred.CodeOf(err), err, test.code, test.want)
		}
	}
}
