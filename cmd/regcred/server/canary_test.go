package server_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"regcred.dev"
	"regcred.dev/api"
	"regcred.dev/client"
	"regcred.dev/cmd/regcred/server"
	"regcred.dev/config"
	"regcred.dev/imageref"
	"regcred.dev/keyring"
	"regcred.dev/regcredtest"
)

// sweep has one unique value for each secret of a server, and all that the server
// said.
type sweep struct {
	t       *testing.T
	secrets map[string]string // by what it is
	said    map[string]string // by who said it
}

// check reports every secret that was said, in any of its encodings.
func (s *sweep) check() {
	s.t.Helper()
	for _, where := range slices.Sorted(maps.Keys(s.said)) {
		for what, secret := range s.secrets {
			if forms := regcredtest.Leaks([]byte(s.said[where]), secret); len(forms) > 0 {
				s.t.Errorf("%s shows %s (%v)", where, what, forms)
			}
		}
	}
}

// TestNoSecretIsSaid sends secrets through every route, good requests and bad
// ones, and looks for them in every answer, the log at its most talkative, the
// metrics and the files.
func TestNoSecretIsSaid(t *testing.T) {
	s := &sweep{t: t, secrets: map[string]string{}, said: map[string]string{}}
	canary := func(what string) string {
		s.secrets[what] = fmt.Sprintf("canary-%02d-%x/+", len(s.secrets), what)
		return s.secrets[what]
	}
	file := filepath.Join(t.TempDir(), "docker", "config.json")
	r, stop := start(t, sweptConfig(t, file, canary))
	guid := r.create("registry.example.com", regcred.Foundation, canary("a stored password")).GUID
	minted, err := r.local.CreateCredential(t.Context(), client.CreateRequest{
		Location: strings.TrimPrefix(r.url, "http://"), Provider: "regcred", Settings: map[string]string{"repositories": "*"},
	})
	if err != nil {
		t.Fatal(err)
	}
	tok, err := r.local.CreateToken(t.Context(), client.TokenRequest{Name: "t", Role: "target"})
	if err != nil {
		t.Fatal(err)
	}
	s.secrets["an API token"] = tok.Secret
	for _, name := range []string{server.AdminTokenName, "seal.key"} {
		data, err := os.ReadFile(filepath.Join(r.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		s.secrets[name] = strings.TrimSuffix(string(data), "\n")
	}
	r.eventually(func() error { _, err := os.Stat(file); return err })

	create := func(where string) string {
		return `{"location": "` + where + `", "username": "u", "password": "` + canary("a password sent to "+where) + `"`
	}
	asked := map[string]bool{}
	requests := map[string][3]string{
		"create":                {"POST", "/v3/registry_credentials", create("a.example.com") + "}"},
		"create, bad location":  {"POST", "/v3/registry_credentials", create("http://b.example.com") + "}"},
		"create, place taken":   {"POST", "/v3/registry_credentials", create("registry.example.com") + "}"},
		"create, unknown field": {"POST", "/v3/registry_credentials", create("c.example.com") + `, "colour": 1}`},
		"create, cut short":     {"POST", "/v3/registry_credentials", create("d.example.com")},
		"create, bad type":      {"POST", "/v3/registry_credentials", `{"location": ["` + canary("a password in the wrong place") + `"]}`},
		"create, bad provider":  {"POST", "/v3/registry_credentials", `{"location": "e.example.com", "provider": "regcred", "settings": {"repositories": "*", "password": "` + canary("an unknown setting") + `"}}`},
		"create, for an app":    {"POST", "/regcred/v1/app_registry_credentials", create("f.example.com") + `, "relationships": {"organization": {"data": {"guid": "o"}}, "space": {"data": {"guid": "s"}}, "app": {"data": {"guid": "a"}}}}`},
		"update":                {"PATCH", "/v3/registry_credentials/" + guid, `{"password": "` + canary("an updated password") + `"}`},
		"update, declared":      {"PATCH", "/v3/registry_credentials/none", `{"password": "` + canary("a refused password") + `"}`},
		"get":                   {"GET", "/v3/registry_credentials/" + guid, ""},
		"list":                  {"GET", "/v3/registry_credentials", ""},
		"refresh":               {"POST", "/regcred/v1/registry_credentials/" + minted.GUID + "/actions/refresh", ""},
		"refresh, revoke":       {"POST", "/regcred/v1/registry_credentials/" + minted.GUID + "/actions/refresh?revoke=true", ""},
		"check":                 {"POST", "/regcred/v1/registry_credentials/" + minted.GUID + "/actions/check?repository=acme/app", ""},
		"check, unreachable":    {"POST", "/regcred/v1/registry_credentials/" + guid + "/actions/check", ""},
		"update, checked":       {"PATCH", "/v3/registry_credentials/" + guid + "?check=true", `{"password": "` + canary("a checked password") + `"}`},
		"providers":             {"GET", "/regcred/v1/providers", ""},
		"profiles":              {"GET", "/regcred/v1/profiles", ""},
		"provider":              {"GET", "/regcred/v1/providers/ecr", ""},
		"create, key":           {"POST", "/v3/registry_credentials", `{"location": "eu.gcr.io", "provider": "google", "settings": {"key": "` + canary("a key that is none") + `"}}`},
		"create, ecr":           {"POST", "/v3/registry_credentials", `{"location": "123456789012.dkr.ecr.eu-west-1.amazonaws.com", "provider": "ecr", "settings": {"access-key-id": "AKIAIOSFODNN7EXAMPLE", "secret-access-key": "` + canary("a secret access key") + `"}}`},
		"create, azure":         {"POST", "/v3/registry_credentials", `{"location": "acme.azurecr.io", "provider": "azure", "settings": {"tenant-id": "11111111-1111-1111-1111-111111111111", "client-id": "22222222-2222-2222-2222-222222222222", "client-secret": "` + canary("a client secret") + `"}}`},
		"create, github":        {"POST", "/v3/registry_credentials", `{"provider": "github", "settings": {"app-id": "1", "installation-id": "2", "private-key": "` + canary("a private key that is none") + `"}}`},
		"create, reference":     {"POST", "/v3/registry_credentials", `{"provider": "github", "settings": {"app-id": "1", "installation-id": "2", "private-key": "env:` + canary("a secret that looks like a reference") + `"}}`},
		"resolve":               {"GET", "/regcred/v1/resolve?image=registry.example.com/x", ""},
		"status":                {"GET", "/regcred/v1/status", ""},
		"confirm":               {"POST", "/regcred/v1/targets/actions/confirm?name=none", ""},
		"tokens":                {"GET", "/regcred/v1/tokens", ""},
		"audit":                 {"GET", "/regcred/v1/audit?per_page=5000", ""},
		"token, bad repository": {"POST", "/regcred/v1/tokens", `{"name": "x", "role": "puller", "repositories": ["x*"]}`},
		"token, bad role":       {"POST", "/regcred/v1/tokens", `{"name": "x", "role": "x"}`},
		"delete token":          {"DELETE", "/regcred/v1/tokens/none", ""},
		"metrics":               {"GET", "/metrics", ""},
		"ready":                 {"GET", "/readyz", ""},
		"registry":              {"GET", "/v2/", ""},
		"registry, blob":        {"GET", "/v2/acme/app/blobs/sha256:" + strings.Repeat("0", 64), ""},
		"delete":                {"DELETE", "/v3/registry_credentials/" + guid, ""},
	}
	maps.Copy(requests, upkeepRequests())
	for name, request := range requests {
		_, s.said[name] = r.doAdmin(request[0], request[1], request[2])
		asked[patternOf(request[0], request[1])] = true
	}
	// These release secrets: only what the log says of them is looked at.
	for _, release := range [][4]string{
		{"GET", "/regcred/v1/docker_config", "", "auth"},
		{"POST", "/regcred/v1/kubelet/login", `{"image": "declared.example.com/x"}`, "password"},
	} {
		if status, body := r.doAdmin(release[0], release[1], release[2]); status != http.StatusOK || !strings.Contains(body, release[3]) {
			t.Errorf("%s: %d %s", release[1], status, body)
		}
		asked[patternOf(release[0], release[1])] = true
	}
	s.checkRoutes(asked)
	r.eventually(func() (err error) {
		s.secrets["a delivered login"], err = secretOf(file, strings.TrimPrefix(r.url, "http://"))
		return err
	})
	stop()
	s.said["the log"] = r.log.String()
	s.readFiles(r.dir)
	s.check()
}

// sweptConfig returns a configuration with secrets, which delivers to a file.
func sweptConfig(t *testing.T, file string, canary func(what string) string) config.Config {
	cfg := config.Default()
	cfg.Credentials = []config.Credential{{
		Location: parseLocation(t, "declared.example.com"), Spelling: "declared.example.com", Provider: "static",
		Username: "u", Password: regcred.NewSecret(canary("a declared password")),
	}}
	cfg.Profiles = []config.Profile{{
		Name: "x", Provider: "ecr", Location: parseLocation(t, "123456789012.dkr.ecr.eu-west-1.amazonaws.com"), Grants: []regcred.Scope{{}},
		Settings: map[string]string{"access-key-id": "AKIAIOSFODNN7EXAMPLE"}, References: map[string]regcred.Secret{"secret-access-key": regcred.NewSecret(canary("a profile's key"))},
	}}
	cfg.Targets = []config.Target{{Name: "file", DockerConfig: &config.DockerConfig{Paths: []string{file}, For: keyring.Docker}}}
	return cfg
}

// upkeepRequests are those of the registry's upkeep, by their paths.
func upkeepRequests() map[string][3]string {
	requests := map[string][3]string{}
	for _, r := range upkeepRoutes {
		requests[r.path] = [3]string{r.method, r.path, r.body}
	}
	return requests
}

// checkRoutes reports routes that were never asked.
func (s *sweep) checkRoutes(asked map[string]bool) {
	for _, pattern := range api.Routes() {
		if !asked[pattern] {
			s.t.Errorf("the sweep does not cover %s", pattern)
		}
	}
}

// readFiles reads what the server keeps: all but the two files whose very purpose
// is to hold a secret.
func (s *sweep) readFiles(dir string) {
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || d.Name() == server.AdminTokenName || d.Name() == "seal.key" {
			return err
		}
		data, err := os.ReadFile(path)
		s.said["the file "+d.Name()] = string(data)
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

func parseLocation(t *testing.T, s string) imageref.Location {
	t.Helper()
	l, err := imageref.ParseLocation(s)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// secretOf returns the password that a docker config file has for a host.
func secretOf(file, host string) (string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	var config struct {
		Auths map[string]struct{ Auth []byte }
	}
	if err := json.Unmarshal(data, &config); err != nil {
		return "", err
	}
	_, password, ok := strings.Cut(string(config.Auths[host].Auth), ":")
	if !ok {
		return "", fmt.Errorf("no login for %s was delivered", host)
	}
	return password, nil
}
