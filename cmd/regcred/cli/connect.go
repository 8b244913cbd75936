package cli

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

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

// connect returns a client of the server that the environment names, else of the
// local one.
func (p *Program) connect() (*client.Client, error) {
	if url := p.Getenv("REGCRED_SERVER"); url != "" {
		token := p.Getenv("REGCRED_TOKEN")
		if token == "" {
			return nil, regcred.Errorf(regcred.Invalid, "REGCRED_SERVER is set: set REGCRED_TOKEN to an API token of that server too")
		}
		return client.New(url, regcred.NewSecret(token))
	}
	socket := filepath.Join(p.dataDir(), server.SocketName)
	if _, err := os.Stat(socket); errors.Is(err, fs.ErrNotExist) {
		return nil, regcred.Errorf(regcred.Unavailable, "no server: start one with 'regcred serve', or set REGCRED_SERVER and REGCRED_TOKEN, or REGCRED_DATA_DIR to where the local one keeps its files (looked for %s)", socket)
	}
	return client.NewLocal(socket), nil
}

// token returns the API token that goes with connect's server: REGCRED_TOKEN, or
// the local server's admin token.
func (p *Program) token() (regcred.Secret, error) {
	if p.Getenv("REGCRED_SERVER") != "" {
		return regcred.NewSecret(p.Getenv("REGCRED_TOKEN")), nil
	}
	data, err := os.ReadFile(filepath.Join(p.dataDir(), server.AdminTokenName))
	if err != nil {
		return regcred.Secret{}, regcred.Errorf(regcred.Unavailable, "cannot read the local server's admin token: %w", err)
	}
	return regcred.NewSecret(strings.TrimSpace(string(data))), nil
}
