package clustertoken_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/clustertoken"
	"regcred.dev/internal/web"
	"regcred.dev/regcredtest"
	"regcred.dev/regcredtest/fakecluster"
)

const (
	issuer   = "https://kubernetes.default.svc"
	audience = "regcred"
)

// newOIDC returns a verifier whose issuer is the fake.
func newOIDC(fake http.Handler, change func(*clustertoken.OIDCOptions)) *clustertoken.OIDC {
	o := clustertoken.OIDCOptions{
		Issuer: issuer, Audience: audience,
		Client: web.New(web.Options{Transport: regcredtest.HandlerTransport{"kubernetes.default.svc": fake, "keys.example.com": fake}}),
	}
	if change != nil {
		change(&o)
	}
	return clustertoken.NewOIDC(o)
}

func TestOIDC(t *testing.T) {
	for _, ec := range []bool{false, true} {
		fake := fakecluster.New(fakecluster.Options{Issuer: issuer, ECDSA: ec})
		id, err := newOIDC(fake, nil).Verify(t.Context(), time.Now(), fake.Token(time.Now(), "shop", audience))
		want := clustertoken.Identity{Namespace: "shop", ServiceAccount: "default", Pod: "web-1", Node: "node-1"}
		if diff := cmp.Diff(want, id); err != nil || diff != "" {
			t.Errorf("ECDSA %v: %v %s", ec, err, diff)
		}
	}
}

// changed returns the fake's claims for now, with changes; a value that is nil is left
// out.
func changed(fake *fakecluster.Server, now time.Time, changes map[string]any) map[string]any {
	c := fake.Claims(now, "shop", audience)
	for name, value := range changes {
		if value == nil {
			delete(c, name)
		} else {
			c[name] = value
		}
	}
	return c
}

// TestClaims shows tokens that the issuer signed, each with one claim that is wrong.
func TestClaims(t *testing.T) {
	fake := fakecluster.New(fakecluster.Options{Issuer: issuer})
	o := newOIDC(fake, nil)
	now := time.Now()
	k8s := func(changes map[string]any) map[string]any {
		k := maps.Clone(fake.Claims(now, "shop", audience)["kubernetes.io"].(map[string]any))
		maps.Copy(k, changes)
		return map[string]any{"kubernetes.io": k}
	}
	for _, test := range []struct {
		name    string
		changes map[string]any
		want    string // "": it is accepted
	}{
		{"nothing", nil, ""},
		{"one audience as text", map[string]any{"aud": audience}, ""},
		{"two audiences", map[string]any{"aud": []string{"vault", audience}}, ""},
		{"expired within the leeway", map[string]any{"exp": now.Add(-10 * time.Second).Unix()}, ""},
		{"clock ahead within the leeway", map[string]any{"nbf": now.Add(10 * time.Second).Unix(), "iat": now.Add(10 * time.Second).Unix()}, ""},
		{"no node, as before Kubernetes 1.30", k8s(map[string]any{"node": nil}), ""},
		{"another audience", map[string]any{"aud": []string{"https://kubernetes.default.svc"}}, "another audience"},
		{"an audience that begins alike", map[string]any{"aud": []string{audience + ".evil"}}, "another audience"},
		{"an audience in capitals", map[string]any{"aud": []string{"REGCRED"}}, "another audience"},
		{"no audience", map[string]any{"aud": nil}, "another audience"},
		{"another issuer", map[string]any{"iss": "https://kubernetes.default.svc.evil"}, "another cluster issued it"},
		{"the issuer with a slash", map[string]any{"iss": issuer + "/"}, "another cluster issued it"},
		{"expired", map[string]any{"exp": now.Add(-time.Minute).Unix()}, "it expired at"},
		{"no expiry", map[string]any{"exp": nil}, "it never expires"},
		{"an expiry of null", map[string]any{"exp": json.RawMessage("null")}, "it never expires"},
		{"an expiry in words", map[string]any{"exp": "tomorrow"}, "malformed"},
		{"not yet", map[string]any{"nbf": now.Add(time.Minute).Unix()}, "not valid yet"},
		{"issued in the future", map[string]any{"iat": now.Add(time.Minute).Unix()}, "issued in the future"},
		{"a year's", map[string]any{"iat": now.Add(-3 * time.Hour).Unix(), "exp": now.AddDate(1, 0, 0).Unix()}, "it was issued at"},
		{"no time of issue", map[string]any{"iat": nil}, "when it was issued"},
		{"a long one that is new", map[string]any{"exp": now.AddDate(1, 0, 0).Unix()}, ""},
		{"a user", map[string]any{"sub": "admin"}, "not of a service account"},
		{"another's subject", map[string]any{"sub": "system:serviceaccount:bank:default"}, "not of a service account"},
		{"another namespace than its subject's", k8s(map[string]any{"namespace": "bank"}), "not of a service account"},
		{"no kubernetes claims", map[string]any{"kubernetes.io": nil}, "not of a service account"},
		{"no namespace", k8s(map[string]any{"namespace": ""}), "not of a service account"},
		{"no pod", k8s(map[string]any{"pod": nil}), "not bound to a pod"},
		{"claims of the wrong type", map[string]any{"kubernetes.io": "shop"}, "malformed"},
		{"annotations that name another scope", k8s(map[string]any{"annotations": map[string]string{"regcred.dev/organization": "bank"}}), ""},
	} {
		id, err := o.Verify(t.Context(), now, fake.Sign(changed(fake, now, test.changes), nil))
		if test.want == "" {
			if err != nil || id.Namespace != "shop" {
				t.Errorf("%s: %+v, %v", test.name, id, err)
			}
			continue
		}
		if regcred.CodeOf(err) != regcred.Unauthenticated || !strings.Contains(err.Error(), test.want) || id.Namespace != "" {
			t.Errorf("%s: %+v, %v, want %q", test.name, id, err, test.want)
		}
	}
}

