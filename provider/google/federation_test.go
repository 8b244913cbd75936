package google_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"regcred.dev"
	"regcred.dev/regcredtest/fakegoogle"
)

const (
	subjectToken = "eyJhbGciOiJSUzI1NiJ9.canary-subject-token.c2ln"
	jwtType      = "urn:ietf:params:oauth:token-type:jwt"
	pool         = "//iam.googleapis.com/projects/123456/locations/global/workloadIdentityPools/pool/providers/provider"
	federatedWho = "principal://iam.googleapis.com/pool/subject/workload"
)

// federation returns a configuration of workload identity federation.
func federation(source any, more ...string) string {
	config := map[string]any{
		"type": "external_account", "audience": pool, "subject_token_type": jwtType,
		"token_url": "https://sts.googleapis.com/v1/token", "credential_source": source,
	}
	for i := 0; i < len(more); i += 2 {
		config[more[i]] = more[i+1]
	}
	text, err := json.Marshal(config)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// fileSource is a credential_source of a file.
func fileSource(name string) map[string]any { return map[string]any{"file": name} }

func (w *world) addProof() {
	w.google.AddProof(subjectToken, fakegoogle.Proof{Audience: pool, TokenType: jwtType, Principal: federatedWho})
}

// kinds returns credentials of each kind of identity. Each asks one host first.
func kinds(t *testing.T) map[string]func(w *world) regcred.Credential {
	t.Helper()
	subject := file(t, subjectToken)
	user := file(t, userFile)
	plain := func(settings ...string) func(*world) regcred.Credential {
		return func(*world) regcred.Credential { return credential(location, settings...) }
	}
	return map[string]func(w *world) regcred.Credential{
		"key":                  func(w *world) regcred.Credential { return w.keyed() },
		"key, to impersonate":  func(w *world) regcred.Credential { return w.keyed("impersonate", target) },
		"user":                 plain("credentials-file", user),
		"user, to impersonate": plain("credentials-file", user, "impersonate", target),
		"federation":           plain("federation", federation(fileSource(subject))),
		"machine":              plain(),
	}
}

// echo is a server that refuses with a status, and quotes all that it was sent.
func echo(status int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		form, _ := url.ParseQuery(string(body))
		quote := fmt.Sprintf("no: %s: %v %v %s", r.Header.Get("Authorization"), form, r.URL, body)
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": "invalid_grant", "error_description": quote[:min(len(quote), 200)]})
	})
}

// TestFederation obtains the proof of identity in each way.
func TestFederation(t *testing.T) {
	w := newWorld(t, fakegoogle.Options{})
	w.addProof()
	w.transport["idp.test"] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Metadata") != "True" {
			w.WriteHeader(http.StatusForbidden)
		}
		_, _ = io.WriteString(w, `{"access_token":"`+subjectToken+`"}`)
	})
	inJSON := map[string]string{"type": "json", "subject_token_field_name": "access_token"}
	t.Setenv("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES", "1")
	for name, source := range map[string]any{
		"file":         fileSource(file(t, subjectToken+"\n")),
		"file of JSON": map[string]any{"file": file(t, `{"access_token":"`+subjectToken+`"}`), "format": inJSON},
		"URL":          map[string]any{"url": "http://idp.test/token", "headers": map[string]string{"Metadata": "True"}, "format": inJSON},
		"program": map[string]any{"executable": map[string]string{"command": program(t,
			`echo '{"version":1,"success":true,"token_type":"`+jwtType+`","id_token":"`+subjectToken+`"}'`)}},
	} {
		w.run(name, func(w *world) {
			l := w.mint(credential(location, "federation", federation(source)), federatedWho, fakegoogle.ScopeReadOnly)
			if !l.RenewableAt.IsZero() {
				w.Errorf("it can be renewed from %s on, want at any time", l.RenewableAt)
			}
			w.mint(credential(location, "credentials-file", file(w.T, federation(source)), "push", "true"), federatedWho, fakegoogle.ScopeCloud)
		})
	}
}

// program writes a shell script, and returns its path.
func program(t *testing.T, script string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "prove")
	if err := os.WriteFile(name, []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestFederationOfAWS proves an identity by a signed request to AWS, which Google
// would send there.
func TestFederationOfAWS(t *testing.T) {
	w := newWorld(t, fakegoogle.Options{})
	t.Setenv("AWS_REGION", "eu-central-1")
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "canary-aws-secret-key")
	t.Setenv("AWS_SESSION_TOKEN", "")
	const aws = "urn:ietf:params:aws:token-type:aws4_request"
	w.transport[fakegoogle.STSHost] = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		form, _ := url.ParseQuery(string(body))
		proof := form.Get("subject_token")
		signed, _ := url.QueryUnescape(proof)
		if !strings.Contains(signed, "Credential=AKIDEXAMPLE/") || !strings.Contains(signed, "https://sts.eu-central-1.amazonaws.com") || !strings.Contains(signed, pool) {
			t.Errorf("the proof is %s", signed)
		}
		w.google.AddProof(proof, fakegoogle.Proof{Audience: pool, TokenType: aws, Principal: federatedWho})
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		w.google.ServeHTTP(rw, r)
	})
	source := map[string]string{
		"environment_id":                 "aws1",
		"region_url":                     "http://169.254.169.254/latest/meta-data/placement/availability-zone",
		"regional_cred_verification_url": "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15",
	}
	w.mint(credential(location, "federation", federation(source, "subject_token_type", aws)), federatedWho, fakegoogle.ScopeReadOnly)
}

