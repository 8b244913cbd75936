package cloudfoundry_test

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"regcred.dev"
	"regcred.dev/internal/jwks"
	"regcred.dev/regcredtest/fakecapi"
	"regcred.dev/regcredtest/fakeuaa"
)

// grant has tokens from the UAA's token endpoint.
func grant(t *testing.T, i installation, client, secret string, fields map[string]string) (access, refresh string) {
	t.Helper()
	form := url.Values{}
	for name, value := range fields {
		form.Set(name, value)
	}
	req := httptest.NewRequest(http.MethodPost, uaaURL+"/oauth/token", strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(client, secret)
	w := httptest.NewRecorder()
	i.uaa.ServeHTTP(w, req)
	var answer struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != http.StatusOK {
		t.Fatal(w.Code, w.Body)
	}
	return answer.Access, answer.Refresh
}

// TestClaims shows tokens that the UAA signed, each with one claim that is another.
func TestClaims(t *testing.T) {
	i := install(t, nil)
	now := time.Now()
	for _, test := range []struct {
		name    string
		changes map[string]any // nil leaves a claim out
		want    string         // in the error; "": it is accepted
	}{
		{"nothing", nil, ""},
		{"one audience as text", map[string]any{"aud": "cloud_controller"}, ""},
		{"expired within the leeway", map[string]any{"exp": now.Add(-10 * time.Second).Unix()}, ""},
		{"a clock ahead within the leeway", map[string]any{"nbf": now.Add(10 * time.Second).Unix(), "iat": now.Add(10 * time.Second).Unix()}, ""},
		{"no time of issue", map[string]any{"iat": nil}, ""},
		{"expired", map[string]any{"exp": now.Add(-time.Minute).Unix()}, "expired at"},
		{"no expiry", map[string]any{"exp": nil}, "never expires"},
		{"an expiry in words", map[string]any{"exp": "tomorrow"}, "malformed"},
		{"not valid yet", map[string]any{"nbf": now.Add(time.Minute).Unix()}, "not valid yet"},
		{"issued in the future", map[string]any{"iat": now.Add(time.Minute).Unix()}, "issued in the future"},
		{"another issuer", map[string]any{"iss": "https://uaa.evil.example.com/oauth/token"}, "another issuer"},
		{"the UAA's URL as issuer", map[string]any{"iss": uaaURL}, "another issuer"},
		{"the issuer with a slash", map[string]any{"iss": uaaURL + "/oauth/token/"}, "another issuer"},
		{"no issuer", map[string]any{"iss": nil}, "another issuer"},
		{"another audience", map[string]any{"aud": []string{"cf", "openid"}}, "audience"},
		{"an audience that begins alike", map[string]any{"aud": []string{"cloud_controller_evil", "cloud_controller.read"}}, "audience"},
		{"no audience", map[string]any{"aud": nil}, "audience"},
		{"a refresh token", map[string]any{"jti": "4f2c-r"}, "refresh token"},
		{"nobody's", map[string]any{"user_id": nil, "client_id": nil}, "nobody's"},
		{"scopes as text", map[string]any{"scope": "cloud_controller.admin"}, "malformed"},
		{"a user that is a number", map[string]any{"user_id": 7}, "malformed"},
	} {
		claims := i.uaa.Claims("alice")
		for name, value := range test.changes {
			if claims[name] = value; value == nil {
				delete(claims, name)
			}
		}
		c, err := i.Authenticate(t.Context(), now, i.uaa.Sign(claims, nil))
		switch {
		case test.want == "" && (err != nil || c.Role != regcred.RoleUser):
			t.Errorf("%s: %+v, %v", test.name, c, err)
		case test.want != "" && (regcred.CodeOf(err) != regcred.Unauthenticated || !strings.Contains(err.Error(), test.want) || c.Role != ""):
			t.Errorf("%s: %+v, %v, want %q", test.name, c, err, test.want)
		}
	}
}

// parts joins the parts of a token made by hand.
func parts(header, claims map[string]any, sign func(string) []byte) string {
	encode := func(v any) string {
		data, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		return base64.RawURLEncoding.EncodeToString(data)
	}
	signed := encode(header) + "." + encode(claims)
	return signed + "." + base64.RawURLEncoding.EncodeToString(sign(signed))
}

// TestAttacks shows tokens that somebody made of what is public: none is accepted.
func TestAttacks(t *testing.T) {
	i := install(t, nil)
	kid := i.uaa.Key().ID
	admin := i.uaa.Claims("root")
	own, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	mac := func(key string) func(string) []byte {
		return func(signed string) []byte {
			h := hmac.New(sha256.New, []byte(key))
			h.Write([]byte(signed))
			return h.Sum(nil)
		}
	}
	rs256 := func(signed string) []byte {
		sum := sha256.Sum256([]byte(signed))
		signature, err := rsa.SignPKCS1v15(rand.Reader, own, crypto.SHA256, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		return signature
	}
	none := func(string) []byte { return nil }
	header := func(alg string, more map[string]any) map[string]any {
		h := map[string]any{"alg": alg, "kid": kid, "typ": "JWT"}
		maps.Copy(h, more)
		return h
	}
	jwk, err := jose.JSONWebKey{Key: own.Public(), KeyID: kid, Algorithm: "RS256"}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	good := strings.Split(i.uaa.Token("alice"), ".")
	rest := base64.RawURLEncoding.EncodeToString
	payload, err := base64.RawURLEncoding.DecodeString(good[1])
	if err != nil {
		t.Fatal(err)
	}
	for name, raw := range map[string]string{
		"nothing":                        "",
		"dots":                           "..",
		"no JWT":                         "alice",
		"alg none":                       parts(header("none", nil), admin, none),
		"alg None":                       parts(header("None", nil), admin, none),
		"alg none, a signature":          parts(header("none", nil), admin, rs256),
		"no alg":                         parts(map[string]any{"kid": kid}, admin, rs256),
		"HS256 with the public key":      parts(header("HS256", nil), admin, mac(i.uaa.Key().PEM())),
		"HS256 with the UAA's old key":   parts(header("HS256", map[string]any{"kid": "legacy"}), admin, mac("tokenkey")),
		"HS256 with nothing":             parts(header("HS256", nil), admin, mac("")),
		"a key of one's own":             parts(header("RS256", nil), admin, rs256),
		"RS384 claimed":                  parts(header("RS384", nil), admin, rs256),
		"ES256 claimed":                  parts(header("ES256", nil), admin, rs256),
		"PS256 claimed":                  parts(header("PS256", nil), admin, rs256),
		"an embedded jwk":                parts(header("RS256", map[string]any{"jwk": json.RawMessage(jwk)}), admin, rs256),
		"jku":                            parts(header("RS256", map[string]any{"jku": "https://evil.example.com/keys"}), admin, rs256),
		"x5u":                            parts(header("RS256", map[string]any{"x5u": "https://evil.example.com/cert"}), admin, rs256),
		"x5c":                            parts(header("RS256", map[string]any{"x5c": []string{rest(own.N.Bytes())}}), admin, rs256),
		"a kid that is a path":           parts(header("RS256", map[string]any{"kid": "../../../../dev/null"}), admin, rs256),
		"a kid that is SQL":              parts(header("RS256", map[string]any{"kid": "x' UNION SELECT 'key"}), admin, rs256),
		"a kid that is a URL":            parts(header("RS256", map[string]any{"kid": "https://evil.example.com/keys"}), admin, rs256),
		"no kid":                         parts(map[string]any{"alg": "RS256"}, admin, rs256),
		"a critical header":              parts(header("RS256", map[string]any{"crit": []string{"exp"}, "exp": 1}), admin, rs256),
		"another's claims":               good[0] + "." + rest([]byte(strings.Replace(string(payload), "u-alice", "u-root", 1))) + "." + good[2],
		"no signature":                   good[0] + "." + good[1] + ".",
		"a signature cut short":          good[0] + "." + good[1] + "." + good[2][:40],
		"four parts":                     strings.Join(good, ".") + ".x",
		"a line break":                   good[0] + "." + good[1] + ".\n" + good[2],
		"a signature with padding":       strings.Join(good, ".") + "==",
		"JSON serialization":             `{"payload":"` + good[1] + `","protected":"` + good[0] + `","signature":"` + good[2] + `"}`,
		"an encrypted token":             parts(map[string]any{"alg": "dir", "enc": "A128GCM"}, admin, none) + "..",
		"oversized":                      parts(header("RS256", map[string]any{"x": strings.Repeat("a", 10<<20)}), admin, rs256),
		"many dots":                      strings.Repeat(".", 1<<20),
		"a header with a name twice":     rest([]byte(`{"alg":"none","alg":"RS256","kid":"`+kid+`"}`)) + "." + good[1] + "." + good[2],
		"deep JSON":                      rest([]byte(strings.Repeat(`[`, 20000))) + "." + good[1] + "." + good[2],
		"a refresh token of the UAA's":   i.uaa.Refresh("root"),
		"another UAA's with this name":   fakeuaa.New(fakeuaa.Options{URL: uaaURL, Users: map[string]fakeuaa.User{"root": {GUID: "u-root", Scopes: []string{"cloud_controller.admin"}}}}).Token("root"),
		"another zone's, signed as ours": i.uaa.Sign(with(admin, "iss", "https://zone.uaa.sys.example.com/oauth/token"), nil),
	} {
		c, err := i.Authenticate(t.Context(), time.Now(), raw)
		if regcred.CodeOf(err) != regcred.Unauthenticated || c.Role != "" || c.Members != nil {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
}

func with(claims map[string]any, name string, value any) map[string]any {
	claims = maps.Clone(claims)
	claims[name] = value
	return claims
}

// TestDuplicateClaims: which of two would count differs from one reader to the next.
func TestDuplicateClaims(t *testing.T) {
	i := install(t, nil)
	content, err := json.Marshal(i.uaa.Claims("alice"))
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: i.uaa.Key().Private}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, more := range map[string]string{
		"twice":           `"user_id":"u-root"`,
		"twice, a scope":  `"scope":["cloud_controller.admin"]`,
		"in another case": `"Scope":["cloud_controller.admin"],"SCOPE":["cloud_controller.admin"]`,
	} {
		jws, err := signer.Sign([]byte(string(content[:len(content)-1]) + "," + more + "}"))
		if err != nil {
			t.Fatal(err)
		}
		raw, err := jws.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		c, err := i.Authenticate(t.Context(), time.Now(), raw)
		if name == "in another case" {
			if err != nil || c.Role != regcred.RoleUser {
				t.Errorf("%s counted: %+v, %v", name, c, err)
			}
			continue
		}
		if regcred.CodeOf(err) != regcred.Unauthenticated {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
}

// TestKeyConfusion shows keys that a UAA might publish and that must verify nothing.
func TestKeyConfusion(t *testing.T) {
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(map[string]string){
		"an RSA key for HS256":    func(k map[string]string) { k["alg"], k["kty"] = "HS256", "MAC" },
		"an RSA key for none":     func(k map[string]string) { k["alg"] = "none" },
		"an RSA key called EC":    func(k map[string]string) { k["kty"] = "EC" },
		"a key for encryption":    func(k map[string]string) { k["use"] = "enc" },
		"a key that is no PEM":    func(k map[string]string) { k["value"] = "tokenkey" },
		"an RSA key for RS512":    func(k map[string]string) { k["alg"] = "RS512" },
		"a PEM of something else": func(k map[string]string) { k["value"] = strings.ReplaceAll(k["value"], "PUBLIC KEY", "RSA PUBLIC KEY") },
	} {
		i := install(t, nil)
		key := map[string]string{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "key-1", "value": i.uaa.Key().PEM()}
		second := map[string]string{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "key-0", "value": fakeuaa.Key{Private: other}.PEM()}
		change(key)
		i.hosts["uaa.sys.example.com"] = publishing(i.uaa, key, second)
		if c, err := i.Authenticate(t.Context(), time.Now(), i.uaa.Token("root")); regcred.CodeOf(err) != regcred.Unauthenticated {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
	for name, alg := range map[string]string{"no algorithm": "", "the name of UAA 3": "SHA256withRSA"} {
		i := install(t, nil)
		i.hosts["uaa.sys.example.com"] = publishing(i.uaa, map[string]string{"kty": "RSA", "alg": alg, "value": i.uaa.Key().PEM()})
		if c, err := i.Authenticate(t.Context(), time.Now(), i.uaa.Token("root")); err != nil || !c.IsAdmin() {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
}

// publishing is a UAA with these keys.
func publishing(uaa http.Handler, keys ...map[string]string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/token_keys" {
			uaa.ServeHTTP(w, r)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": keys})
	})
}

// TestKeysRotate: a new key is believed at once, under its own name or that of the old
// one; one that is gone soon no more.
func TestKeysRotate(t *testing.T) {
	for _, oneID := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			i := install(t, func(o *fakeuaa.Options) { o.OneKeyID = oneID })
			verify := func(raw string) regcred.Code {
				_, err := i.Authenticate(t.Context(), time.Now(), raw)
				synctest.Wait()
				if err == nil {
					return 0
				}
				return regcred.CodeOf(err)
			}
			long := func() string {
				return i.uaa.Sign(with(i.uaa.Claims("alice"), "exp", time.Now().Add(time.Hour).Unix()), nil)
			}
			old := long()
			if code := verify(old); code != 0 {
				t.Error(code)
			}
			time.Sleep(11 * time.Second)
			i.uaa.Rotate()
			if a, b := verify(long()), verify(old); a != 0 || b != 0 {
				t.Error("after a rotation:", a, b)
			}
			i.uaa.Forget()
			time.Sleep(11 * time.Minute)
			_ = verify(long()) // has the keys read anew
			if code := verify(old); code != regcred.Unauthenticated {
				t.Error("a key that the UAA has no more:", code)
			}
		})
	}
}

// TestVerifiedForSeconds: for a few seconds a signature is not verified again. A token that
// expires meanwhile is refused all the same, and one whose key is gone within 10 seconds.
func TestVerifiedForSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := install(t, nil)
		accepted := func(raw string) bool {
			_, err := i.Authenticate(t.Context(), time.Now(), raw)
			if err != nil && regcred.CodeOf(err) != regcred.Unauthenticated {
				t.Fatal(err)
			}
			return err == nil
		}
		brief := i.uaa.Sign(with(i.uaa.Claims("alice"), "exp", time.Now().Add(2*time.Second-jwks.Leeway).Unix()), nil)
		old := i.uaa.Token("alice")
		if !accepted(brief) || !accepted(old) {
			t.Fatal("good tokens are refused")
		}
		time.Sleep(3 * time.Second)
		if accepted(brief) || !accepted(old) {
			t.Error("expiry is not looked at")
		}
		time.Sleep(9 * time.Second) // so that the keys may be read anew
		if !accepted(old) {
			t.Error("refused while its key is good")
		}
		i.uaa.Rotate()
		i.uaa.Forget()
		if !accepted(i.uaa.Token("alice")) { // has the keys read anew
			t.Error("the new key is not believed")
		}
		time.Sleep(10 * time.Second)
		if accepted(old) || !accepted(i.uaa.Token("alice")) {
			t.Error("a token is good without its key")
		}
	})
}

// TestJunk: strangers have the keys read no oftener than every 10 seconds.
func TestJunk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := install(t, nil)
		junk := fakeuaa.New(fakeuaa.Options{URL: uaaURL}).ClientToken("cf")
		for range 1000 {
			if _, err := i.Authenticate(t.Context(), time.Now(), junk); regcred.CodeOf(err) != regcred.Unauthenticated {
				t.Fatal(err)
			}
			time.Sleep(60 * time.Millisecond) // a minute in all
		}
		if n := i.uaa.Calls()[fakeuaa.CallKeys]; n < 2 || n > 7 {
			t.Errorf("the keys were read %d times in a minute", n)
		}
		i.alice(t)
	})
}

