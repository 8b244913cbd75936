package registry_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/go-digest"

	"regcred.dev"
	"regcred.dev/registry"
	"regcred.dev/registry/blob"
	"regcred.dev/store/memory"
	"regcred.dev/token"
)

// serveUntilKilled is a child that serves a directory: "address API-token" is its first
// line. For each line "full N" of its standard input it has room for N more bytes or
// so from then on, for "space" enough again, for "collect" it collects garbage, and says
// "done".
//
// With ownDisk in its environment the directory is a small file system of its own,
// which it fills. Else it lets no file grow over N bytes, which the kernel refuses at
// the same places, in the middle of a write too.
func serveUntilKilled(dir string, _ uint64) error {
	room := limitFiles
	if os.Getenv(ownDisk) != "" {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=4m"); err != nil {
			return err
		}
		room = func(n uint64) error { return fillDisk(filepath.Join(dir, "ballast"), n) }
	}
	signal.Ignore(syscall.SIGXFSZ)
	blobs, err := blob.Open(filepath.Join(dir, "registry"))
	if err != nil {
		return err
	}
	tokens, err := token.New(context.Background(), memory.New(), token.Options{})
	if err != nil {
		return err
	}
	_, admin, err := tokens.CreateAPIToken(context.Background(), regcred.APIToken{Name: "test", Role: regcred.RoleAdmin})
	if err != nil {
		return err
	}
	storage := registry.NewStorage(blobs, registry.StorageOptions{})
	server, err := registry.New(registry.Options{Storage: storage, Tokens: tokens})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr(), admin.Reveal())
	go func() { _ = http.Serve(l, server) }()
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		n := uint64(math.MaxUint64)
		_, _ = fmt.Sscanf(lines.Text(), "full %d", &n)
		if lines.Text() == "collect" {
			_, err = storage.Collect(context.Background(), registry.CollectOptions{Grace: 1})
			err = ignoreNoSpace(err) // of what comes after content
		} else {
			err = room(n)
		}
		if err != nil {
			return err
		}
		fmt.Println("done")
	}
	return errors.New("the test has ended")
}

func ignoreNoSpace(err error) error {
	if errors.Is(err, registry.ErrNoSpace) {
		return nil
	}
	return err
}

const ownDisk = "REGCRED_OWN_DISK"

func limitFiles(n uint64) error {
	return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: n, Max: math.MaxUint64})
}

// fillDisk leaves room for n bytes on the disk of a file, by making that large.
func fillDisk(name string, n uint64) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if n == math.MaxUint64 {
		return nil
	}
	page := make([]byte, os.Getpagesize())
	for err == nil {
		_, err = f.Write(page)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		return err
	}
	size, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	return f.Truncate(max(0, size-int64(n)))
}

// disk is a child that serves a directory.
type disk struct {
	uploader
	in  io.Writer
	out *bufio.Scanner
}

// startDisk starts a child; attr says more on how.
func startDisk(t *testing.T, attr *syscall.SysProcAttr, env ...string) (*disk, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), append(env, killDir+"="+t.TempDir(), killTask+"=serve", killRound+"=0")...)
	cmd.Stderr, cmd.SysProcAttr = os.Stderr, attr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		return nil, errors.New("the server has ended")
	}
	addr, admin, _ := strings.Cut(lines.Text(), " ")
	h := &harness{Server: &httptest.Server{URL: "http://" + addr}, host: addr}
	return &disk{uploader{t, h, regcred.NewSecret(admin)}, in, lines}, nil
}

// tell has the child do something.
func (d *disk) tell(what string) {
	d.t.Helper()
	if _, err := fmt.Fprintln(d.in, what); err != nil {
		d.t.Fatal(err)
	}
	if !d.out.Scan() || d.out.Text() != "done" {
		d.t.Fatalf("%s: the server says %q", what, d.out.Text())
	}
}

// push pushes an image, and returns the first answer that is none of success.
func (d *disk) push(repo string, contents ...string) answer {
	d.t.Helper()
	for _, content := range contents {
		a := d.do("POST", "/v2/"+repo+"/blobs/uploads/?digest="+digest.FromString(content).String(), content)
		if a.status != 201 {
			return a
		}
	}
	return d.h.do(d.t, d.admin, call{
		method: "PUT", path: "/v2/" + repo + "/manifests/v1", body: imageManifest(contents...),
		header: map[string]string{"Content-Type": ociImage},
	})
}

