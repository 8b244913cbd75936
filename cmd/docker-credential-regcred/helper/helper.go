// Package helper is a docker credential helper: docker, podman and most other
// clients ask it for the login of a registry host, where their configuration names
// it under "credHelpers" or "credsStore".
//
// It asks the server that REGCRED_SERVER and REGCRED_TOKEN name (an API token of the
// role target), else the local one whose data directory REGCRED_DATA_DIR names, for
// the keyring of the scope that REGCRED_ORG, REGCRED_SPACE and REGCRED_APP name; none
// of them is the foundation.
package helper

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"

	"regcred.dev"
	"regcred.dev/client"
)

const (
	// notFound is what the protocol's clients know as "this registry has no login":
	// they go on without one (docker/docker-credential-helpers, credentials/error.go).
	notFound = "credentials not found in native keychain"
	// hubKey is the name of Docker Hub in docker's files and in this protocol.
	hubKey = "https://index.docker.io/v1/"
	// socketName is the local server's socket in its data directory.
	socketName = "regcred.sock"
	// maxInput bounds what a client writes, in bytes.
	maxInput = 64 << 10
)

// Program is the helper in its surroundings.
type Program struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
}

// System returns the Program of this process.
func System() *Program {
	return &Program{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv}
}

// Main carries out one command of the protocol and returns the exit code. Answers
// and errors go to standard output, as the protocol has it; hints to standard error.
func (p *Program) Main(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	return p.Run(ctx, args)
}

const usage = "usage: docker-credential-regcred get|list|store|erase, or kubelet --help"

// Run is Main without signals.
func (p *Program) Run(ctx context.Context, args []string) int {
	if len(args) != 1 {
		fmt.Fprintln(p.Stderr, usage)
		return 1
	}
	var err error
	switch args[0] {
	case "--help", "-h", "help":
		fmt.Fprintln(p.Stdout, usage)
	case "get":
		err = p.get(ctx)
	case "list":
		err = p.list(ctx)
	case "store":
		_, _ = p.input() // a client that is not read from may fail before it hears why
		err = regcred.Errorf(regcred.Denied, "regcred keeps these logins: store one with 'regcred credential create'")
	case "erase":
		// It is no failure: docker does not show one, and Debian 12's podman crashes on it.
		if _, err = p.input(); err == nil {
			fmt.Fprintln(p.Stderr, "regcred keeps these logins: nothing was erased; 'regcred credential delete' does it")
		}
	default:
		err = regcred.Errorf(regcred.Invalid, "unknown command %q: there are get, list, store and erase, and for the kubelet 'kubelet --help'", args[0])
	}
	if err != nil {
		fmt.Fprintln(p.Stdout, err)
		return 1
	}
	return 0
}

// login is the protocol's answer to get.
type login struct {
	ServerURL string `json:"ServerURL"`
	Username  string `json:"Username"`
	Secret    string `json:"Secret"`
}

func (p *Program) get(ctx context.Context) error {
	server, err := p.input()
	if err != nil {
		return err
	}
	file, err := p.keyring(ctx)
	if err != nil {
		return err
	}
	key := keyOf(server)
	username, password, ok := file.login(key)
	if !ok {
		for _, o := range file.omitted {
			if strings.HasPrefix(o.Location+"/", key+"/") {
				fmt.Fprintf(p.Stderr, "regcred: %s at scope %s was left out: %s\n", o.Location, o.Scope, o.Reason)
			}
		}
		return regcred.Errorf(regcred.NotFound, notFound)
	}
	return json.NewEncoder(p.Stdout).Encode(login{ServerURL: server, Username: username, Secret: password}) //nolint:gosec // this is what it is for
}

func (p *Program) list(ctx context.Context) error {
	file, err := p.keyring(ctx)
	if err != nil {
		return err
	}
	users := map[string]string{}
	for key := range file.Auths {
		if username, _, ok := file.login(key); ok {
			users[key] = username
		}
	}
	return json.NewEncoder(p.Stdout).Encode(users)
}

// input reads the one value that a client writes.
func (p *Program) input() (string, error) {
	data, err := io.ReadAll(io.LimitReader(p.Stdin, maxInput))
	if err != nil {
		return "", err
	}
	if s := strings.TrimSpace(string(data)); s != "" {
		return s, nil
	}
	return "", regcred.Errorf(regcred.Invalid, "no credentials server URL")
}

// keyOf returns the key that docker's dialect has for what a client asks for: a
// host, with or without protocol and path.
func keyOf(server string) string {
	if server == hubKey {
		return hubKey
	}
	if _, rest, ok := strings.Cut(server, "://"); ok {
		server = rest
	}
	host, _, _ := strings.Cut(server, "/")
	switch host = strings.ToLower(strings.TrimSuffix(host, ":443")); host {
	case "docker.io", "index.docker.io":
		return hubKey
	}
	return host
}

// keyring is a scope's keyring in docker's dialect.
type keyring struct {
	Auths map[string]struct {
		Auth string `json:"auth"`
	} `json:"auths"`
	omitted []client.Omission
}

// login returns the login under a key, ok false where there is none.
func (k keyring) login(key string) (username, password string, ok bool) {
	plain, err := base64.StdEncoding.DecodeString(k.Auths[key].Auth)
	if err != nil {
		return "", "", false
	}
	username, password, ok = strings.Cut(string(plain), ":")
	return username, password, ok && username != ""
}

func (p *Program) keyring(ctx context.Context) (keyring, error) {
	scope := regcred.Scope{Org: p.Getenv("REGCRED_ORG"), Space: p.Getenv("REGCRED_SPACE"), App: p.Getenv("REGCRED_APP")}
	if err := scope.Validate(); err != nil {
		return keyring{}, err
	}
	c, err := p.connect()
	if err != nil {
		return keyring{}, err
	}
	answer, err := c.DockerConfig(ctx, scope, "docker", false)
	if err != nil {
		return keyring{}, err
	}
	k := keyring{omitted: answer.Omitted}
	if err := json.Unmarshal(answer.Config, &k); err != nil {
		return keyring{}, regcred.Errorf(regcred.Unavailable, "the server's answer is no docker config file")
	}
	return k, nil
}

// connect returns a client of the server that the environment names. There is no
// default: clients run helpers in any directory.
func (p *Program) connect() (*client.Client, error) {
	if server := strings.TrimSpace(p.Getenv("REGCRED_SERVER")); server != "" {
		return client.New(server, regcred.NewSecret(strings.TrimSpace(p.Getenv("REGCRED_TOKEN"))))
	}
	if dir := p.Getenv("REGCRED_DATA_DIR"); dir != "" {
		return client.NewLocal(filepath.Join(dir, socketName)), nil
	}
	return nil, regcred.Errorf(regcred.Invalid, "set REGCRED_SERVER and REGCRED_TOKEN, or REGCRED_DATA_DIR, so that regcred's server can be found")
}
