package google_test

import (
	"encoding/base64"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/imageref"
	"regcred.dev/provider/google"
	"regcred.dev/regcredtest"
	"regcred.dev/regcredtest/fakegoogle"
)

const (
	puller   = "puller@project.iam.gserviceaccount.com"
	middle   = "middle@project.iam.gserviceaccount.com"
	target   = "target@project.iam.gserviceaccount.com"
	machine  = "vm@project.iam.gserviceaccount.com"
	location = "us-docker.pkg.dev/project/repository"
)

// world is a fake Google, and a provider that reaches it in the same process.
type world struct {
	*testing.T

	google    *fakegoogle.Server
	transport regcredtest.HandlerTransport
	provider  *google.Provider
	key       fakegoogle.KeyFile // of puller
}

func newWorld(t *testing.T, o fakegoogle.Options) *world {
	t.Helper()
	noAmbient(t)
	s := fakegoogle.New(o)
	transport := regcredtest.HandlerTransport{}
	for _, host := range []string{
		fakegoogle.TokenHost, fakegoogle.OldTokenHost, fakegoogle.STSHost, fakegoogle.IAMCredentialsHost, fakegoogle.MetadataHost,
	} {
		transport[host] = s
	}
	return &world{T: t, google: s, transport: transport, provider: google.New(google.Options{Transport: transport}), key: s.NewKey(puller)}
}

// noAmbient takes away what this machine may have of Google.
func noAmbient(t *testing.T) {
	t.Helper()
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "")
	t.Setenv("CLOUDSDK_CONFIG", t.TempDir())
	t.Setenv("GCE_METADATA_HOST", "")
}

// credential returns one at the location, with settings as name and value in turn.
func credential(at string, settings ...string) regcred.Credential {
	c := regcred.Credential{GUID: "guid", Provider: google.Name, Settings: map[string]string{}, Secrets: map[string]regcred.Secret{}}
	if at != "" {
		var err error
		if c.Location, err = imageref.ParseLocation(at); err != nil {
			panic(err)
		}
	}
	for i := 0; i < len(settings); i += 2 {
		if settings[i] == "key" {
			c.Secrets["key"] = regcred.NewSecret(settings[i+1])
		} else {
			c.Settings[settings[i]] = settings[i+1]
		}
	}
	return c
}

// keyed is a credential of the puller's key.
func (w *world) keyed(settings ...string) regcred.Credential {
	return credential(location, append([]string{"key", w.key.JSON()}, settings...)...)
}

// mint checks whom the login is for, and with which scope.
func (w *world) mint(c regcred.Credential, principal, scope string) regcred.Login {
	w.Helper()
	l, err := w.provider.Mint(w.Context(), c)
	if err != nil {
		w.Fatal(err)
	}
	who, scopes := w.google.Principal(l.Password.Reveal())
	if who != principal || len(scopes) != 1 || scopes[0] != scope {
		w.Errorf("the login is of %s with %v, want %s with %s", who, scopes, principal, scope)
	}
	if l.Username != "oauth2accesstoken" {
		w.Errorf("its username is %q", l.Username)
	}
	return l
}

// fails checks how a mint fails, and what the error says, and returns that.
func (w *world) fails(c regcred.Credential, code regcred.Code, says ...string) string {
	w.Helper()
	l, err := w.provider.Mint(w.Context(), c)
	if err == nil {
		w.Fatalf("a mint that should fail gives a login until %s", l.ExpiresAt)
	}
	if regcred.CodeOf(err) != code {
		w.Errorf("the error is %s, want %s: %v", regcred.CodeOf(err), code, err)
	}
	for _, text := range says {
		if !strings.Contains(err.Error(), text) {
			w.Errorf("the error does not say %q: %v", text, err)
		}
	}
	return err.Error()
}

// run runs a part of a test in the same world.
func (w *world) run(name string, test func(w *world)) {
	w.Helper()
	w.Run(name, func(t *testing.T) {
		part := *w
		part.T = t
		test(&part)
	})
}

// bubble runs a part of a test on simulated time, from 2000-01-01T00:00:00Z on.
func (w *world) bubble(test func(w *world)) {
	w.Helper()
	synctest.Test(w.T, func(t *testing.T) {
		part := *w
		part.T = t
		test(&part)
	})
}

