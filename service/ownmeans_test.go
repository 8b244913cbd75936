package service_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"regcred.dev"
	"regcred.dev/imageref"
	"regcred.dev/keyring"
	"regcred.dev/provider/azure"
	"regcred.dev/provider/ecr"
	"regcred.dev/provider/ecrpublic"
	"regcred.dev/provider/exec"
	"regcred.dev/provider/github"
	"regcred.dev/provider/google"
	"regcred.dev/provider/oidc"
	"regcred.dev/provider/profile"
	regcredprovider "regcred.dev/provider/regcred"
	"regcred.dev/provider/static"
	"regcred.dev/refresh"
	"regcred.dev/service"
	"regcred.dev/store/memory"
	"regcred.dev/token"
)

// wire is a network on which nothing answers. It keeps what was sent.
type wire struct {
	mu   sync.Mutex
	sent []sent
}

// sent is a request.
type sent struct{ host, text string }

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent = append(w.sent, sent{r.URL.Host, fmt.Sprintf("%s %s %v %s", r.Method, r.URL, r.Header, body)})
	return nil, fmt.Errorf("nobody answers")
}

// take returns what was sent since it was called last.
func (w *wire) take() []sent {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.sent
	w.sent = nil
	return all
}

// minter mints what is stored, once, as a refresher would.
type minter struct {
	store     regcred.Store
	providers map[string]regcred.Provider
}

func (m minter) Ensure(ctx context.Context, guid string) (regcred.Login, error) {
	c, err := m.store.Get(ctx, guid)
	if err != nil {
		return regcred.Login{}, err
	}
	return m.providers[c.Provider].Mint(ctx, c)
}

func (m minter) Mint(ctx context.Context, guid string) (regcred.Login, error) {
	return m.Ensure(ctx, guid)
}
func (minter) Status(string) (refresh.Status, bool) { return refresh.Status{}, false }
func (minter) Issuers() iter.Seq[refresh.IssuerStatus] {
	return func(func(refresh.IssuerStatus) bool) {}
}

// canary is in all that is the server's own.
const canary = "canary-of-the-server"

