//go:build unix

package exec_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/imageref"
	"regcred.dev/provider/exec"
	"regcred.dev/regcredtest"
)

// credential returns one that a helper is run for.
func credential(t *testing.T, location, helper string, set ...string) regcred.Credential {
	t.Helper()
	c := regcred.Credential{GUID: "guid-1", Provider: exec.Name, Settings: map[string]string{"helper": helper}}
	if err := c.Location.UnmarshalText([]byte(location)); err != nil {
		t.Fatal(err)
	}
	for _, s := range set {
		key, value, _ := strings.Cut(s, "=")
		c.Settings[key] = value
	}
	return c
}

func newProvider(t *testing.T) *exec.Provider {
	t.Helper()
	return exec.New(exec.Options{Dirs: []string{"relative", filepath.Join(t.TempDir(), "missing"), directory(t)}})
}

func TestProvider(t *testing.T) {
	set := func(name, value string) regcredtest.InvalidChange {
		return regcredtest.InvalidChange{Names: name, Change: func(c *regcred.Credential) { c.Settings[name] = value }}
	}
	regcredtest.TestProvider(t, regcredtest.ProviderSetup{
		New:        func(t *testing.T) regcred.Provider { return newProvider(t) },
		Credential: credential(t, "registry.example.com/acme", "plain", "lifetime=2h"),
		Invalid: map[string]regcredtest.InvalidChange{
			"a helper by a relative path":       set("helper", "./docker-credential-x"),
			"a helper by a path with dots":      set("helper", "/usr/bin/../docker-credential-x"),
			"a helper that is a parent":         set("helper", ".."),
			"a helper with arguments":           set("helper", "x get; rm -rf /"),
			"a helper in upper case":            set("helper", "Plain"),
			"a helper without a name":           set("helper", ""),
			"a helper with a line break":        set("helper", "plain\n"),
			"a program that is no helper":       set("helper", "/bin/sh"),
			"a path without a name":             set("helper", "/usr/bin/docker-credential-"),
			"a path with a NUL byte":            set("helper", "/usr/bin\x00/docker-credential-x"),
			"a path with a slash at its end":    set("helper", "/usr/bin/docker-credential-x/"),
			"a server URL with a line break":    set("server-url", "registry.example.com\nevil.example.com"),
			"a server URL with a CR":            set("server-url", "registry.example.com\r"),
			"a server URL with a user":          set("server-url", "https://user@registry.example.com"),
			"a server URL with a query":         set("server-url", "https://registry.example.com?q"),
			"a server URL of another protocol":  set("server-url", "ftp://registry.example.com"),
			"a server URL without a host":       set("server-url", "https:///v1/"),
			"a server URL that is empty":        set("server-url", ""),
			"a long server URL":                 set("server-url", "registry.example.com/"+strings.Repeat("x", 5000)),
			"a variable with a value":           set("env", "HOME=/evil"),
			"a variable with a line break":      set("env", "HOME\nX"),
			"an empty variable":                 set("env", "A,,B"),
			"a lifetime without a unit":         set("lifetime", "60"),
			"a lifetime that is too short":      set("lifetime", "59s"),
			"a lifetime that is too long":       set("lifetime", "9000h"),
			"a negative lifetime":               set("lifetime", "-1h"),
			"a timeout of no time":              set("timeout", "0s"),
			"a timeout that is too long":        set("timeout", "6m"),
			"a username":                        {Names: "username", Change: func(c *regcred.Credential) { c.Username = "user" }},
			"a location and server-url missing": {Names: "server-url", Change: func(c *regcred.Credential) { c.Location = imageref.Location{} }},
			"a server URL that is a shared domain": {Names: "server-url", Change: func(c *regcred.Credential) {
				c.Location = imageref.Location{}
				c.Settings["server-url"] = "azurecr.io"
			}},
		},
		Unique:   true,
		Lifetime: 2 * time.Hour,
	})
}

// TestFields: nobody but an admin decides which programs run.
func TestFields(t *testing.T) {
	p := exec.New(exec.Options{})
	for _, f := range p.Describe().Fields {
		if !f.Admin {
			t.Errorf("%s: who is no admin could set it", f.Name)
		}
	}
}

func TestUses(t *testing.T) {
	p := exec.New(exec.Options{})
	want := []string{`the setting "helper"`, `the setting "env"`, "the program docker-credential-gcr on the server"}
	if diff := cmp.Diff(want, p.Uses(credential(t, "gcr.io", "/opt/docker-credential-gcr", "env=A"))); diff != "" {
		t.Error(diff)
	}
	if got := p.Issuer(credential(t, "docker.io", "gcr")); got != "docker-credential-gcr https://index.docker.io/v1/" {
		t.Errorf("the issuer is %q", got)
	}
}

