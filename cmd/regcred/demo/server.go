package demo

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"regcred.dev/client"
)

// configFile is the docker config file, in the demo's directory.
const configFile = "docker/config.json"

// serve starts a server in an empty data directory on a free port.
func (d *demo) serve(ctx context.Context) (stop func() error, err error) {
	d.say("Start a server with an empty data directory, on a free port.")
	config := filepath.Join(d.dir, "regcred.yaml")
	yaml := fmt.Sprintf(`data_dir: %q
listen: 127.0.0.1:0
targets:
  - organization: acme
    dockerconfig:
      path: %q
`, d.dataDir(), filepath.Join(d.dir, configFile))
	if err := os.WriteFile(config, []byte(yaml), 0o600); err != nil {
		return nil, err
	}
	var log bytes.Buffer
	cmd := exec.CommandContext(ctx, d.self, "serve", "--config", config) //nolint:gosec // this very program
	cmd.Stderr = &log
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = soon
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	stop = func() error {
		_ = cmd.Process.Signal(os.Interrupt)
		if err := <-exited; err != nil {
			return fmt.Errorf("the server ended badly: %w\n%s", err, log.String())
		}
		return nil
	}
	err = poll(ctx, func() error {
		select {
		case err := <-exited:
			exited <- err
			return nil // found out below
		default:
		}
		return d.findServer(ctx)
	})
	if err != nil || d.host == "" {
		return nil, fmt.Errorf("the server did not start: %w", errorsOf(stop(), err))
	}
	d.note("it serves at http://%s and keeps everything in one directory: %s", d.host, d.files())
	return stop, nil
}

func errorsOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return fmt.Errorf("it ended at once")
}

func (d *demo) dataDir() string { return filepath.Join(d.dir, "data") }

// findServer asks the server, over its socket, where it listens.
func (d *demo) findServer(ctx context.Context) error {
	out, err := d.regcred(ctx, "status", "-o", "json")
	if err != nil {
		return err
	}
	var st client.Status
	if err := json.Unmarshal([]byte(out), &st); err != nil {
		return err
	}
	u, err := url.Parse(st.URL)
	if err != nil {
		return err
	}
	d.host = u.Host
	return nil
}

func (d *demo) files() string {
	entries, _ := os.ReadDir(d.dataDir())
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, ", ")
}

// resolved returns the scope of the credential that an image resolves to.
func (d *demo) resolved(ctx context.Context, image, org string) (string, error) {
	out, err := d.regcred(ctx, "resolve", image, "--org", org, "-o", "json")
	if err != nil {
		return "", err
	}
	var r client.Resolution
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		return "", err
	}
	if r.Match == nil {
		return "", fmt.Errorf("no credential matched: %s", r.Why)
	}
	return r.Match.Scope, nil
}

// show runs one of the program's commands as a user would, and shows both.
func (d *demo) show(ctx context.Context, args ...string) error {
	shown := strings.ReplaceAll(strings.Join(args, " "), d.dir+"/", "")
	d.note("$ regcred %s", shown)
	out, err := d.regcred(ctx, args...)
	for line := range strings.Lines(out) {
		d.note("  %s", strings.TrimRight(line, "\n"))
	}
	return err
}

// regcred runs one of the program's commands against the demo's server.
func (d *demo) regcred(ctx context.Context, args ...string) (string, error) {
	return run(ctx, []string{"REGCRED_DATA_DIR=" + d.dataDir(), "REGCRED_PASSWORD=not-a-secret", "REGCRED_SERVER="}, d.self, args...)
}

// run runs a program and returns what it prints. Errors have the last line that
// it said.
func run(ctx context.Context, env []string, program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...) //nolint:gosec // what the demo shows
	cmd.Env = append(os.Environ(), env...)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w: %s", filepath.Base(program), args[0], err, strings.TrimSpace(problems.String()))
	}
	return out.String(), nil
}

// entry is what the docker config file has for the registry.
type entry struct{ username, password string }

// delivered reads the docker config file.
func (d *demo) delivered() (entry, error) {
	data, err := os.ReadFile(filepath.Join(d.dir, configFile))
	if err != nil {
		return entry{}, err
	}
	var file struct {
		Auths map[string]struct {
			Auth string `json:"auth"`
		} `json:"auths"`
	}
	if err := json.Unmarshal(data, &file); err != nil {
		return entry{}, err
	}
	auth, ok := file.Auths[d.host]
	if !ok {
		return entry{}, fmt.Errorf("%s has no entry for %s yet", configFile, d.host)
	}
	plain, err := base64.StdEncoding.DecodeString(auth.Auth)
	if err != nil {
		return entry{}, err
	}
	username, password, _ := strings.Cut(string(plain), ":")
	return entry{username, password}, nil
}