// ownMeans gives this process an identity at each cloud, files and environment: what
// is in them has the canary. It returns the name of a file.
func ownMeans(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "identity.json")
	if err := os.WriteFile(file, []byte(`{"type":"authorized_user","client_id":"`+canary+`","client_secret":"`+canary+`","refresh_token":"`+canary+`"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": canary, "AWS_SECRET_ACCESS_KEY": canary, "AWS_SESSION_TOKEN": canary,
		"AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/" + canary, "AWS_WEB_IDENTITY_TOKEN_FILE": file,
		"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1/" + canary,
		"GOOGLE_APPLICATION_CREDENTIALS":     file,
		"AZURE_CLIENT_ID":                    canary, "AZURE_TENANT_ID": canary, "AZURE_CLIENT_SECRET": canary,
		"AZURE_FEDERATED_TOKEN_FILE": file, "GITHUB_TOKEN": canary, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": canary, "AWS_CA_BUNDLE": "",
	} {
		t.Setenv(name, value)
	}
	return file
}

// tenancy is a service with all providers and a space developer.
type tenancy struct {
	*service.Service
	wire      *wire
	store     regcred.Store
	providers map[string]regcred.Provider
	developer regcred.Caller
}

func newTenancy(t *testing.T, public service.Prober) tenancy {
	t.Helper()
	w, store := &wire{}, memory.New()
	tokens, err := token.New(t.Context(), store, token.Options{Issuer: "regcred:test"})
	if err != nil {
		t.Fatal(err)
	}
	x := tenancy{wire: w, store: store, providers: map[string]regcred.Provider{}}
	for _, p := range []regcred.Provider{
		static.New(), ecr.New(ecr.Options{Transport: w}), ecrpublic.New(ecrpublic.Options{Transport: w}), google.New(google.Options{Transport: w}),
		azure.New(azure.Options{Transport: w}), github.New(github.Options{Transport: w}), oidc.New(oidc.Options{Transport: w}), exec.New(exec.Options{}),
		regcredprovider.New(regcredprovider.Options{Signer: tokens, Host: "registry.example.com"}),
	} {
		x.providers[p.Describe().Name] = p
	}
	x.lend(t)
	books := keyring.New(store.ID())
	ctx, cancel := context.WithCancel(t.Context())
	var following sync.WaitGroup
	following.Go(func() { _ = books.Follow(ctx, store) })
	t.Cleanup(func() { cancel(); following.Wait() })
	x.Service = service.New(service.Options{
		Store: store, Books: books, Refresher: minter{store, x.providers}, Providers: x.providers, Tokens: tokens,
		Targets: noTargets{}, Prober: &prober{}, PublicProber: public, LoginLifetime: lifetime,
	})
	x.developer = regcred.Caller{Name: "dave", Role: regcred.RoleSpaceDeveloper, Scope: places['D']}
	return x
}

// lend adds profiles of the server's own identity at AWS: one that is granted to the
// developer's space, and the one of the provider's example, which is not.
func (x tenancy) lend(t *testing.T) {
	t.Helper()
	declare := func(name string, scope regcred.Scope) profile.Declaration {
		l, err := imageref.ParseLocation(hosts["ecr"])
		if err != nil {
			t.Fatal(err)
		}
		return profile.Declaration{
			Profile: regcred.Profile{Name: name, Provider: "ecr", Location: l, Spelling: l.String(), Grants: []regcred.Scope{scope}},
			All:     map[string]regcred.Secret{"region": regcred.NewSecret("us-east-1")},
		}
	}
	p, err := profile.New(profile.Options{
		Profiles: []profile.Declaration{declare("lent", places['D']), declare("acme-ecr", places['O'])}, Providers: maps.Clone(x.providers),
	})
	if err != nil {
		t.Fatal(err)
	}
	x.providers[regcred.ProviderProfile] = p
}

// hosts are those of credentials: what the providers are for, and what they are not.
var hosts = map[string]string{
	"ecr": "123456789012.dkr.ecr.us-east-1.amazonaws.com", "ecrpublic": "public.ecr.aws", "google": "europe-docker.pkg.dev",
	"azure": "acme.azurecr.io", "github": "ghcr.io", "oidc": "quay.io", "exec": "registry.example.com", "regcred": "registry.example.com",
	"static": "registry.example.com", "profile": "123456789012.dkr.ecr.us-east-1.amazonaws.com",
}

// vendors are whom a tenant may have the server ask: the ends of their hosts.
var vendors = []string{
	".amazonaws.com", ".api.aws", ".googleapis.com", ".azurecr.io", "api.github.com", "quay.io",
	"login.microsoftonline.com", "login.microsoftonline.us", "login.microsoftonline.de", "login.partner.microsoftonline.cn",
}

// TestOwnMeans: whatever a space developer sets, nothing is stored that would use the
// server's identity, its files or its environment, or direct its requests; and what was
// stored sends nothing of the server's, to the providers' own hosts alone.
func TestOwnMeans(t *testing.T) {
	file := ownMeans(t)
	x, tenants := newTenancy(t, &prober{}), tenantsOwn(t)
	for name, p := range x.providers {
		info := p.Describe()
		t.Run(name, func(t *testing.T) {
			if hosts[name] == "" {
				t.Fatal("this provider is not in the table of hosts")
			}
			rapid.Check(t, func(rt *rapid.T) {
				in := developers(info, tenants[name])
				change(rt, &in, info, file)
				x.try(rt, info, in)
			})
			if _, may := tenants[name]; x.try(t, info, developers(info, tenants[name])) != may {
				t.Errorf("stored with the tenant's own settings: %t", !may)
			}
		})
	}
}

// removed stands for a setting that is left out.
const removed = "-"

// developers returns a credential with a tenant's own settings.
func developers(info regcred.ProviderInfo, own map[string]string) service.NewCredential {
	in := service.NewCredential{Scope: places['D'], Provider: info.Name, Location: hosts[info.Name], Settings: map[string]regcred.Secret{}}
	for name, value := range own {
		in.Settings[name] = regcred.NewSecret(value)
	}
	if info.Name == regcred.ProviderStatic {
		in.Username, in.Password = "user", regcred.NewSecret("p")
	}
	return in
}

// change draws another location and up to three settings, the server's own file among
// them.
func change(rt *rapid.T, in *service.NewCredential, info regcred.ProviderInfo, file string) {
	in.Location = rapid.SampledFrom([]string{in.Location, "", "evil.example.com", "169.254.169.254", "localhost:5000"}).Draw(rt, "location")
	values := []string{"", file, "file:" + file, "env:AWS_SECRET_ACCESS_KEY", "true", "https://evil.example.com", "managed", "workload", "default", "none", "quay", "x"}
	for _, f := range rapid.SliceOfN(rapid.SampledFrom(info.AllFields()), 0, 3).Draw(rt, "fields") {
		value := rapid.SampledFrom(append(values, f.Example, f.Default, removed)).Draw(rt, f.Name)
		if in.Settings[f.Name] = regcred.NewSecret(value); value == removed {
			delete(in.Settings, f.Name)
		}
	}
}

// try stores a credential as the developer, looks at what that did, and deletes it.
func (x tenancy) try(t rapid.TB, info regcred.ProviderInfo, in service.NewCredential) (stored bool) {
	var admins []string
	for _, f := range info.Fields {
		if _, set := in.Settings[f.Name]; set && f.Admin {
			admins = append(admins, f.Name)
		}
	}
	x.wire.take()
	c, err := x.CreateCredential(context.Background(), x.developer, in)
	sent := x.wire.take()
	if err != nil {
		if code := regcred.CodeOf(err); code != regcred.Denied && code != regcred.Invalid || len(sent) > 0 {
			t.Fatalf("%v, and %d requests", err, len(sent))
		}
		return false
	}
	defer func() {
		if err := x.Delete(context.Background(), x.developer, c.GUID); err != nil {
			t.Fatal(err)
		}
	}()
	if len(admins) > 0 {
		t.Fatalf("it was stored with what admins alone set: %v", admins)
	}
	for _, request := range sent {
		if strings.Contains(request.text, canary) || !slices.ContainsFunc(vendors, func(end string) bool { return strings.HasSuffix(request.host, end) }) {
			t.Fatalf("it sends %s", request.text)
		}
	}
	return true
}

// TestOwnMeansOfAdmins shows that the test above could fail: an admin's credential uses
// the server's identity.
func TestOwnMeansOfAdmins(t *testing.T) {
	ownMeans(t)
	x := newTenancy(t, &prober{})
	for _, name := range []string{"ecr", "ecrpublic"} {
		_, err := x.CreateCredential(t.Context(), regcred.Local, service.NewCredential{Scope: places['D'], Provider: name, Location: hosts[name]})
		if err != nil {
			t.Fatal(err)
		}
		if sent := fmt.Sprint(x.wire.take()); !strings.Contains(sent, canary) {
			t.Errorf("%s: nothing of the server's is in %q", name, sent)
		}
	}
}

// TestOwnMeansLent: what a grant lends is used as the profile says and not otherwise: the
// developer's own settings, and another location, go nowhere.
func TestOwnMeansLent(t *testing.T) {
	file := ownMeans(t)
	x := newTenancy(t, &prober{})
	info := x.providers[regcred.ProviderProfile].Describe()
	var profiles []string // that were stored, by rapid's last draws
	rapid.Check(t, func(rt *rapid.T) {
		in := developers(info, map[string]string{regcred.SettingProfile: "lent"})
		change(rt, &in, info, file)
		if rapid.Bool().Draw(rt, "foreign setting") {
			in.Settings[rapid.SampledFrom([]string{"region", "endpoint", "role-arn", "ca", regcred.ProfileMark}).Draw(rt, "name")] = regcred.NewSecret("x")
		}
		x.wire.take()
		c, err := x.CreateCredential(context.Background(), x.developer, in)
		sent := x.wire.take()
		if err != nil {
			if len(sent) > 0 || regcred.CodeOf(err) != regcred.Invalid {
				rt.Fatalf("%v, and %d requests", err, len(sent))
			}
			return
		}
		profiles = append(profiles, c.Settings[regcred.SettingProfile])
		if err := x.Delete(context.Background(), x.developer, c.GUID); err != nil {
			rt.Fatal(err)
		}
		for _, request := range sent {
			if request.host != "api.ecr.us-east-1.amazonaws.com" {
				rt.Fatalf("it sends %s", request.text)
			}
		}
	})
	x.wire.take()
	c, err := x.CreateCredential(t.Context(), x.developer, developers(info, map[string]string{regcred.SettingProfile: "lent"}))
	if sent := x.wire.take(); err != nil || len(sent) != 1 || sent[0].host != "api.ecr.us-east-1.amazonaws.com" || !strings.Contains(sent[0].text, canary) {
		t.Errorf("with a grant: %v, sends %v", err, sent)
	}
	if _, err := x.Check(t.Context(), x.developer, c.GUID, ""); err != nil {
		t.Errorf("its user cannot check it: %v", err)
	}
	if other := slices.DeleteFunc(profiles, func(name string) bool { return name == "lent" }); len(other) > 0 {
		t.Errorf("without a grant it stored %v", other)
	}
}

// tenantsOwn are settings that bring along their own secret, by the providers that take
// such.
func tenantsOwn(t *testing.T) map[string]map[string]string {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	key := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	account, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": "acme", "private_key_id": "1", "private_key": key,
		"client_email": "puller@acme.iam.gserviceaccount.com", "client_id": "1", "token_uri": "https://oauth2.googleapis.com/token",
	})
	if err != nil {
		t.Fatal(err)
	}
	aws := map[string]string{"access-key-id": "AKIAIOSFODNN7EXAMPLE", "secret-access-key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
	return map[string]map[string]string{
		"ecr": aws, "ecrpublic": aws,
		"google": {"key": string(account)},
		"azure": {
			"tenant-id": "409520d4-8100-4d1d-ad47-72432ddcc120", "client-id": "7d2a4b4e-1f0b-4c53-9d0e-3a5f2f0f6d11", "client-secret": "s3cret",
		},
		"github": {"app-id": "123456", "installation-id": "7890123", "private-key": key},
		"oidc":   {"exchange": "quay", "username": "acme+puller", "token": "eyJhbGciOiJub25lIn0.e30."},
		"static": {},
	}
}

// TestTenantsOwn shows what a space developer may store: what brings its own secret.
func TestTenantsOwn(t *testing.T) {
	ownMeans(t)
	x := newTenancy(t, &prober{})
	for name, settings := range tenantsOwn(t) {
		in := service.NewCredential{Scope: places['D'], Provider: name, Location: hosts[name], Settings: map[string]regcred.Secret{}}
		for key, value := range settings {
			in.Settings[key] = regcred.NewSecret(value)
		}
		if name == regcred.ProviderStatic {
			in.Username, in.Password = "user", regcred.NewSecret("p")
		}
		c, err := x.CreateCredential(t.Context(), x.developer, in)
		sent := fmt.Sprint(x.wire.take())
		if err != nil || strings.Contains(sent, canary) || (sent == "[]") != (name == regcred.ProviderStatic) {
			t.Errorf("%s: %v, sends %s", name, err, sent)
			continue
		}
		x.mayNotAdd(t, c)
	}
}

// mayNotAdd shows that an update comes by nothing either.
func (x tenancy) mayNotAdd(t *testing.T, c service.Credential) {
	t.Helper()
	before, err := x.store.Get(t.Context(), c.GUID)
	if err != nil {
		t.Fatal(err)
	}
	updates := map[string]map[string]*regcred.Secret{"all removed": {}}
	for key := range maps.Keys(before.Secrets) {
		updates["all removed"][key] = nil
	}
	for key := range maps.Keys(before.Settings) {
		updates["all removed"][key] = nil
	}
	for _, f := range x.providers[c.Provider].Describe().Fields {
		if f.Admin {
			value := regcred.NewSecret(f.Example)
			updates["with "+f.Name] = map[string]*regcred.Secret{f.Name: &value}
		}
	}
	for name, settings := range updates {
		if len(settings) == 0 {
			continue
		}
		for _, check := range []bool{false, true} {
			x.wire.take()
			_, err := x.Update(t.Context(), x.developer, c.GUID, service.CredentialUpdate{Settings: settings, Check: check})
			if code := regcred.CodeOf(err); err == nil || code != regcred.Denied && code != regcred.Invalid || len(x.wire.take()) > 0 {
				t.Errorf("%s, %s: %v", c.Provider, name, err)
			}
		}
	}
	if after, err := x.store.Get(t.Context(), c.GUID); err != nil || after.Version != before.Version {
		t.Errorf("%s was changed: %v", c.Provider, err)
	}
}

// TestAdminsCredentials: a credential that uses the server itself is an admin's, also in a
// space whose developer may alter all else.
func TestAdminsCredentials(t *testing.T) {
	ownMeans(t)
	x := newTenancy(t, &prober{})
	c, err := x.CreateCredential(t.Context(), regcred.Local, service.NewCredential{Scope: places['D'], Provider: "ecr", Location: hosts["ecr"]})
	if err != nil {
		t.Fatal(err)
	}
	x.wire.take()
	if _, err := x.Get(t.Context(), x.developer, c.GUID); err != nil {
		t.Errorf("it cannot be read: %v", err)
	}
	user := "x"
	_, update := x.Update(t.Context(), x.developer, c.GUID, service.CredentialUpdate{Username: &user})
	_, refresh := x.Refresh(t.Context(), x.developer, c.GUID, true)
	_, check := x.Check(t.Context(), x.developer, c.GUID, "")
	for name, err := range map[string]error{"update": update, "refresh": refresh, "check": check, "delete": x.Delete(t.Context(), x.developer, c.GUID)} {
		if regcred.CodeOf(err) != regcred.Denied || !strings.Contains(err.Error(), "only an admin") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if sent := x.wire.take(); len(sent) > 0 {
		t.Errorf("the server asked for a login: %v", sent)
	}
}

// TestSettingsAreText: control characters are refused, where a field of several lines
// takes line breaks too.
func TestSettingsAreText(t *testing.T) {
	x := newTenancy(t, &prober{})
	for name, value := range map[string]string{
		"zero": "us\x00-east-1", "line break": "us-east-1\n", "carriage return": "us-east-1\r\nX-Header: x", "escape": "\x1b[2J", "not UTF-8": "\xff\xfe", "C1": "us\u0085east",
	} {
		for _, field := range []string{"region", "secret-access-key"} {
			if field == "secret-access-key" && strings.ContainsAny(value, "\r\n") {
				continue
			}
			_, err := x.CreateCredential(t.Context(), regcred.Local, service.NewCredential{
				Scope: places['D'], Provider: "ecr", Settings: map[string]regcred.Secret{field: regcred.NewSecret(value)},
			})
			if regcred.CodeOf(err) != regcred.Invalid || !strings.Contains(err.Error(), field) || strings.Contains(err.Error(), value) {
				t.Errorf("%s in %s: %v", name, field, err)
			}
		}
	}
}