// TestAsked shows what helpers are asked for, and what their logins are for.
func TestAsked(t *testing.T) {
	p := newProvider(t)
	for _, test := range []struct{ location, serverURL, asked, host string }{
		{"registry.example.com", "", "registry.example.com", "registry.example.com"},
		{"registry.example.com:5000/acme/app", "", "registry.example.com:5000", "registry.example.com:5000"},
		{"docker.io", "", "https://index.docker.io/v1/", "docker.io"},
		{"docker.io/acme", "", "https://index.docker.io/v1/", "docker.io"},
		{"docker.io", "index.docker.io", "index.docker.io", "docker.io"},
		{"gcr.io", "https://gcr.io", "https://gcr.io", "gcr.io"},
		{"proxy.example.com", "123456789012.dkr.ecr.us-east-1.amazonaws.com", "123456789012.dkr.ecr.us-east-1.amazonaws.com", "proxy.example.com"},
		{"", "https://Registry.example.com:443/v2/", "https://Registry.example.com:443/v2/", "registry.example.com"},
		{"", "https://index.docker.io/v1/", "https://index.docker.io/v1/", "docker.io"},
		{"registry.example.com", "https://registry.example.com/$(id)'`id`;", "https://registry.example.com/$(id)'`id`;", "registry.example.com"},
	} {
		c := credential(t, test.location, "library", "lifetime=3h")
		if test.serverURL != "" {
			c.Settings["server-url"] = test.serverURL
		}
		before := time.Now()
		login, err := p.Mint(t.Context(), c)
		if err != nil {
			t.Errorf("%s %s: %v", test.location, test.serverURL, err)
			continue
		}
		if got := login.Password.Reveal(); login.Username != "user" || got != canary+" for "+test.asked {
			t.Errorf("%s %s: the login is %s, %s", test.location, test.serverURL, login.Username, got)
		}
		if diff := cmp.Diff([]string{test.host}, login.Hosts); diff != "" {
			t.Error(diff)
		}
		if login.ExpiresAt.Before(before.Add(3*time.Hour)) || login.ExpiresAt.After(time.Now().Add(3*time.Hour)) {
			t.Errorf("%s: it expires at %s", test.location, login.ExpiresAt)
		}
	}
}

// TestRefused has helpers that give nothing that can be used. No error shows what
// they wrote.
func TestRefused(t *testing.T) {
	p := newProvider(t)
	for _, test := range []struct {
		helper, location string
		code             regcred.Code
		want             string
	}{
		{"library", "none.example.com", regcred.Denied, "it has no login for this server"},
		{"library", "broken.example.com", regcred.Unavailable, "run printf %s 'broken.example.com' | docker-credential-library get"},
		{"empty", "", regcred.Unavailable, "no JSON object"},
		{"garbage", "", regcred.Unavailable, "no JSON object"},
		{"token", "", regcred.Invalid, "an identity token"},
		{"other", "", regcred.Unavailable, "for another server than registry.example.com"},
		{"huge", "", regcred.Unavailable, "wrote more than 64 KiB"},
		{"leaky", "", regcred.Unavailable, "it ended with exit status 3; what it said is not shown"},
		{"silent", "", regcred.Unavailable, "it ended with exit status 1; said nothing"},
		{"crash", "", regcred.Unavailable, "it ended with signal: killed"},
		{"denied", "", regcred.Denied, "its cloud does not let it"},
		{"throttled", "", regcred.Throttled, "asked less often"},
		{"locked", "", regcred.Unavailable, "could not decrypt"},
		{"missing", "", regcred.Invalid, "there is no program docker-credential-missing in "},
		{"/docker-credential-missing", "", regcred.Invalid, "cannot use the program /docker-credential-missing: no such file"},
	} {
		t.Run(test.helper, func(t *testing.T) {
			if test.location == "" {
				test.location = "registry.example.com"
			}
			login, err := p.Mint(t.Context(), credential(t, test.location, test.helper))
			if err == nil {
				t.Fatalf("it gave %v", login)
			}
			if regcred.CodeOf(err) != test.code || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %s: %v; want %s: %s", regcred.CodeOf(err), err, test.code, test.want)
			}
			if found := regcredtest.Leaks([]byte(err.Error()), canary); found != nil {
				t.Errorf("the error shows a secret: %v: %v", err, found)
			}
		})
	}
}

// TestVerbose: what a helper writes beside its answer is bounded, and no failure.
func TestVerbose(t *testing.T) {
	login, err := newProvider(t).Mint(t.Context(), credential(t, "registry.example.com", "verbose"))
	if err != nil || login.Password.Reveal() != canary {
		t.Errorf("it gave %v, %v", login, err)
	}
}