// TestAttacks shows tokens that somebody else made of what is public.
func TestAttacks(t *testing.T) {
	fake := fakecluster.New(fakecluster.Options{Issuer: issuer})
	o := newOIDC(fake, nil)
	now := time.Now()
	kid := fake.Key().ID
	claims := fake.Claims(now, "shop", audience)
	own, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	good := strings.Split(fake.Token(now, "shop", audience), ".")
	der, err := x509.MarshalPKIXPublicKey(fake.Key().Signer.Public())
	must(t, err)
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})

	for name, raw := range map[string]string{
		"nothing":                        "",
		"dots":                           "..",
		"no JWT":                         "shop",
		"alg none":                       unsigned(t, map[string]any{"alg": "none", "kid": kid}, claims, nil),
		"alg none, with a signature":     unsigned(t, map[string]any{"alg": "none", "kid": kid}, claims, []byte("x")),
		"alg None":                       unsigned(t, map[string]any{"alg": "nOnE", "kid": kid}, claims, nil),
		"HS256 with the public key":      hs256(t, map[string]any{"alg": "HS256", "kid": kid}, claims, public),
		"HS256 with the key in DER":      hs256(t, map[string]any{"alg": "HS256", "kid": kid}, claims, der),
		"HS256 with an empty key":        hs256(t, map[string]any{"alg": "HS256", "kid": kid}, claims, nil),
		"the kid with another key":       signed(t, jose.RS256, own, claims, map[string]any{"kid": kid}),
		"the kid with a key of its kind": signed(t, jose.ES256, ec, claims, map[string]any{"kid": kid}),
		"RS384":                          signed(t, jose.RS384, fake.Key().Signer, claims, map[string]any{"kid": kid}),
		"PS256":                          signed(t, jose.PS256, fake.Key().Signer, claims, map[string]any{"kid": kid}),
		"an embedded key":                signed(t, jose.RS256, own, claims, map[string]any{"jwk": jose.JSONWebKey{Key: own.Public()}}),
		"an embedded key, and the kid":   signed(t, jose.RS256, own, claims, map[string]any{"kid": kid, "jwk": jose.JSONWebKey{Key: own.Public(), KeyID: kid}}),
		"a URL of keys":                  signed(t, jose.RS256, own, claims, map[string]any{"kid": kid, "jku": "https://keys.example.com/jwks"}),
		"no kid":                         signed(t, jose.RS256, fake.Key().Signer, claims, nil),
		"a kid that is a path":           signed(t, jose.RS256, own, claims, map[string]any{"kid": "../../../dev/null"}),
		"a critical extension":           signed(t, jose.RS256, fake.Key().Signer, claims, map[string]any{"kid": kid, "crit": []string{"exp"}}),
		"other claims, same signature":   good[0] + "." + segment(t, fake.Claims(now, "bank", audience)) + "." + good[2],
		"no signature":                   good[0] + "." + good[1] + ".",
		"a line break":                   good[0] + "." + good[1] + "." + good[2][:10] + "\n" + good[2][10:],
		"JSON":                           `{"payload":"` + good[1] + `","protected":"` + good[0] + `","signature":"` + good[2] + `"}`,
		"10 MiB of header":               strings.Repeat("A", 10<<20) + "." + good[1] + "." + good[2],
		"10 MiB of dots":                 strings.Repeat(".", 10<<20),
		"10 MiB of claims":               good[0] + "." + strings.Repeat("A", 10<<20) + "." + good[2],
	} {
		id, err := o.Verify(t.Context(), now, raw)
		if regcred.CodeOf(err) != regcred.Unauthenticated || id.Namespace != "" {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
	}
	if n := fake.Calls(fakecluster.JWKSPath); n != 1 {
		t.Errorf("the keys were read %d times", n)
	}
	if _, err := o.Verify(t.Context(), now, strings.Join(good, ".")); err != nil {
		t.Errorf("the good token: %v", err)
	}
}