// has reports whether there is an image, which then must be whole.
func (d *disk) has(repo string, contents ...string) bool {
	d.t.Helper()
	a := d.do("GET", "/v2/"+repo+"/manifests/v1", "")
	if a.status == 404 {
		return false
	}
	if a.status != 200 || a.body != imageManifest(contents...) {
		d.t.Fatalf("manifest of %s: %d %s", repo, a.status, a.body)
	}
	for _, content := range contents {
		if a := d.do("GET", "/v2/"+repo+"/blobs/"+digest.FromString(content).String(), ""); a.status != 200 || a.body != content {
			d.t.Fatalf("%s has an image without its blobs: %d", repo, a.status)
		}
	}
	return true
}

// refused reports whether something was not stored for want of space, and fails
// where it was not for another reason.
func (d *disk) refused(what string, a answer) bool {
	d.t.Helper()
	if a.status/100 == 2 {
		return false
	}
	if a.status != 503 || a.code() != "UNAVAILABLE" || !strings.Contains(a.body, "cannot store") {
		d.t.Errorf("%s: %d %s", what, a.status, a.body)
	}
	return true
}

// testFullDisk serves from a disk that gets full, more and less so.
func (d *disk) testFullDisk() {
	stored := []string{"config", strings.Repeat("layer", 1000)}
	if a := d.push("stored", stored...); a.status != 201 {
		d.t.Fatal(a)
	}
	location := d.start()
	d.want("before", d.patch(location, "begun ", ""), 202, "")

	images := map[string][]string{}
	var refusals int
	for i, room := range []uint64{0, 1, 20, 90, 100, 120, 150, 200, 300, 1000, 5000, 20_000, 50_000, 120_000, 1 << 20} {
		repo := fmt.Sprintf("new/r%d", i)
		images[repo] = []string{repo, strings.Repeat(repo, 300), strings.Repeat(repo, 15_000)}
		d.tell(fmt.Sprint("full ", room))
		refused := d.refused("push", d.push(repo, images[repo]...))
		if !d.has("stored", stored...) {
			d.t.Fatal("what is stored is not served")
		}
		// It may be there and refused: where what comes after it could not be written.
		if has := d.has(repo, images[repo]...); !has && !refused {
			d.t.Errorf("a push of %s was acknowledged, and is not there", repo)
		}
		if refused {
			refusals++
		}
		d.tell("space")
	}
	if refusals == 0 || refusals == len(images) {
		d.t.Errorf("%d pushes of %d were refused: that shows little", refusals, len(images))
	}

	rest := strings.Repeat("and gone on with ", 1000)
	d.tell("full 0")
	if !d.refused("patch", d.patch(location, rest, "")) {
		d.t.Error("there is room on a full disk")
	}
	// A deletion that finds no room notes nowhere where the tag pointed.
	d.want("a tag's deletion", d.do("DELETE", "/v2/stored/manifests/v1", ""), 202, "")
	d.want("a manifest's", d.do("DELETE", "/v2/stored/manifests/"+digest.FromString(imageManifest(stored...)).String(), ""), 202, "")
	var known []string
	for _, repo := range listed(d.t, d.do("GET", "/v2/_catalog", "").body) {
		if a := d.do("GET", "/v2/"+repo+"/tags/list", ""); a.status != 200 {
			d.t.Errorf("tags of %s: %d %s", repo, a.status, a.body)
		}
		known = append(known, repo)
	}
	if !slices.Contains(known, "stored") {
		d.t.Errorf("the catalog has %q", known)
	}

	d.tell("space")
	var last int
	if a := d.do("GET", location, ""); a.status != 204 {
		d.t.Fatal(a)
	} else if _, err := fmt.Sscanf(a.header.Get("Range"), "0-%d", &last); err != nil {
		d.t.Fatal(err)
	}
	content := "begun " + rest
	d.want("the upload goes on", d.put(location, content[last+1:], digest.FromString(content)), 201, "")
	for repo, contents := range images {
		if a := d.push(repo, contents...); a.status != 201 || !d.has(repo, contents...) {
			d.t.Errorf("%s, once there is space: %d %s", repo, a.status, a.body)
		}
	}
}

// TestFullDisk serves pulls and refuses pushes while no file can be written.
func TestFullDisk(t *testing.T) {
	d, err := startDisk(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	d.testFullDisk()
}