// TestFederationImpersonates follows the configuration's own impersonation, and a
// second one of the settings.
func TestFederationImpersonates(t *testing.T) {
	w := newWorld(t, fakegoogle.Options{})
	w.addProof()
	w.google.Grant(federatedWho, middle)
	w.google.Grant(middle, target)
	config := federation(fileSource(file(t, subjectToken)), "service_account_impersonation_url",
		"https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/"+middle+":generateAccessToken")
	w.mint(credential(location, "federation", config), middle, fakegoogle.ScopeReadOnly)
	w.mint(credential(location, "federation", config, "impersonate", target), target, fakegoogle.ScopeReadOnly)
}

// TestFederationFails checks what is said of each failure, and that none shows the
// proof.
func TestFederationFails(t *testing.T) {
	w := newWorld(t, fakegoogle.Options{})
	subject := file(t, subjectToken)
	w.transport["idp.test"] = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "30")
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = io.WriteString(w, subjectToken)
	})
	for _, test := range []struct {
		name   string
		config string
		code   regcred.Code
		says   string
	}{
		{"not accepted", federation(fileSource(subject)), regcred.Denied, "sts.googleapis.com refuses"},
		{"no file", federation(fileSource("/no/such/file")), regcred.Unavailable, "/no/such/file"},
		{"no field", federation(map[string]any{"file": subject, "format": map[string]string{"type": "json"}}), regcred.Unavailable, "credential_source"},
		{"throttled", federation(map[string]string{"url": "https://idp.test/token"}), regcred.Throttled, "credential_source's idp.test"},
		{"no server", federation(map[string]string{"url": "https://nobody.test/token"}), regcred.Unavailable, "nobody.test"},
		{"program not allowed", federation(map[string]any{"executable": map[string]string{"command": program(t, "echo "+subjectToken)}}), regcred.Unavailable, "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES"},
		{"other AWS", federation(map[string]string{"environment_id": "aws2"}), regcred.Unavailable, "aws version"},
	} {
		w.run(test.name, func(w *world) {
			text := w.fails(credential(location, "federation", test.config), test.code, test.says)
			if strings.Contains(text, "canary") {
				w.Errorf("the error shows the proof: %s", text)
			}
		})
	}
	t.Setenv("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES", "1")
	text := w.fails(credential(location, "federation", federation(map[string]any{"executable": map[string]string{"command": program(t, "echo "+subjectToken)}})), regcred.Unavailable, "program")
	if strings.Contains(text, "canary") {
		t.Errorf("the error shows what the program wrote: %s", text)
	}

	w.addProof()
	elsewhere := federation(fileSource(subject), "audience", pool+"-other")
	w.fails(credential(location, "federation", elsewhere), regcred.Denied, "workload identity pool")
}

// TestFederationChecked checks what a configuration may hold.
func TestFederationChecked(t *testing.T) {
	w := newWorld(t, fakegoogle.Options{})
	source := fileSource("/var/run/token")
	for name, config := range map[string]string{
		"client_secret":     federation(source, "client_secret", "canary-client-secret"),
		"secret header":     federation(map[string]any{"url": "https://idp.test/", "headers": map[string]string{"authorization": "Bearer canary"}}),
		"private_key":       federation(source, "private_key", "canary-private-key"),
		"token_url":         federation(source, "token_url", "http://sts.googleapis.com/v1/token"),
		"impersonation_url": federation(source, "service_account_impersonation_url", "http://169.254.169.254/"),
		"credential_source": federation(map[string]string{}),
		"url":               federation(map[string]string{"url": "https://canary:canary"}),
		"audience":          federation(source, "audience", ""),
		"token type":        federation(source, "subject_token_type", ""),
		"universe_domain":   federation(source, "universe_domain", "cloud.test"),
	} {
		w.run(name, func(w *world) {
			text := w.fails(credential(location, "federation", config), regcred.Invalid, `"federation"`)
			if strings.Contains(text, "canary") {
				w.Errorf("the error quotes the configuration: %s", text)
			}
		})
	}
	secret := federation(source, "client_secret", "canary-client-secret", "client_id", "client")
	if err := w.provider.Check(credential(location, "credentials-file", file(t, secret))); err != nil {
		t.Errorf("a file may hold secrets: %v", err)
	}
}

// TestFederationSlowProof shows that a token's life is counted from when it was
// asked for, not from when the proof was.
func TestFederationSlowProof(t *testing.T) {
	w := newWorld(t, fakegoogle.Options{})
	w.addProof()
	w.transport["idp.test"] = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		<-time.After(time.Minute)
		_, _ = io.WriteString(w, subjectToken)
	})
	w.bubble(func(w *world) {
		l := w.mint(credential(location, "federation", federation(map[string]string{"url": "https://idp.test/"})), federatedWho, fakegoogle.ScopeReadOnly)
		if left := time.Until(l.ExpiresAt); left != time.Hour {
			w.Errorf("it has %s to live, want an hour", left)
		}
	})
}

// TestFederationHuge shows that an endless proof is not read.
func TestFederationHuge(t *testing.T) {
	w := newWorld(t, fakegoogle.Options{})
	w.transport["idp.test"] = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("a", 2<<20))
	})
	w.fails(credential(location, "federation", federation(map[string]string{"url": "https://idp.test/"})), regcred.Unavailable, "more than")
	if n := w.google.Calls()[fakegoogle.CallExchange]; n != 0 {
		t.Errorf("%d exchanges", n)
	}
}

// TestFederationRedirects shows that the proof's URL cannot redirect.
func TestFederationRedirects(t *testing.T) {
	w := newWorld(t, fakegoogle.Options{})
	server := httptest.NewServer(http.RedirectHandler("http://169.254.169.254/", http.StatusFound))
	defer server.Close()
	w.transport["idp.test"] = server.Config.Handler
	w.fails(credential(location, "federation", federation(map[string]string{"url": "https://idp.test/"})), regcred.Unavailable, "redirects")
}
