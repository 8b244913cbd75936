package azure_test

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"regcred.dev"
	"regcred.dev/provider/azure"
	"regcred.dev/regcredtest"
	"regcred.dev/regcredtest/fakeazure"
)

// TestRefusals checks what a user reads where Entra ID or the registry refuses.
func TestRefusals(t *testing.T) {
	noIdentity(t)
	certificate, cert := principal()
	other, _ := newCertificate()
	f := federation()
	byFile := func(content string) regcred.Credential {
		return credential("client-secret", "", "federated-token-file", writeFile(t, content))
	}
	type change = func(*fakeazure.Options)
	tests := []struct {
		name   string
		change change
		c      regcred.Credential
		code   regcred.Code
		want   string
	}{
		{"wrong secret", nil, credential("client-secret", "canary-4711-wrong"), regcred.Denied, "AADSTS7000215: the client secret is wrong"},
		{"expired secret", func(o *fakeazure.Options) { o.SecretExpired = true }, credential(), regcred.Denied, "AADSTS7000222: the client secret has expired"},
		{"another tenant", nil, credential("tenant-id", "contoso.onmicrosoft.com"), regcred.Denied, "AADSTS90002: there is no such tenant"},
		{"another application", nil, credential("client-id", "00000000-1111-2222-3333-444444444444"), regcred.Denied, "AADSTS700016: the tenant has no such application"},
		{"another audience", nil, credential("audience", "https://registry.example.com"), regcred.Denied, "AADSTS500011: the tenant does not know the audience"},
		{"another certificate", nil, credential("client-secret", "", "client-certificate", other), regcred.Denied, "AADSTS700027: the certificate is not the application's"},
		{"expired token file", nil, byFile(f.token(f.trust.Subject, -time.Hour)), regcred.Denied, "AADSTS700024"},
		{"another subject", nil, byFile(f.token("system:serviceaccount:other:other", time.Hour)), regcred.Denied, "AADSTS700213: no federated identity credential"},
		{"no such token file", nil, credential("client-secret", "", "federated-token-file", "/no/such/file"), regcred.Unavailable, "/no/such/file cannot be read: no such file"},
		{"a directory as token file", nil, credential("client-secret", "", "federated-token-file", "/"), regcred.Unavailable, "/ cannot be read: it is no regular file"},
		{"an empty token file", nil, byFile("\n"), regcred.Unavailable, "it has no token in it"},
		{"a token file of 10 MiB", nil, byFile(strings.Repeat("a", 10<<20)), regcred.Unavailable, "more than 65536 bytes"},
		{"no workload identity", nil, ambient("identity", "workload"), regcred.Invalid, "AZURE_FEDERATED_TOKEN_FILE"},
		{"no workload tenant", nil, ambient("federated-token-file", writeFile(t, "eyJ.a.b")), regcred.Invalid, "AZURE_TENANT_ID"},
		{"no managed identity", func(o *fakeazure.Options) { o.SystemAssigned = false }, ambient(), regcred.Denied, "this machine has no such managed identity"},
		{"another managed identity", nil, ambient("client-id", client), regcred.Denied, "this machine has no such managed identity"},
		{"no role", func(o *fakeazure.Options) { o.NoRole = true }, credential(), regcred.Denied, "acme.azurecr.io refuses (status 401): UNAUTHORIZED: the identity has no role such as AcrPull"},
		{"tokens for the manager are refused", func(o *fakeazure.Options) { o.NoManagerTokens = true }, credential("audience", fakeazure.ManagerAudience), regcred.Denied, "does not accept tokens for Azure Resource Manager"},
		{"not a registry", func(o *fakeazure.Options) { o.Registries = []string{} }, credential(), regcred.Unavailable, "status 421"},
		{"Entra ID throttles", func(o *fakeazure.Options) { o.Entra = fakeazure.Quirks{Throttle: -1} }, credential(), regcred.Throttled, "login.microsoftonline.com asks to be asked less often"},
		{"the metadata service throttles", func(o *fakeazure.Options) { o.Entra = fakeazure.Quirks{Throttle: -1} }, ambient(), regcred.Throttled, "169.254.169.254 asks to be asked less often"},
		{"the registry throttles", func(o *fakeazure.Options) { o.Registry = fakeazure.Quirks{Throttle: -1} }, credential(), regcred.Throttled, "acme.azurecr.io asks to be asked less often"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := options()
			o.Certificate, o.Federated = cert, f.trust
			if test.change != nil {
				test.change(&o)
			}
			_, err := newProvider(fakeazure.New(o)).Mint(t.Context(), test.c)
			wantError(t, err, test.code, test.want, secret, certificate, other)
			if test.c.Settings["audience"] == "" && err != nil && strings.Contains(err.Error(), "Resource Manager") {
				t.Errorf("%v: the token was not for Azure Resource Manager", err)
			}
		})
	}
}

