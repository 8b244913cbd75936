//go:build unix

package exec_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker-credential-helpers/credentials"
)

// canary is in the output of each helper that has a secret.
const canary = "canary-4711-secret"

// helpers are programs that behave in all ways, by what follows docker-credential- in
// the name under which they are started: see TestMain. Each returns its exit code.
var helpers = map[string]func() int{
	"library": func() int { credentials.Serve(library{}); return 0 },
	"plain":   func() int { return say(fmt.Sprintf(`{"Username":"user","Secret":%q,"Comment":"unknown"}`, unique())) },
	"empty":   func() int { return 0 },
	"garbage": func() int { return say("\x00\x01 no JSON at all " + canary) },
	"token":   func() int { return answer("", "<token>", canary) },
	"other":   func() int { return answer("https://registry.example.com.evil", "user", canary) },
	"huge":    func() int { return huge(os.Stdout) },
	"verbose": func() int { huge(os.Stderr); return answer("", "user", canary) },
	"endless": endless,
	"jwt":     func() int { return answer("", "user", jwt(time.Now().Add(jwtLifetime))) },
	"env":     func() int { return answer("", "user", strings.Join(os.Environ(), "\n")) },
	"where":   where,

	"hang": func() int { report("hang"); return block() },
	"deaf": func() int { report("deaf"); _ = os.Stdin.Close(); return block() },
	// These have a child that never ends by itself and holds the output open.
	"parent":     func() int { spawn(false); report("parent"); return block() },
	"careless":   func() int { spawn(false); return answer("", "user", canary) },
	"background": func() int { spawn(true); return answer("", "user", canary) },
	"child":      func() int { report("child"); return block() },

	"leaky":     func() int { say("debug: " + canary); fmt.Fprintln(os.Stderr, canary); return 3 },
	"silent":    func() int { return 1 },
	"crash":     func() int { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL); return block() },
	"throttled": func() int { return say("ThrottlingException: Rate exceeded") + 1 },
	"locked":    func() int { return say("exit status 2: gpg: decryption failed: No secret key") + 1 },
	"denied": func() int {
		return say("AccessDeniedException: User: "+canary+" is not authorized to perform: ecr:GetAuthorizationToken") + 1
	},
}

// TestMain makes the test's own program the helper whose name it is started by.
func TestMain(m *testing.M) {
	if name, ok := strings.CutPrefix(filepath.Base(os.Args[0]), "docker-credential-"); ok {
		syscall.Exit(helpers[name]()) // os.Exit takes a second under the race detector
	}
	os.Exit(m.Run())
}

// library is a helper as most are: written with docker's own library. Its login says
// what it was asked for.
type library struct{}

func (library) Get(server string) (string, string, error) {
	switch {
	case strings.HasPrefix(server, "none."):
		return "", "", credentials.NewErrCredentialsNotFound()
	case strings.HasPrefix(server, "broken."):
		return "", "", errors.New("it broke: " + canary)
	}
	return "user", canary + " for " + server, nil
}

func (library) Add(*credentials.Credentials) error { return errors.New("not expected") }

func (library) Delete(string) error { return errors.New("not expected") }

func (library) List() (map[string]string, error) { return nil, errors.New("not expected") }

func answer(server, username, secret string) int {
	_ = json.NewEncoder(os.Stdout).Encode(map[string]string{"ServerURL": server, "Username": username, "Secret": secret})
	return 0
}

func say(line string) int {
	fmt.Println(line)
	return 0
}

func where() int {
	dir, err := os.Getwd()
	if err != nil {
		return say(err.Error()) + 1
	}
	return answer("", "user", strings.Join(append(os.Args[1:], dir), " "))
}

// jwtLifetime is how long the secret of the helper "jwt" lives.
const jwtLifetime = 10 * time.Minute

func jwt(exp time.Time) string {
	payload := fmt.Appendf(nil, `{"iss":"x","exp":%d.5}`, exp.Unix())
	return "eyJhbGciOiJub25lIn0." + base64.RawURLEncoding.EncodeToString(payload) + ".signature"
}

// unique returns another secret at each call.
func unique() string {
	return canary + "-" + strconv.FormatInt(time.Now().UnixNano(), 36) + "-" + strconv.Itoa(os.Getpid())
}

// huge writes 10 MiB.
func huge(w io.Writer) int {
	for range 10 << 10 {
		_, _ = io.WriteString(w, strings.Repeat("x", 1<<10))
	}
	return 0
}

// endless writes for ever, whatever becomes of its output.
func endless() int {
	report("endless")
	for {
		_, _ = os.Stdout.WriteString(strings.Repeat("x", 1<<10))
	}
}

// block never returns: nobody closes a pipe whose two ends it has itself.
func block() int {
	r, w, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	_, _ = r.Read(make([]byte, 1))
	_ = w.Close()
	return 1
}

// spawn starts the helper "child" and waits until it runs; apart is in a group of its
// own.
func spawn(apart bool) {
	child := osexec.Command(filepath.Join(filepath.Dir(os.Args[0]), "docker-credential-child"))
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	child.SysProcAttr = &syscall.SysProcAttr{Setpgid: apart}
	if err := child.Start(); err != nil {
		panic(err)
	}
	for {
		if _, err := os.Stat(pidFile("child")); err == nil {
			return
		}
	}
}

// pidFile is where a helper says that it runs: beside the link that it was started by.
func pidFile(name string) string { return filepath.Join(filepath.Dir(os.Args[0]), name+".pid") }

// report writes the helper's process id.
func report(name string) {
	file := pidFile(name)
	if err := os.WriteFile(file+".tmp", []byte(strconv.Itoa(os.Getpid())), 0o600); err != nil {
		panic(err)
	}
	if err := os.Rename(file+".tmp", file); err != nil {
		panic(err)
	}
}

// directory returns a new one with all helpers.
func directory(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name := range helpers {
		if err := os.Symlink(self, filepath.Join(dir, "docker-credential-"+name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