// TestUAADown: where nobody can be asked for keys, nobody is let in; keys that are known
// serve for an hour.
func TestUAADown(t *testing.T) {
	quirks := map[string]fakeuaa.Quirks{
		"429": {Throttle: -1, RetryAfter: time.Minute}, "500": {Status: 500}, "503": {Status: 503}, "404": {Status: 404}, "401": {Status: 401},
		"timeout": {Slow: time.Hour}, "a page": {Garbage: fakeuaa.HTML}, "half": {Garbage: fakeuaa.Cut}, "nothing": {Garbage: fakeuaa.Void},
		"endless": {Garbage: fakeuaa.Huge}, "a redirect": {Redirect: "https://evil.example.com/token_keys"},
	}
	for name, q := range quirks {
		for _, whose := range []string{"UAA", "CAPI"} {
			synctest.Test(t, func(t *testing.T) {
				i := install(t, nil)
				if whose == "UAA" {
					i.uaa.Set(q)
				} else {
					i.capi.Set(fakecapi.Quirks{Quirks: q})
				}
				c, err := i.Authenticate(t.Context(), time.Now(), i.uaa.Token("root"))
				if regcred.CodeOf(err) != regcred.Unavailable || c.Role != "" {
					t.Errorf("%s of the %s: %+v, %v", name, whose, c, err)
				}
			})
		}
	}
	synctest.Test(t, func(t *testing.T) {
		i := install(t, nil)
		i.alice(t)
		i.uaa.Set(fakeuaa.Quirks{Status: 500})
		time.Sleep(59 * time.Minute)
		i.alice(t)
		time.Sleep(2 * time.Minute)
		if _, err := i.Authenticate(t.Context(), time.Now(), i.uaa.Token("alice")); regcred.CodeOf(err) != regcred.Unavailable {
			t.Errorf("after an hour: %v", err)
		}
	})
}

// TestWhereTheUAAIs: CAPI must name an https URL.
func TestWhereTheUAAIs(t *testing.T) {
	for _, href := range []string{"", "http://uaa.sys.example.com", "uaa.sys.example.com", "https://u:p@uaa.sys.example.com", "file:///etc", "https://uaa.sys.example.com?x=", "https://nowhere.example.com"} {
		i := install(t, nil)
		i.hosts["api.sys.example.com"] = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_ = json.NewEncoder(w).Encode(map[string]any{"links": map[string]any{"uaa": map[string]string{"href": href}}})
		})
		if _, err := i.Authenticate(t.Context(), time.Now(), i.uaa.Token("root")); regcred.CodeOf(err) != regcred.Unavailable {
			t.Errorf("%q: %v", href, err)
		}
	}
}
