package imagebuild

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// names are those of the programs: each is ./cmd/NAME in the source and /NAME in the
// image.
var names = []string{"docker-credential-regcred", "regcred"}

// programs are the built programs, and what Go wrote into them.
type programs struct {
	dir      string
	version  string    // of the module; "devel" where the source is no checkout
	revision string    // of the checkout, "" where it is none
	time     time.Time // of the revision, 1970 where there is none
}

// compile builds the programs for an architecture into a directory.
func compile(ctx context.Context, source, arch, dir string) (programs, error) {
	stamp, err := isCheckout(source)
	if err != nil {
		return programs{}, err
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return programs{}, err
	}
	args := []string{"build", "-C", source, fmt.Sprintf("-buildvcs=%t", stamp), "-ldflags=-s -w", "-o", dir + string(filepath.Separator)}
	for _, name := range names {
		args = append(args, "./cmd/"+name)
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	// What a user may have set otherwise would be in the bytes. Only a GOFLAGS with
	// something in it takes the place of one that `go env -w` wrote.
	cmd.Env = append(os.Environ(), "GOFLAGS=-trimpath", "GOWORK=off", "CGO_ENABLED=0",
		"GOOS=linux", "GOARCH="+arch, "GOAMD64=v1", "GOARM64=v8.0", "GOFIPS140=off", "GOEXPERIMENT=")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return programs{}, fmt.Errorf("go build for %s: %w\n%s", arch, err, out.Bytes())
	}
	return readPrograms(dir)
}

// isCheckout reports whether a directory is the root of a git checkout. Left to
// itself, go build would leave the revision out where git is missing.
func isCheckout(dir string) (bool, error) {
	_, err := os.Stat(filepath.Join(dir, ".git"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// readPrograms reads what go build wrote into the programs of a directory.
func readPrograms(dir string) (programs, error) {
	p := programs{dir: dir, version: "devel", time: time.Unix(0, 0).UTC()}
	info, err := buildinfo.ReadFile(filepath.Join(dir, "regcred"))
	if err != nil {
		return p, err
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		p.version = v
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			p.revision = s.Value
		case "vcs.time":
			if p.time, err = time.Parse(time.RFC3339, s.Value); err != nil {
				return p, fmt.Errorf("time of the commit: %w", err)
			}
		}
	}
	return p, nil
}

// files returns the programs as files of the image.
func (p programs) files() ([]file, error) {
	var files []file
	for _, name := range names {
		body, err := os.ReadFile(filepath.Join(p.dir, name))
		if err != nil {
			return nil, err
		}
		files = append(files, file{name: name, mode: 0o755, body: body})
	}
	return files, nil
}