// wantError checks an error, and that it shows no secret.
func wantError(t *testing.T, err error, code regcred.Code, want string, secrets ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want %q", want)
		return
	}
	if regcred.CodeOf(err) != code || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: %v\nwant %s: ... %s", regcred.CodeOf(err), err, code, want)
	}
	for _, secret := range secrets {
		if found := regcredtest.Leaks([]byte(err.Error()), secret); found != nil {
			t.Errorf("the error shows a secret: %v", found)
		}
	}
}

// TestRetryAfter: what an issuer asks for reaches the refresher, and no request is
// made again before.
func TestRetryAfter(t *testing.T) {
	noIdentity(t)
	throttled := fakeazure.Quirks{Throttle: -1, RetryAfter: 17 * time.Second}
	for name, c := range map[string]regcred.Credential{"token": credential(), "managed": ambient(), "exchange": credential()} {
		o := options()
		if o.Entra = throttled; name == "exchange" {
			o.Entra, o.Registry = fakeazure.Quirks{}, throttled
		}
		s := fakeazure.New(o)
		_, err := newProvider(s).Mint(t.Context(), c)
		if e, ok := errors.AsType[*regcred.Error](err); !ok || e.RetryAfter != 17*time.Second {
			t.Errorf("%s: %v, want it to say when to ask again", name, err)
		}
		if n := s.Calls()[name]; n != 1 {
			t.Errorf("%s: %d requests, want 1", name, n)
		}
	}
}

// TestGarbage: an answer that makes no sense is no login.
func TestGarbage(t *testing.T) {
	noIdentity(t)
	tests := []struct {
		kind            fakeazure.Garbage
		entra, registry string // what the errors say; "": the answer makes sense there
	}{
		{fakeazure.HTML, "gives no access token", "the answer is no JSON object"},
		{fakeazure.Cut, "gives no access token", "the answer is no JSON object"},
		{fakeazure.Void, "gives no access token", "the answer is no JSON object"},
		{fakeazure.Huge, "more than 1048576 bytes", "more than 1048576 bytes"},
		{fakeazure.NoToken, "gives no access token", "is missing or empty"},
		{fakeazure.NoExpiry, "", "its claim exp, when it expires, is missing"},
		{fakeazure.BadExpiry, "", "its claim exp, when it expires, is no time"},
	}
	for _, test := range tests {
		for name, c := range map[string]regcred.Credential{"secret": credential(), "managed": ambient()} {
			if test.entra != "" {
				o := options()
				o.Entra.Garbage = test.kind
				_, err := newProvider(fakeazure.New(o)).Mint(t.Context(), c)
				t.Run(name+" "+string(test.kind), func(t *testing.T) { wantError(t, err, regcred.Unavailable, test.entra, secret) })
			}
		}
		for name, c := range map[string]regcred.Credential{"refresh": credential(), "access": credential("scope", "repository:a:pull")} {
			o := options()
			o.Registry.Garbage = test.kind
			_, err := newProvider(fakeazure.New(o)).Mint(t.Context(), c)
			t.Run(name+" "+string(test.kind), func(t *testing.T) { wantError(t, err, regcred.Unavailable, test.registry, secret) })
		}
	}
}

// TestEcho: whoever answers with what it was sent, in whatever words, brings no
// secret into an error.
func TestEcho(t *testing.T) {
	noIdentity(t)
	certificate, _ := principal()
	refresh := registryToken(map[string]any{"exp": soon()})
	form := ""
	echo := func(status int) func(*http.Request) *http.Response {
		return func(r *http.Request) *http.Response {
			body, _ := io.ReadAll(r.Body)
			form = string(body)
			text := `{"error":"` + form + `","error_description":"` + form + `","error_codes":[1],"errors":[{"code":"` + form + `","message":"` + form + `"}]}`
			return answer(status, text)(r)
		}
	}
	for _, c := range []regcred.Credential{
		credential(), credential("client-secret", "", "client-certificate", certificate), credential("scope", "repository:a:pull"),
	} {
		for _, at := range []string{tokenURL, exchangeURL, accessURL} {
			for _, status := range []int{200, 307, 400, 401, 403, 404, 418, 429, 500} {
				answers := map[string]func(*http.Request) *http.Response{
					"POST " + tokenURL: answer(200, entraAnswer), "POST " + exchangeURL: answer(200, `{"refresh_token":"`+refresh+`"}`),
				}
				answers["POST "+at] = echo(status)
				_, err := azure.New(azure.Options{Transport: &script{answers: answers}}).Mint(t.Context(), c)
				if err == nil {
					if at != accessURL || len(c.Settings["scope"]) > 0 {
						t.Errorf("%s answers %d with an echo: that gave a login", at, status)
					}
					continue
				}
				wantError(t, err, regcred.CodeOf(err), "", secret, certificate, "eyJ.entra.H-g", refresh, assertionIn(form))
			}
		}
	}
}

