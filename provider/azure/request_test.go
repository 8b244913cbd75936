package azure_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/provider/azure"
	"regcred.dev/regcredtest/fakeazure"
)

// request is what was sent.
type request struct {
	Method, URL, Body string
	Header            http.Header
}

// script is a transport that answers each request, by "METHOD URL", with a body or
// with what a function makes of the request; it records them all.
type script struct {
	answers map[string]func(*http.Request) *http.Response

	mu   sync.Mutex
	sent []request
}

// RoundTrip implements http.RoundTripper.
func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
	}
	s.mu.Lock()
	s.sent = append(s.sent, request{r.Method, r.URL.String(), string(body), r.Header.Clone()})
	s.mu.Unlock()
	answer, ok := s.answers[r.Method+" "+r.URL.String()]
	if !ok {
		return nil, fmt.Errorf("nobody answers %s %s", r.Method, r.URL)
	}
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	return answer(r), nil
}

// answer returns one with a status and a body.
func answer(status int, body string) func(*http.Request) *http.Response {
	return func(r *http.Request) *http.Response {
		return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}
	}
}

// registryToken returns a token as registries give it, with these claims.
func registryToken(claims map[string]any) string {
	payload, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	return "eyJhbGciOiJSUzI1NiJ9." + base64.RawURLEncoding.EncodeToString(payload) + ".c2lnbmF0dXJl"
}

// soon is a time at which a token may expire.
func soon() int64 { return time.Now().Add(time.Hour).Unix() }

const (
	tokenURL    = "https://login.microsoftonline.com/" + tenant + "/oauth2/v2.0/token"
	exchangeURL = "https://acme.azurecr.io/oauth2/exchange"
	accessURL   = "https://acme.azurecr.io/oauth2/token"
	machineURL  = "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fcontainerregistry.azure.net"

	entraAnswer = `{"token_type":"Bearer","expires_in":3599,"ext_expires_in":3599,"access_token":"eyJ.entra.H-g"}`
)

// posted is a form's post, byte for byte.
func posted(to, body string) request {
	return request{http.MethodPost, to, body, http.Header{
		"Accept": {"application/json"}, "Content-Type": {"application/x-www-form-urlencoded"},
	}}
}

// TestRequests checks each request, byte for byte.
func TestRequests(t *testing.T) {
	noIdentity(t)
	refresh := registryToken(map[string]any{"exp": soon(), "grant_type": "refresh_token"})
	access := registryToken(map[string]any{"exp": soon(), "grant_type": "access_token"})
	exchanged := posted(exchangeURL, "grant_type=access_token&service=acme.azurecr.io&tenant="+tenant+"&access_token=eyJ.entra.H-g")
	const escapedSecret = "canary~client-secret%2F4711%2B%3D"
	byTokenFile := posted(tokenURL, "client_id="+client+"&scope=https%3A%2F%2Fcontainerregistry.azure.net%2F.default"+
		"&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion=eyJ.federated.x&grant_type=client_credentials")
	bySecret := posted(tokenURL, "client_id="+client+"&scope=https%3A%2F%2Fcontainerregistry.azure.net%2F.default"+
		"&client_secret="+escapedSecret+"&grant_type=client_credentials")
	tests := []struct {
		name     string
		c        regcred.Credential
		want     []request
		password string
	}{
		{"secret", credential(), []request{bySecret, exchanged}, refresh},
		{"token file", credential("client-secret", "", "federated-token-file", writeFile(t, "\neyJ.federated.x\n")), []request{byTokenFile, exchanged}, refresh},
		{"scopes", credential("scope", "repository:acme/app:pull,push,repository:base:pull"), []request{bySecret, exchanged, posted(accessURL,
			"grant_type=refresh_token&service=acme.azurecr.io&scope=repository%3Aacme%2Fapp%3Apull%2Cpush&scope=repository%3Abase%3Apull&refresh_token="+refresh)}, access},
		{"managed", ambient("identity", "managed"), []request{
			{http.MethodGet, machineURL, "", nil},
			posted(exchangeURL, "grant_type=access_token&service=acme.azurecr.io&access_token=eyJ.entra.H-g"),
		}, refresh},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := &script{answers: map[string]func(*http.Request) *http.Response{
				"POST " + tokenURL:    answer(200, entraAnswer),
				"POST " + exchangeURL: answer(200, `{"refresh_token":"`+refresh+`"}`),
				"POST " + accessURL:   answer(200, `{"access_token":"`+access+`"}`),
				"GET " + machineURL:   answer(200, entraAnswer),
			}}
			l, err := azure.New(azure.Options{Transport: s}).Mint(t.Context(), test.c)
			if err != nil {
				t.Fatal(err)
			}
			if l.Password.Reveal() != test.password {
				t.Error("the password is not the token that the registry gave")
			}
			for i := range s.sent {
				if s.sent[i].Method == http.MethodGet {
					// The library's headers are its own, but for the one that is required.
					if got := s.sent[i].Header.Get("Metadata"); got != "true" {
						t.Errorf("Metadata: %q", got)
					}
					s.sent[i].Header = nil
				}
			}
			if diff := cmp.Diff(test.want, s.sent); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestClouds checks where Entra ID is asked for which registry.
func TestClouds(t *testing.T) {
	const endpoint = "https://login.corp.example:8443/aad"
	tests := []struct{ host, cloud, endpoint, want string }{
		{"acme.azurecr.io", "", "", "login.microsoftonline.com"},
		{"acme.azurecr.cn", "", "", "login.partner.microsoftonline.cn"},
		{"acme.azurecr.us", "", "", "login.microsoftonline.us"},
		{"acme.azurecr.de", "", "", "login.microsoftonline.de"},
		{"registry.corp.example", "", "", "login.microsoftonline.com"},
		{"registry.corp.example", "government", "", "login.microsoftonline.us"},
		{"acme.azurecr.io", "china", "", "login.partner.microsoftonline.cn"},
		{"acme.azurecr.cn", "", endpoint, "login.corp.example:8443/aad"},
	}
	for _, test := range tests {
		want := "https://" + test.want + "/" + tenant + "/oauth2/v2.0/token"
		s := &script{}
		c := credential("location", test.host, "host", "registry.corp.example", "cloud", test.cloud, "endpoint", test.endpoint)
		if _, err := azure.New(azure.Options{Transport: s}).Mint(t.Context(), c); err == nil {
			t.Error("a mint that nobody answers gives a login")
		}
		if len(s.sent) != 1 || s.sent[0].URL != want {
			t.Errorf("%+v: it asked %v, want %s", test, s.sent, want)
		}
	}
}

// TestLoginServer checks that a registry behind a proxy is asked itself, and that
// the login is for the proxy.
func TestLoginServer(t *testing.T) {
	s := fakeazure.New(options())
	l, err := newProvider(s).Mint(t.Context(), credential("location", "Registry.corp.example:8443/team", "host", "registry.corp.example:8443", "login-server", "ACME.azurecr.io"))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(l.Hosts, []string{"registry.corp.example:8443"}) {
		t.Errorf("the login is for %q", l.Hosts)
	}
	if status := use(t, s, l, "/v2/"); status != http.StatusOK {
		t.Errorf("the registry answers the login with status %d", status)
	}
}
