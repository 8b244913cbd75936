package fakeazure_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"regcred.dev/regcredtest"
	"regcred.dev/regcredtest/fakeazure"
)

const (
	tenant = "409520d4-8100-4d1d-ad47-72432ddcc120"
	client = "7d2a4b4e-1f0b-4c53-9d0e-3a5f2f0f6d11"
	secret = "the-secret-of-the-application"
)

// principal is the application's key and certificate. A key takes long to make.
var principal = sync.OnceValues(func() (*rsa.PrivateKey, *x509.Certificate) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return key, cert
})

func newServer(change func(*fakeazure.Options)) *fakeazure.Server {
	_, cert := principal()
	o := fakeazure.Options{Tenant: tenant, Client: client, Secret: secret, Certificate: cert, SystemAssigned: true}
	if change != nil {
		change(&o)
	}
	return fakeazure.New(o)
}

// sdk asks the fake for a token with one of the credentials of Azure's own library.
type sdk func(t *testing.T, o azcore.ClientOptions, secret string) (azcore.TokenCredential, error)

func bySecret(_ *testing.T, o azcore.ClientOptions, secret string) (azcore.TokenCredential, error) {
	return azidentity.NewClientSecretCredential(tenant, client, secret, &azidentity.ClientSecretCredentialOptions{ClientOptions: o, DisableInstanceDiscovery: true})
}

func byCertificate(_ *testing.T, o azcore.ClientOptions, _ string) (azcore.TokenCredential, error) {
	key, cert := principal()
	return azidentity.NewClientCertificateCredential(tenant, client, []*x509.Certificate{cert}, key, &azidentity.ClientCertificateCredentialOptions{ClientOptions: o, DisableInstanceDiscovery: true})
}

func managed(t *testing.T, o azcore.ClientOptions, _ string) (azcore.TokenCredential, error) {
	for _, name := range []string{"IDENTITY_ENDPOINT", "MSI_ENDPOINT", "IMDS_ENDPOINT"} {
		t.Setenv(name, "")
	}
	return azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{ClientOptions: o})
}

func (c sdk) token(t *testing.T, s http.Handler, secret string) (string, error) {
	t.Helper()
	credential, err := c(t, azcore.ClientOptions{
		Transport: &http.Client{Transport: regcredtest.HandlerTransport{fakeazure.Authority: s, fakeazure.Metadata: s}},
		Retry:     policy.RetryOptions{MaxRetries: -1},
	}, secret)
	if err != nil {
		t.Fatal(err)
	}
	token, err := credential.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{fakeazure.RegistryAudience + "/.default"}})
	return token.Token, err
}

// TestSDK: Azure's own library gets tokens from the fake, and the registry takes
// them.
func TestSDK(t *testing.T) {
	for name, c := range map[string]sdk{"secret": bySecret, "certificate": byCertificate, "managed": managed} {
		t.Run(name, func(t *testing.T) {
			s := newServer(nil)
			token, err := c.token(t, s, secret)
			if err != nil {
				t.Fatal(err)
			}
			status, body := post(s, "/oauth2/exchange", url.Values{
				"grant_type": {"access_token"}, "service": {fakeazure.Registry}, "tenant": {tenant}, "access_token": {token},
			})
			if status != http.StatusOK || body["refresh_token"] == "" {
				t.Errorf("the exchange answers %d %v", status, body)
			}
		})
	}
}

// TestSDKRefused: the library understands the fake's refusals as Entra ID's.
func TestSDKRefused(t *testing.T) {
	s := newServer(nil)
	_, err := sdk(bySecret).token(t, s, "another-secret")
	if failed, ok := errors.AsType[*azidentity.AuthenticationFailedError](err); !ok || failed.RawResponse.StatusCode != http.StatusUnauthorized || !strings.Contains(err.Error(), "AADSTS7000215") {
		t.Errorf("it fails with %v", err)
	}
}

// TestSDKSkew shows what the library does with a certificate where the clocks
// differ: it signs by this machine's, and does not try again. That is why provider
// azure signs itself.
func TestSDKSkew(t *testing.T) {
	for skew, want := range map[time.Duration]bool{
		0: true, 5 * time.Minute: true, -5 * time.Minute: true, -6 * time.Minute: false, 14 * time.Minute: true, 16 * time.Minute: false,
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(func(o *fakeazure.Options) { o.Entra.Skew = skew })
			_, err := sdk(byCertificate).token(t, s, "")
			if (err == nil) != want || err != nil && !strings.Contains(err.Error(), "AADSTS700024") {
				t.Errorf("skew %s: %v", skew, err)
			}
			if n := s.Calls()["token"]; n != 1 {
				t.Errorf("skew %s: %d requests", skew, n)
			}
		})
	}
}

