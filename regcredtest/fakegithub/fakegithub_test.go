package fakegithub_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"regcred.dev/regcredtest/fakegithub"
)

// sign returns a JWT that works with a few changes.
func sign(t *testing.T, key jose.SigningKey, change func(*jwt.Claims)) string {
	t.Helper()
	signer, err := jose.NewSigner(key, nil)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	claims := jwt.Claims{Issuer: "app", IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(10 * time.Minute))}
	change(&claims)
	text, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestVerify shows which JWTs are refused, and in which words.
func TestVerify(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		rs256 := jose.SigningKey{Algorithm: jose.RS256, Key: key}
		same := func(*jwt.Claims) {}
		fake := fakegithub.New(fakegithub.Options{AppID: "app", Key: &key.PublicKey, Installation: 1, Packages: "read"})
		tests := []struct{ name, proof, want string }{
			{"good", sign(t, rs256, same), ""},
			{"another algorithm", sign(t, jose.SigningKey{Algorithm: jose.RS512, Key: key}, same), "could not be decoded"},
			{"signed with what is public", sign(t, jose.SigningKey{Algorithm: jose.HS256, Key: key.N.Bytes()}, same), "could not be decoded"},
			{"not signed", "eyJhbGciOiJub25lIn0.eyJpc3MiOiJhcHAifQ.", "could not be decoded"},
			{"no JWT", "x", "could not be decoded"},
			{"another app", sign(t, rs256, func(c *jwt.Claims) { c.Issuer = "other" }), "Integration not found"},
			{"not issued", sign(t, rs256, func(c *jwt.Claims) { c.IssuedAt = nil }), "'iat'"},
			{"issued in the future", sign(t, rs256, func(c *jwt.Claims) { *c.IssuedAt++ }), "'iat'"},
			{"no end", sign(t, rs256, func(c *jwt.Claims) { c.Expiry = nil }), "'exp'"},
			{"expired", sign(t, rs256, func(c *jwt.Claims) { *c.Expiry -= 600 }), "'exp'"},
			{"too long", sign(t, rs256, func(c *jwt.Claims) { *c.Expiry++ }), "too far in the future"},
		}
		for _, test := range tests {
			r := httptest.NewRequest(http.MethodPost, "/app/installations/1/access_tokens", strings.NewReader(`{"permissions":{"packages":"read"}}`))
			for name, value := range map[string]string{
				"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28", "User-Agent": "x",
				"Content-Type": "application/json", "Authorization": "Bearer " + test.proof,
			} {
				r.Header.Set(name, value)
			}
			w := httptest.NewRecorder()
			fake.ServeHTTP(w, r)
			var body struct {
				Message string `json:"message"`
				Token   string `json:"token"`
				Expires string `json:"expires_at"`
			}
			if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
				t.Fatal(err)
			}
			if test.want != "" && (w.Code != http.StatusUnauthorized || !strings.Contains(body.Message, test.want)) {
				t.Errorf("%s: status %d: %+v, want %q", test.name, w.Code, body, test.want)
			}
			in := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
			if test.want == "" && (w.Code != http.StatusCreated || body.Token == "" || body.Expires != in) {
				t.Errorf("%s: status %d: %+v", test.name, w.Code, body)
			}
		}
	})
}