// file writes a credentials file, and returns its path.
func file(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "google.json")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestSuite(t *testing.T) {
	w := newWorld(t, fakegoogle.Options{})
	set := func(name, value string) func(*regcred.Credential) {
		return func(c *regcred.Credential) { c.Settings[name] = value }
	}
	setKey := func(key string) func(*regcred.Credential) {
		return func(c *regcred.Credential) { c.Secrets["key"] = regcred.NewSecret(key) }
	}
	alone := func(name, value string) func(*regcred.Credential) {
		return func(c *regcred.Credential) { c.Secrets, c.Settings[name] = nil, value }
	}
	change := func(names string, change func(*regcred.Credential)) regcredtest.InvalidChange {
		return regcredtest.InvalidChange{Change: change, Names: names}
	}
	regcredtest.TestProvider(t, regcredtest.ProviderSetup{
		New:        func(*testing.T) regcred.Provider { return w.provider },
		Credential: w.keyed(),
		Invalid: map[string]regcredtest.InvalidChange{
			"push is no boolean":      change("push", set("push", "perhaps")),
			"impersonate nobody":      change("impersonate", set("impersonate", "somebody")),
			"impersonate with a path": change("impersonate", set("impersonate", "a/../b@example.com")),
			"impersonate a hole":      change("impersonate", set("impersonate", target+",,"+middle)),
			"endpoint is no URL":      change("endpoint", set("endpoint", "oauth2.googleapis.com")),
			"endpoint without TLS":    change("endpoint", set("endpoint", "http://oauth2.googleapis.com/token")),
			"ca is no certificate":    change("ca", set("ca", "certificate")),
			"host is no host":         change("host", set("host", "registry")),
			"two identities":          change("credentials-file", set("credentials-file", "/etc/google.json")),
			"file not absolute":       change("credentials-file", alone("credentials-file", "google.json")),
			"federation is no JSON":   change("federation", alone("federation", "federation")),
			"federation is a key":     change("federation", alone("federation", w.key.JSON())),
			"endpoint of the machine": change("endpoint", alone("endpoint", "https://example.com")),
			"key is garbage":          change("key", setKey("not a key of any kind")),
			"key is cut":              change("key", setKey(w.key.JSON()[:500])),
			"no location":             change("location", func(c *regcred.Credential) { c.Location = imageref.Location{} }),
			"other location":          change("host=quay.io", func(c *regcred.Credential) { c.Location = credential("quay.io").Location }),
			"username":                change("username", func(c *regcred.Credential) { c.Username = "somebody" }),
		},
		Unique:   true,
		Lifetime: fakegoogle.Lifetime,
	})
}

// TestKey mints from a key in each form that users have it in.
func TestKey(t *testing.T) {
	w := newWorld(t, fakegoogle.Options{})
	text := w.key.JSON()
	encoded := base64.StdEncoding.EncodeToString([]byte(text))
	old := w.key
	old.TokenURI = "https://accounts.google.com/o/oauth2/token"
	without := w.key
	without.TokenURI = ""
	for name, key := range map[string]string{
		"raw":              text,
		"spaces around":    "\ufeff\n " + text + "\n",
		"base64":           encoded,
		"base64 unpadded":  strings.TrimRight(encoded, "="),
		"base64 of an URL": base64.URLEncoding.EncodeToString([]byte(text)),
		"base64 in lines":  encoded[:76] + "\n" + encoded[76:152] + "\r\n" + encoded[152:] + "\n",
		"old endpoint":     old.JSON(),
		"no endpoint":      without.JSON(),
	} {
		w.run(name, func(w *world) {
			l := w.mint(credential(location, "key", key), puller, fakegoogle.ScopeReadOnly)
			if diff := cmp.Diff([]string{"us-docker.pkg.dev"}, l.Hosts); diff != "" {
				w.Error(diff)
			}
			if !l.RenewableAt.IsZero() {
				w.Errorf("it can be renewed from %s on, want at any time", l.RenewableAt)
			}
		})
	}
	w.mint(w.keyed("push", "true"), puller, fakegoogle.ScopeCloud)
}

// TestRegistryTakesIt shows that a login is what a registry asks for.
func TestRegistryTakesIt(t *testing.T) {
	w := newWorld(t, fakegoogle.Options{})
	l := w.mint(w.keyed(), puller, fakegoogle.ScopeReadOnly)
	w.transport["us-docker.pkg.dev"] = w.google
	for password, want := range map[string]int{l.Password.Reveal(): http.StatusOK, "other": http.StatusUnauthorized} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://us-docker.pkg.dev/v2/", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth(l.Username, password)
		resp, err := w.transport.RoundTrip(req)
		if err != nil || resp.StatusCode != want {
			t.Errorf("the registry answers %v, %v, want %d", resp.StatusCode, err, want)
		}
	}
}