// post posts a form to the registry, and returns the answer's status and fields.
func post(s http.Handler, path string, form url.Values) (int, map[string]string) {
	r := httptest.NewRequest(http.MethodPost, "https://"+fakeazure.Registry+path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return do(s, r)
}

func do(s http.Handler, r *http.Request) (int, map[string]string) {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	fields := map[string]string{}
	_ = json.Unmarshal(w.Body.Bytes(), &fields) // an error's fields are no texts
	return w.Code, fields
}

// TestExchangeRefused: each part of a request to the registry matters.
func TestExchangeRefused(t *testing.T) {
	s, other := newServer(nil), newServer(nil)
	token, err := sdk(bySecret).token(t, s, secret)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := sdk(bySecret).token(t, other, secret)
	if err != nil {
		t.Fatal(err)
	}
	right := url.Values{"grant_type": {"access_token"}, "service": {fakeazure.Registry}, "tenant": {tenant}, "access_token": {token}}
	status, body := post(s, "/oauth2/exchange", right)
	if status != http.StatusOK {
		t.Fatalf("the right request: %d", status)
	}
	refresh := body["refresh_token"]
	tests := []struct {
		path, name, value string
		want              int
	}{
		{"/oauth2/exchange", "grant_type", "refresh_token", 400},
		{"/oauth2/exchange", "service", "other.azurecr.io", 400},
		{"/oauth2/exchange", "tenant", "00000000-0000-0000-0000-000000000001", 401},
		{"/oauth2/exchange", "access_token", "", 401},
		{"/oauth2/exchange", "access_token", foreign, 401},
		{"/oauth2/exchange", "access_token", refresh, 401},
		{"/oauth2/exchange", "access_token", token[:len(token)-2] + "AA", 401},
		{"/oauth2/token", "grant_type", "password", 400},
		{"/oauth2/token", "service", "other.azurecr.io", 400},
		{"/oauth2/token", "refresh_token", token, 401},
		{"/oauth2/token", "scope", "acme/app", 400},
		{"/oauth2/nothing", "scope", "acme/app", 404},
	}
	for _, test := range tests {
		form := url.Values{"grant_type": right["grant_type"], "service": right["service"], "tenant": right["tenant"], "access_token": right["access_token"]}
		if test.path == "/oauth2/token" {
			form = url.Values{"grant_type": {"refresh_token"}, "service": {fakeazure.Registry}, "scope": {"repository:a:pull"}, "refresh_token": {refresh}}
			if status, _ := post(s, test.path, form); status != http.StatusOK {
				t.Fatalf("the right request to %s: %d", test.path, status)
			}
		}
		form.Set(test.name, test.value)
		if status, body := post(s, test.path, form); status != test.want || body["refresh_token"]+body["access_token"] != "" {
			t.Errorf("%s with %s=%.20s...: %d, want %d", test.path, test.name, test.value, status, test.want)
		}
	}
}

// TestMetadata: the machine's service asks for its header and parameters.
func TestMetadata(t *testing.T) {
	s := newServer(func(o *fakeazure.Options) { o.UserAssigned = []string{client} })
	const query = "?api-version=2018-02-01&resource=https://containerregistry.azure.net"
	for _, test := range []struct {
		query, header string
		want          int
	}{
		{query, "true", 200},
		{query + "&client_id=" + client, "true", 200},
		{query + "&client_id=other", "true", 400},
		{query, "", 400},
		{"?resource=https://containerregistry.azure.net", "true", 400},
		{"?api-version=2018-02-01", "true", 400},
	} {
		r := httptest.NewRequest(http.MethodGet, "http://169.254.169.254/metadata/identity/oauth2/token"+test.query, http.NoBody)
		r.Header.Set("Metadata", test.header)
		if status, body := do(s, r); status != test.want || (body["access_token"] != "") != (test.want == 200) {
			t.Errorf("%+v: %d", test, status)
		}
	}
}

// TestLogin: a login is good at its registry until it expires, and no longer.
func TestLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(nil)
		token, err := sdk(bySecret).token(t, s, secret)
		if err != nil {
			t.Fatal(err)
		}
		_, body := post(s, "/oauth2/exchange", url.Values{"grant_type": {"access_token"}, "service": {fakeazure.Registry}, "access_token": {token}})
		use := func(user, password string) int {
			r := httptest.NewRequest(http.MethodGet, "https://"+fakeazure.Registry+"/v2/", http.NoBody)
			r.SetBasicAuth(user, password)
			status, _ := do(s, r)
			return status
		}
		got := fmt.Sprint(use(fakeazure.Username, body["refresh_token"]), use("admin", body["refresh_token"]), use(fakeazure.Username, token))
		if got != "200 401 401" {
			t.Errorf("the login, with another user, with Entra ID's token: %s", got)
		}
		<-time.After(3*time.Hour - time.Second)
		before := use(fakeazure.Username, body["refresh_token"])
		<-time.After(2 * time.Second)
		if after := use(fakeazure.Username, body["refresh_token"]); before != 200 || after != 401 {
			t.Errorf("before it expires %d, afterwards %d", before, after)
		}
	})
}

// TestHosts: nobody is found at another host.
func TestHosts(t *testing.T) {
	s := newServer(nil)
	for _, target := range []string{
		"https://other.azurecr.io/v2/", "https://acme.azurecr.io/metadata/identity/oauth2/token",
		"https://login.microsoftonline.com/oauth2/exchange", "http://169.254.169.254/oauth2/exchange",
	} {
		r := httptest.NewRequest(http.MethodPost, target, io.NopCloser(strings.NewReader("")))
		if status, _ := do(s, r); status < 400 {
			t.Errorf("%s: %d", target, status)
		}
	}
}
