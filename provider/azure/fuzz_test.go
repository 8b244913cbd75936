package azure

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"regcred.dev"
	"regcred.dev/internal/web"
)

// FuzzReadToken: whatever an issuer answers, a token is one that a header and a
// config file can carry, and an error quotes nothing of the answer.
func FuzzReadToken(f *testing.F) {
	f.Add([]byte(`{"refresh_token":"eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjE0OTc5OTA4MDF9.c2ln"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		token, err := readToken(body, "refresh_token")
		if err != nil {
			if !token.IsZero() || len(err.Error()) > 100 {
				t.Fatalf("a token comes with %v", err)
			}
			return
		}
		text := token.Reveal()
		if text == "" || len(text) > 64<<10 || strings.ContainsAny(text, " :\"\r\n\x00") {
			t.Fatalf("%q is taken for a token", text)
		}
		if !json.Valid(body) {
			t.Fatalf("%q is read, which is no JSON", body)
		}
	})
}

// FuzzDetails: whatever an issuer answers, only its codes and words of ours are
// shown of it.
func FuzzDetails(f *testing.F) {
	f.Add([]byte(`{"error":"invalid_client","error_codes":[7000215],"error_description":"AADSTS7000215: canary"}`))
	f.Add([]byte(`{"errors":[{"code":"UNAUTHORIZED","message":"canary"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, detail := range []string{entraDetail(body), registryDetail(web.Answer{Status: 401, Body: body}, settings{})} {
			if len(detail) > 300 || strings.ContainsFunc(detail, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Fatalf("%q is shown", detail)
			}
			if bytes.Contains(body, []byte("canary")) && strings.Contains(detail, "canary") {
				t.Fatalf("%q shows what the issuer said", detail)
			}
		}
	})
}

// FuzzScopes: what is accepted is a list of scopes as registries have them, and
// means the same when it is read again.
func FuzzScopes(f *testing.F) {
	f.Add("repository:acme/app:pull,push, repository:base:pull")
	f.Fuzz(func(t *testing.T, text string) {
		var s settings
		err := readScopes(regcred.Credential{Settings: map[string]string{settingScope: text}}, &s)
		if err != nil {
			if regcred.CodeOf(err) != regcred.Invalid || len(err.Error()) > 1000 {
				t.Fatalf("%s, %d bytes: %v", regcred.CodeOf(err), len(err.Error()), err)
			}
			return
		}
		for _, scope := range s.scopes {
			if parts := strings.Split(scope, ":"); len(parts) != 3 || strings.ContainsAny(scope, " &=\n") {
				t.Fatalf("%q is taken for a scope", scope)
			}
		}
		for _, separator := range []string{" ", ",", "\n, "} {
			if again := splitScopes(strings.Join(s.scopes, separator)); !slices.Equal(again, s.scopes) {
				t.Fatalf("%q is read as %q and as %q", text, s.scopes, again)
			}
		}
	})
}

// FuzzCertificate: no text makes the parsers fail badly, and no error quotes it.
func FuzzCertificate(f *testing.F) {
	f.Add("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := readCertificate(regcred.NewSecret(text))
		if (c == nil) == (err == nil) {
			t.Fatalf("certificate %v, error %v", c, err)
		}
		if err != nil && (regcred.CodeOf(err) != regcred.Invalid || len(err.Error()) > 300) {
			t.Fatalf("%s: %v", regcred.CodeOf(err), err)
		}
	})
}
