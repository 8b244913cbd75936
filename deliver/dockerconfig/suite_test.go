package dockerconfig_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"regcred.dev/deliver"
	"regcred.dev/deliver/dockerconfig"
	"regcred.dev/keyring"
	"regcred.dev/regcredtest"
)

func TestTarget(t *testing.T) {
	for _, dialect := range []keyring.Dialect{keyring.Docker, keyring.Containers, keyring.Kubelet} {
		t.Run(string(dialect), func(t *testing.T) {
			regcredtest.TestTarget(t, func(t *testing.T) regcredtest.TargetSystem {
				path := filepath.Join(t.TempDir(), "docker", "config.json")
				return regcredtest.TargetSystem{
					New: func(*testing.T) deliver.Target {
						return dockerconfig.New(dockerconfig.Options{
							Name: "test", Paths: []string{path}, Scope: regcredtest.TargetScope, Dialect: dialect,
						})
					},
					Logins: func(t *testing.T) map[string]string { return readLogins(t, path) },
					Put:    func(t *testing.T, host, login string) { putLogin(t, path, host, login) },
				}
			})
		})
	}
}

// readLogins returns the logins of a docker config file, "username:password" by key,
// without those for subdomains. One that does not exist has none.
func readLogins(t *testing.T, path string) map[string]string {
	t.Helper()
	var file struct {
		Auths map[string]struct{ Auth string }
	}
	decode(t, path, &file)
	logins := map[string]string{}
	for key, entry := range file.Auths {
		login, err := base64.StdEncoding.DecodeString(entry.Auth)
		if err != nil {
			t.Fatalf("%s: the entry %q has %q, which is not base64", path, key, entry.Auth)
		}
		if len(login) > 0 && !strings.HasPrefix(key, "*.") {
			logins[key] = string(login)
		}
	}
	return logins
}

// putLogin does what docker login and logout do: read, change, and rename over.
func putLogin(t *testing.T, path, key, login string) {
	t.Helper()
	file := map[string]any{}
	decode(t, path, &file)
	auths, _ := file["auths"].(map[string]any)
	if auths == nil {
		auths = map[string]any{}
	}
	file["auths"] = auths
	if login == "" {
		delete(auths, key)
	} else {
		auths[key] = map[string]any{"auth": base64.StdEncoding.EncodeToString([]byte(login))}
	}
	data, err := json.MarshalIndent(file, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	renameOver(t, path, data)
}

// renameOver replaces a file as docker and careful editors do.
func renameOver(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	temp := path + ".stranger"
	if err := os.WriteFile(temp, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(temp, path); err != nil {
		t.Fatal(err)
	}
}

// decode reads a JSON file into v, if it exists.
func decode(t *testing.T, path string, v any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatalf("%s is not valid: %v\n%s", path, err, data)
	}
}