// TestSymmetricKey shows an issuer that publishes a secret: nothing is signed by it.
func TestSymmetricKey(t *testing.T) {
	fake := fakecluster.New(fakecluster.Options{Issuer: issuer})
	secret := []byte("a secret that is published")
	fake.Set(fakecluster.Quirks{Body: `{"keys":[{"kty":"oct","kid":"k","k":"` + base64.RawURLEncoding.EncodeToString(secret) + `"}]}`})
	claims := fake.Claims(time.Now(), "shop", audience)
	_, err := newOIDC(fake, nil).Verify(t.Context(), time.Now(), hs256(t, map[string]any{"alg": "HS256", "kid": "k"}, claims, secret))
	if regcred.CodeOf(err) != regcred.Unauthenticated {
		t.Error(err)
	}
	_, err = newOIDC(fake, nil).Verify(t.Context(), time.Now(), fake.Sign(claims, nil))
	if regcred.CodeOf(err) != regcred.Unavailable || !strings.Contains(err.Error(), "no key that verifies") {
		t.Error(err)
	}
}

func unsigned(t *testing.T, header, claims map[string]any, signature []byte) string {
	return segment(t, header) + "." + segment(t, claims) + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func hs256(t *testing.T, header, claims map[string]any, key []byte) string {
	input := segment(t, header) + "." + segment(t, claims)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(input))
	return input + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func signed(t *testing.T, alg jose.SignatureAlgorithm, key any, claims, header map[string]any) string {
	t.Helper()
	o := &jose.SignerOptions{ExtraHeaders: map[jose.HeaderKey]any{}}
	for name, value := range header {
		o.ExtraHeaders[jose.HeaderKey(name)] = value
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, o)
	must(t, err)
	content, err := json.Marshal(claims)
	must(t, err)
	jws, err := signer.Sign(content)
	must(t, err)
	raw, err := jws.CompactSerialize()
	must(t, err)
	return raw
}

func segment(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	must(t, err)
	return base64.RawURLEncoding.EncodeToString(data)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// FuzzVerify holds that no text becomes an identity but what the issuer signed, and
// that none crashes.
func FuzzVerify(f *testing.F) {
	fake := fakecluster.New(fakecluster.Options{Issuer: issuer})
	now := time.Now()
	good := fake.Token(now, "shop", audience)
	f.Add(good)
	f.Add("eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL2t1YmVybmV0ZXMuZGVmYXVsdC5zdmMifQ.")
	f.Add(`{"payload":"e30","protected":"eyJhbGciOiJSUzI1NiJ9","signature":""}`)
	o := newOIDC(fake, nil)
	clusters := clustertoken.Clusters{{Name: "c", Issuer: issuer, Verifier: o, Scope: func(id clustertoken.Identity) (regcred.Scope, error) {
		return regcred.SpaceScope("acme", id.Namespace), nil
	}}}
	f.Fuzz(func(t *testing.T, raw string) {
		caller, err := clusters.Authenticate(context.Background(), now, raw)
		if err == nil && (raw != good || caller.Scope != regcred.SpaceScope("acme", "shop")) {
			t.Errorf("accepted %q as %v", raw, caller)
		}
	})
}