// TestFile shows that a credentials file is read at each mint.
func TestFile(t *testing.T) {
	w := newWorld(t, fakegoogle.Options{})
	name := file(t, w.key.JSON())
	c := credential(location, "credentials-file", name)
	w.mint(c, puller, fakegoogle.ScopeReadOnly)
	if err := os.WriteFile(name, []byte(w.google.NewKey(middle).JSON()), 0o600); err != nil {
		t.Fatal(err)
	}
	w.mint(c, middle, fakegoogle.ScopeReadOnly)
	if err := os.WriteFile(name, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.fails(c, regcred.Invalid, name)
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	w.fails(c, regcred.Unavailable, name, "no such file")
	// A device, like a pipe that nobody writes to, could be read for ever.
	w.fails(credential(location, "credentials-file", os.DevNull), regcred.Unavailable, os.DevNull, "no regular file")
}

// userFile is what gcloud auth application-default login writes.
const userFile = `{
  "account": "",
  "client_id": "764086051850.apps.googleusercontent.com",
  "client_secret": "d-canary-client-secret",
  "refresh_token": "1//canary-refresh-token",
  "type": "authorized_user",
  "universe_domain": "googleapis.com"
}`

func (w *world) addUser() {
	w.google.AddUser(fakegoogle.User{
		Email: "user@example.com", ClientID: "764086051850.apps.googleusercontent.com",
		ClientSecret: "d-canary-client-secret", RefreshToken: "1//canary-refresh-token",
	})
}

func TestUser(t *testing.T) {
	w := newWorld(t, fakegoogle.Options{})
	c := credential(location, "credentials-file", file(t, userFile))
	w.fails(c, regcred.Denied, "expired or revoked", "gcloud auth application-default login")
	w.addUser()
	w.mint(c, "user@example.com", fakegoogle.ScopeCloud)
	wrong := strings.Replace(userFile, "d-canary-client-secret", "d-other-client-secret", 1)
	w.fails(credential(location, "credentials-file", file(t, wrong)), regcred.Denied, "OAuth client")
	w.fails(credential(location, "credentials-file", file(t, `{"type":"authorized_user"}`)), regcred.Invalid, "client_id")
}

// TestAmbient walks through what the server's environment may bring, the first
// place last.
func TestAmbient(t *testing.T) {
	w := newWorld(t, fakegoogle.Options{Machine: machine})
	w.addUser()
	c := credential(location)
	w.mint(c, machine, fakegoogle.ScopeReadOnly)

	gcloud := t.TempDir()
	t.Setenv("CLOUDSDK_CONFIG", gcloud)
	if err := os.WriteFile(filepath.Join(gcloud, "application_default_credentials.json"), []byte(userFile), 0o600); err != nil {
		t.Fatal(err)
	}
	w.mint(c, "user@example.com", fakegoogle.ScopeCloud)

	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", file(t, w.key.JSON()))
	w.mint(c, puller, fakegoogle.ScopeReadOnly)
}

// TestGcloudFile finds gcloud's file in the home directory.
func TestGcloudFile(t *testing.T) {
	w := newWorld(t, fakegoogle.Options{})
	home := t.TempDir()
	t.Setenv("CLOUDSDK_CONFIG", "")
	t.Setenv("HOME", home)
	dir := filepath.Join(home, ".config", "gcloud")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "application_default_credentials.json"), []byte(w.key.JSON()), 0o600); err != nil {
		t.Fatal(err)
	}
	w.mint(credential(location), puller, fakegoogle.ScopeReadOnly)
}

func TestMetadata(t *testing.T) {
	w := newWorld(t, fakegoogle.Options{Machine: machine})
	l := w.mint(credential(location), machine, fakegoogle.ScopeReadOnly)
	if early := l.ExpiresAt.Sub(l.RenewableAt); early != 225*time.Second {
		t.Errorf("it can be renewed %s before it expires, want 3m45s", early)
	}
	r, _ := w.google.Request()
	if got, want := r.URL.RequestURI(), "/computeMetadata/v1/instance/service-accounts/default/token?scopes=https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fdevstorage.read_only"; got != want {
		t.Errorf("it asks for\n%s, want\n%s", got, want)
	}
	delete(w.transport, fakegoogle.MetadataHost)
	w.transport["metadata.test:8080"] = w.google
	t.Setenv("GCE_METADATA_HOST", "metadata.test:8080")
	w.mint(credential(location), machine, fakegoogle.ScopeReadOnly)
}