// TestEnvironment shows that a helper sees nothing of the server but what it must.
func TestEnvironment(t *testing.T) {
	p := newProvider(t)
	t.Setenv("PATH", "/usr/bin::relative:.:/bin")
	t.Setenv("HOME", "/home/of/server")
	t.Setenv("AWS_PROFILE", "two\nlines")
	t.Setenv("REGCRED_TOKEN", canary)
	t.Setenv("LD_PRELOAD_NOT", "x")
	for env, want := range map[string][]string{
		"":                         {"HOME=/home/of/server", "PATH=/usr/bin:/bin"},
		"AWS_PROFILE, HOME, UNSET": {"AWS_PROFILE=two", "lines", "HOME=/home/of/server", "PATH=/usr/bin:/bin"},
	} {
		c := credential(t, "registry.example.com", "env")
		if env != "" {
			c.Settings["env"] = env
		}
		login, err := p.Mint(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, strings.Split(login.Password.Reveal(), "\n")); diff != "" {
			t.Errorf("env=%s: %s", env, diff)
		}
	}
	login, err := p.Mint(t.Context(), credential(t, "registry.example.com", "where"))
	if err != nil || login.Password.Reveal() != "get /" {
		t.Errorf("its arguments and directory are %s, %v", login.Password.Reveal(), err)
	}
}

// TestJWT: a secret that ends before the credential's lifetime says so itself.
func TestJWT(t *testing.T) {
	p := newProvider(t)
	for lifetime, want := range map[string]time.Duration{"1m": time.Minute, "1h": jwtLifetime, "12h": jwtLifetime} {
		before := time.Now()
		login, err := p.Mint(t.Context(), credential(t, "registry.example.com", "jwt", "lifetime="+lifetime))
		if err != nil {
			t.Fatal(err)
		}
		const rounding = time.Second
		if login.ExpiresAt.Before(before.Add(want-rounding)) || login.ExpiresAt.After(time.Now().Add(want)) {
			t.Errorf("lifetime=%s: it expires at %s, want %s from now", lifetime, login.ExpiresAt, want)
		}
	}
}

// TestWritable has programs that somebody else could change.
func TestWritable(t *testing.T) {
	p := exec.New(exec.Options{})
	for _, test := range []struct {
		name     string
		dir, sub os.FileMode
		file     os.FileMode
		want     string
	}{
		{"fine", 0o755, 0o755, 0o755, ""},
		{"a group's", 0o775, 0o775, 0o775, ""},
		{"the file", 0o755, 0o755, 0o757, "anybody may write to it"},
		{"its directory", 0o755, 0o777, 0o755, "anybody may write to the directory"},
		{"its sticky directory", 0o755, os.ModeSticky | 0o777, 0o755, "anybody may write to the directory"},
		{"a directory above", 0o777, 0o755, 0o755, "anybody may write to the directory"},
		{"a sticky directory above", os.ModeSticky | 0o777, 0o755, 0o755, ""},
		{"no program", 0o755, 0o755, 0o644, "not an executable file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "sub", "docker-credential-x")
			mustDo(t, os.Mkdir(filepath.Dir(file), 0o700))
			mustDo(t, os.WriteFile(file, []byte("#!/bin/sh\necho '{\"Username\":\"user\",\"Secret\":\"s\"}'\n"), 0o600))
			mustDo(t, os.Chmod(file, test.file))
			mustDo(t, os.Chmod(filepath.Dir(file), test.sub))
			mustDo(t, os.Chmod(dir, test.dir))
			link := filepath.Join(t.TempDir(), "docker-credential-link")
			mustDo(t, os.Symlink(file, link))
			for _, path := range []string{file, link} {
				_, err := p.Mint(t.Context(), credential(t, "registry.example.com", path))
				if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
					t.Errorf("%s: %v, want %q", filepath.Base(path), err, test.want)
				}
			}
		})
	}
}

func mustDo(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestDefaultDirs: helpers are looked for where packages install them.
func TestDefaultDirs(t *testing.T) {
	for _, dir := range exec.DefaultDirs() {
		if !filepath.IsAbs(dir) {
			t.Errorf("%s is not absolute", dir)
		}
	}
	_, err := exec.New(exec.Options{}).Mint(t.Context(), credential(t, "registry.example.com", "is-nowhere"))
	if err == nil || !slices.ContainsFunc(exec.DefaultDirs(), func(dir string) bool { return strings.Contains(err.Error(), dir) }) {
		t.Errorf("it says %v", err)
	}
}