// assertionIn returns what in a form proves who asks.
func assertionIn(form string) string {
	_, rest, _ := strings.Cut(form, "client_assertion=")
	assertion, _, _ := strings.Cut(rest, "&")
	if assertion == "" {
		return form
	}
	return assertion
}

// failing is a transport that fails.
type failing struct{ err error }

func (f failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }

// TestUnreachable checks what a user reads where there is nobody.
func TestUnreachable(t *testing.T) {
	noIdentity(t)
	missing := &net.DNSError{Err: "no such host", Name: "acme.azurecr.io", IsNotFound: true}
	_, err := azure.New(azure.Options{Transport: failing{missing}}).Mint(t.Context(), credential())
	wantError(t, err, regcred.Unavailable, "login.microsoftonline.com cannot be reached", secret)
	_, err = azure.New(azure.Options{Transport: failing{missing}}).Mint(t.Context(), ambient())
	wantError(t, err, regcred.Unavailable, "does this server run in Azure, with a managed identity?")

	s := regcredtest.HandlerTransport{fakeazure.Authority: fakeazure.New(options())}
	_, err = azure.New(azure.Options{Transport: split{s, failing{missing}}}).Mint(t.Context(), credential())
	wantError(t, err, regcred.Unavailable, "there is no registry of that name", secret)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []regcred.Credential{credential(), ambient()} {
		if _, err := newProvider(fakeazure.New(options())).Mint(ctx, c); !errors.Is(err, context.Canceled) {
			t.Errorf("%v: a mint whose context ended fails with %v", c.Settings, err)
		}
	}
}

// split is a transport that leaves the registry to another.
type split struct{ entra, registry http.RoundTripper }

func (s split) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host == fakeazure.Registry {
		return s.registry.RoundTrip(r)
	}
	return s.entra.RoundTrip(r)
}

// TestOtherServices: managed identities of App Service are asked for where their
// variables say, and what cannot work is said.
func TestOtherServices(t *testing.T) {
	noIdentity(t)
	t.Setenv("IDENTITY_ENDPOINT", "http://127.0.0.1:41000/msi/token")
	t.Setenv("IDENTITY_HEADER", "canary-4711-header")
	entra := "eyJ." + base64.RawURLEncoding.EncodeToString([]byte("{}")) + ".x"
	refresh := registryToken(map[string]any{"exp": soon()})
	s := &script{answers: map[string]func(*http.Request) *http.Response{
		"GET http://127.0.0.1:41000/msi/token?api-version=2019-08-01&resource=https%3A%2F%2Fcontainerregistry.azure.net": answer(200, `{"access_token":"`+entra+`","expires_on":"4102444800"}`),
		"POST " + exchangeURL: answer(200, `{"refresh_token":"`+refresh+`"}`),
	}}
	p := azure.New(azure.Options{Transport: s})
	if _, err := p.Mint(t.Context(), ambient()); err != nil {
		t.Error(err)
	}
	t.Setenv("IDENTITY_SERVER_THUMBPRINT", "00")
	_, err := p.Mint(t.Context(), ambient())
	wantError(t, err, regcred.Invalid, "Service Fabric", "canary-4711-header")
}

// TestForEver: a token that would hardly be renewed again is garbage.
func TestForEver(t *testing.T) {
	s := &script{answers: map[string]func(*http.Request) *http.Response{
		"POST " + tokenURL:    answer(200, entraAnswer),
		"POST " + exchangeURL: answer(200, `{"refresh_token":"`+registryToken(map[string]any{"exp": 253402300799})+`"}`),
	}}
	_, err := azure.New(azure.Options{Transport: s}).Mint(t.Context(), credential())
	wantError(t, err, regcred.Unavailable, "more than a week", secret)
}

// TestNoMachineOfAzure: whoever forgot the secret is told so, where something else
// than Azure answers at the metadata address.
func TestNoMachineOfAzure(t *testing.T) {
	noIdentity(t)
	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound} {
		s := &script{answers: map[string]func(*http.Request) *http.Response{"GET " + machineURL: answer(status, "no")}}
		_, err := azure.New(azure.Options{Transport: s}).Mint(t.Context(), ambient())
		wantError(t, err, regcred.Denied, "the credential brings no identity, and this machine has none to give")
	}
}