// TestNoMetadata checks what is said where the machine brings no identity.
func TestNoMetadata(t *testing.T) {
	w := newWorld(t, fakegoogle.Options{})
	w.fails(credential(location), regcred.Denied, "no service account")
	w.transport[fakegoogle.MetadataHost] = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"access_token":"t","expires_in":3600}`))
	})
	w.fails(credential(location), regcred.Unavailable, "not Google's")
	delete(w.transport, fakegoogle.MetadataHost)
	w.fails(credential(location), regcred.Unavailable, "169.254.169.254", "no Google identity")

	w = newWorld(t, fakegoogle.Options{Machine: machine, MachineScopes: []string{fakegoogle.ScopeReadOnly}})
	w.mint(credential(location), machine, fakegoogle.ScopeReadOnly)
	w.fails(credential(location, "push", "true"), regcred.Denied, "access scopes")
}

func TestImpersonate(t *testing.T) {
	w := newWorld(t, fakegoogle.Options{Machine: machine})
	w.google.NewKey(target)
	w.fails(w.keyed("impersonate", target), regcred.Denied, "roles/iam.serviceAccountTokenCreator on "+target)
	w.fails(w.keyed("impersonate", "other@project.iam.gserviceaccount.com"), regcred.Denied, "other@project.iam.gserviceaccount.com was deleted, or its address")

	w.google.Grant(puller, target)
	w.mint(w.keyed("impersonate", target), target, fakegoogle.ScopeReadOnly)
	w.mint(w.keyed("impersonate", target, "push", "true"), target, fakegoogle.ScopeCloud)
	w.fails(w.keyed("impersonate", middle+", "+target), regcred.Denied, "roles/iam.serviceAccountTokenCreator")

	w.google.Grant(puller, middle)
	w.google.Grant(middle, target)
	w.mint(w.keyed("impersonate", middle+", "+target), target, fakegoogle.ScopeReadOnly)

	w.google.Grant(machine, target)
	if l := w.mint(credential(location, "impersonate", target), target, fakegoogle.ScopeReadOnly); !l.RenewableAt.IsZero() {
		t.Errorf("an impersonated account's login can be renewed from %s on, want at any time", l.RenewableAt)
	}

	w = newWorld(t, fakegoogle.Options{IAMDisabled: true})
	w.fails(w.keyed("impersonate", target), regcred.Denied, "iamcredentials.googleapis.com) in the project")
}

// TestImpersonatedFile reads what gcloud writes with --impersonate-service-account.
func TestImpersonatedFile(t *testing.T) {
	w := newWorld(t, fakegoogle.Options{})
	w.addUser()
	w.google.Grant("user@example.com", middle)
	w.google.Grant(middle, target)
	text := `{"type":"impersonated_service_account","delegates":["` + middle + `"],
		"service_account_impersonation_url":"https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/` + target + `:generateAccessToken",
		"source_credentials":` + userFile + `}`
	w.mint(credential(location, "credentials-file", file(t, text)), target, fakegoogle.ScopeReadOnly)
	for name, bad := range map[string]string{
		"evil URL":  strings.Replace(text, "https://iamcredentials", "http://iamcredentials", 1),
		"no source": `{"type":"impersonated_service_account","service_account_impersonation_url":"https://iamcredentials.googleapis.com/"}`,
	} {
		w.run(name, func(w *world) {
			w.fails(credential(location, "credentials-file", file(t, bad)), regcred.Invalid)
		})
	}
}

func TestIssuer(t *testing.T) {
	p := google.New(google.Options{})
	for want, c := range map[string]regcred.Credential{
		"oauth2.googleapis.com":                                    credential(location),
		"token.example.com":                                        credential(location, "endpoint", "https://token.example.com/token"),
		"oauth2.googleapis.com for /etc/google.json":               credential(location, "credentials-file", "/etc/google.json"),
		"oauth2.googleapis.com for https://sts.test/ https://idp/": credential(location, "federation", `{"token_url":"https://sts.test/","credential_source":{"url":"https://idp/"}}`),
	} {
		if got := p.Issuer(c); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestUses(t *testing.T) {
	p := google.New(google.Options{})
	for _, test := range []struct {
		c    regcred.Credential
		want []string
	}{
		{credential(location, "key", "k", "impersonate", target, "push", "true"), nil},
		{credential(location), []string{"the server's own Google identity"}},
		{credential(location, "impersonate", target), []string{"the server's own Google identity"}},
		{credential(location, "credentials-file", "f"), []string{`the setting "credentials-file"`}},
		{credential(location, "federation", "f"), []string{`the setting "federation"`}},
		{
			credential(location, "key", "k", "endpoint", "e", "ca", "c", "host", "h"),
			[]string{`the setting "endpoint"`, `the setting "ca"`, `the setting "host"`},
		},
	} {
		if diff := cmp.Diff(test.want, p.Uses(test.c)); diff != "" {
			t.Errorf("%v: %s", test.c.Settings, diff)
		}
	}
}
