package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"regcred.dev"
	"regcred.dev/client"
	"regcred.dev/cmd/regcred/server"
)

// defaultDataDir is where a server keeps its files unless it is told otherwise.
const defaultDataDir = "./regcred-data"

// dataDir is where the local server keeps its files.
func (p *Program) dataDir() string {
	if dir := p.Getenv("REGCRED_DATA_DIR"); dir != "" {
		return dir
	}
	return defaultDataDir
}

// remote returns the server that the environment names, "" for none.
func (p *Program) remote() string { return strings.TrimSpace(p.Getenv("REGCRED_SERVER")) }

// remoteToken returns the API token that the environment names.
func (p *Program) remoteToken() regcred.Secret {
	return regcred.NewSecret(strings.TrimSpace(p.Getenv("REGCRED_TOKEN")))
}

// connect returns a client of the server that the environment names, else of the
// local one.
func (p *Program) connect(ctx context.Context) (*client.Client, error) {
	url := p.remote()
	if url == "" {
		return p.connectLocal(ctx)
	}
	token := p.remoteToken()
	if token.IsZero() {
		return nil, regcred.Errorf(regcred.Invalid, "REGCRED_SERVER is set: set REGCRED_TOKEN to an API token of that server too")
	}
	return client.New(url, token)
}

// connectLocal returns a client of the local server, once its socket answers.
func (p *Program) connectLocal(ctx context.Context) (*client.Client, error) {
	dir := p.dataDir()
	socket := filepath.Join(dir, server.SocketName)
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, localProblem(dir, err)
	}
	_ = conn.Close() // it only shows that somebody listens
	return client.NewLocal(socket), nil
}

// localTransport sends all requests to the local server's socket.
func (p *Program) localTransport() http.RoundTripper {
	socket := filepath.Join(p.dataDir(), server.SocketName)
	return &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
}

// localProblem says why the server of a data directory cannot be reached.
func localProblem(dir string, err error) error {
	_, missing := os.Stat(dir)
	switch {
	case errors.Is(missing, fs.ErrNotExist):
		return regcred.Errorf(regcred.Unavailable, "no server: start one with 'regcred serve', or set REGCRED_SERVER and REGCRED_TOKEN, or REGCRED_DATA_DIR to where the local one keeps its files (looked for %s)", dir)
	case errors.Is(err, fs.ErrPermission):
		return regcred.Errorf(regcred.Denied, "the server of %s is %s: run regcred as that user, or set REGCRED_SERVER and REGCRED_TOKEN", dir, ownerOf(dir))
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return regcred.Errorf(regcred.Unavailable, "the server of %s is not running: start it with 'regcred serve'", dir)
	}
	return fmt.Errorf("cannot reach the server of %s: %w", dir, err)
}

// anothers is whose a file is where the system does not tell.
const anothers = "another user's"

// adminToken reads the local server's admin token.
func (p *Program) adminToken() (regcred.Secret, error) {
	data, err := os.ReadFile(filepath.Join(p.dataDir(), server.AdminTokenName))
	if err != nil {
		return regcred.Secret{}, regcred.Errorf(regcred.Unavailable, "cannot read the local server's admin token: %w", err)
	}
	return regcred.NewSecret(strings.TrimSpace(string(data))), nil
}
