package github_test

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/provider/github"
	"regcred.dev/regcredtest"
	"regcred.dev/regcredtest/fakegithub"
)

// edKey is a private key that is not of the kind RSA.
func edKey() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)) }

// under serves a handler below a path.
func under(path string, h http.Handler) http.Handler { return http.StripPrefix(path, h) }

// recorder notes what was sent.
type recorder struct {
	next http.RoundTripper

	lines   []string // method and URL
	headers []http.Header
	bodies  []string
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	body := ""
	if req.Body != nil {
		data, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		body = string(data)
		req.Body = io.NopCloser(strings.NewReader(body))
	}
	r.lines = append(r.lines, req.Method+" "+req.URL.String())
	r.headers = append(r.headers, req.Header.Clone())
	r.bodies = append(r.bodies, body)
	return r.next.RoundTrip(req)
}

// TestRequests shows what is sent, byte for byte where GitHub documents it.
func TestRequests(t *testing.T) {
	const post = "POST https://api.github.com/app/installations/7890123/access_tokens"
	tests := []struct {
		name    string
		changes []string
		user    bool
		lines   []string
		body    string
	}{
		{"by number", nil, false, []string{post}, `{"permissions":{"packages":"read"}}`},
		{"push", []string{"push=true"}, false, []string{post}, `{"permissions":{"packages":"write"}}`},
		{
			"narrowed", []string{"repositories=app, tools"}, false,
			[]string{post}, `{"repositories":["app","tools"],"permissions":{"packages":"read"}}`,
		},
		{
			"an organization", []string{"installation-id=", "owner=acme"}, false,
			[]string{"GET https://api.github.com/orgs/acme/installation", post}, `{"permissions":{"packages":"read"}}`,
		},
		{
			"a user", []string{"installation-id=", "owner=acme"}, true,
			[]string{"GET https://api.github.com/orgs/acme/installation", "GET https://api.github.com/users/acme/installation", post},
			`{"permissions":{"packages":"read"}}`,
		},
		{
			"GitHub Enterprise", []string{"endpoint=https://github.corp.example/api/v3/", "host=ghcr.io"}, false,
			[]string{"POST https://github.corp.example/api/v3/app/installations/7890123/access_tokens"}, `{"permissions":{"packages":"read"}}`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := options()
			o.OwnerIsUser = test.user
			fake := fakegithub.New(o)
			sent := &recorder{next: regcredtest.HandlerTransport{api: fake, "github.corp.example": under("/api/v3", fake)}}
			login, err := github.New(github.Options{Transport: sent}).Mint(t.Context(), credential(t, test.changes...))
			if err != nil {
				t.Fatal(err)
			}
			if login.Username != "x-access-token" || !strings.HasPrefix(login.Password.Reveal(), "ghs_") {
				t.Errorf("the login is %q with %d bytes", login.Username, len(login.Password.Reveal()))
			}
			if diff := cmp.Diff(test.lines, sent.lines); diff != "" {
				t.Error("requests (-want +got):", diff)
			}
			last := len(sent.bodies) - 1
			if sent.bodies[last] != test.body || strings.Join(sent.bodies[:last], "") != "" {
				t.Errorf("bodies %q, want none, then %s", sent.bodies, test.body)
			}
			for _, h := range sent.headers {
				checkHeaders(t, h)
			}
			if h := sent.headers[last]; h.Get("Content-Type") != "application/json" {
				t.Errorf("Content-Type %q", h.Get("Content-Type"))
			}
		})
	}
}

// checkHeaders checks the headers that GitHub asks for, and the JWT.
func checkHeaders(t *testing.T, h http.Header) {
	t.Helper()
	for name, want := range map[string]string{
		"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28", "User-Agent": "regcred",
	} {
		if got := h.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	text := strings.TrimPrefix(h.Get("Authorization"), "Bearer ")
	head, err := base64.RawURLEncoding.DecodeString(strings.Split(text, ".")[0])
	if err != nil || string(head) != `{"alg":"RS256","typ":"JWT"}` {
		t.Errorf("the JWT's header is %s, %v", head, err)
	}
	token, err := jwt.ParseSigned(text, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := token.Claims(&appKey().PublicKey, &claims); err != nil {
		t.Fatal(err)
	}
	issued, expires := claims["iat"].(float64), claims["exp"].(float64)
	if claims["iss"] != "123456" || len(claims) != 3 || expires-issued != 600 {
		t.Errorf("the JWT's claims are %v", claims)
	}
	if age := time.Since(time.Unix(int64(issued), 0)); age < 55*time.Second || age > 2*time.Minute {
		t.Errorf("the JWT was issued %s ago", age)
	}
}

// TestKeys shows the forms in which a key may come.
func TestKeys(t *testing.T) {
	raw := pkcs1(appKey())
	encoded := base64.StdEncoding.EncodeToString([]byte(raw))
	forms := map[string]string{
		"PKCS #1": raw, "PKCS #8": pkcs8(appKey()), "base64": encoded,
		"base64 in lines":        encoded[:76] + "\n" + encoded[76:152] + "\r\n" + encoded[152:] + "\n",
		"base64 of PKCS #8":      base64.StdEncoding.EncodeToString([]byte(pkcs8(appKey()))),
		"Windows line ends":      strings.ReplaceAll(raw, "\n", "\r\n"),
		"without a last line":    strings.TrimSpace(raw),
		"text in front":          "Key of the app\n" + raw,
		"spaces at both ends":    "  \n" + raw + "\n  ",
		"another label in PEM":   string(pem.EncodeToMemory(&pem.Block{Type: "KEY", Bytes: decode(raw)})),
		"a key that is no app's": "",
	}
	for name, text := range forms {
		c := withKey(credential(t), text)
		if text == "" {
			c = withKey(c, pkcs1(otherKey()))
		}
		_, err := provider(fakegithub.New(options())).Mint(t.Context(), c)
		if (err != nil) != (text == "") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func decode(text string) []byte {
	block, _ := pem.Decode([]byte(text))
	return block.Bytes
}

// TestSkew shows that clocks that differ cost nothing: neither the proof nor the
// expiry is off.
func TestSkew(t *testing.T) {
	for _, skew := range []time.Duration{-24 * time.Hour, -5 * time.Minute, -30 * time.Second, 0, 30 * time.Second, 5 * time.Minute, 24 * time.Hour} {
		for _, by := range []string{"installation-id=7890123", "installation-id="} {
			synctest.Test(t, func(t *testing.T) {
				o := options()
				o.Skew = skew
				fake := fakegithub.New(o)
				c := credential(t, by)
				if by == "installation-id=" {
					c.Settings["owner"] = "acme"
				}
				login, err := provider(fake).Mint(t.Context(), c)
				if err != nil {
					t.Fatalf("skew %s: %v", skew, err)
				}
				if left := time.Until(login.ExpiresAt); left < time.Hour-3*time.Second || left > time.Hour {
					t.Errorf("skew %s: the login lives %s", skew, left)
				}
				if calls := fake.Calls(); calls[fakegithub.CallToken]+calls[fakegithub.CallOrganization] > 3 {
					t.Errorf("skew %s: calls %v, want one more at most", skew, calls)
				}
			})
		}
	}
}

// TestWrongKey shows that a refusal is not tried again while the clocks agree.
func TestWrongKey(t *testing.T) {
	fake := fakegithub.New(options())
	c := withKey(credential(t), pkcs1(otherKey()))
	_, err := provider(fake).Mint(t.Context(), c)
	if regcred.CodeOf(err) != regcred.Denied || fake.Calls()[fakegithub.CallToken] != 1 {
		t.Errorf("%d calls: %v", fake.Calls()[fakegithub.CallToken], err)
	}
}

// TestRefusals shows how GitHub's refusals read.
func TestRefusals(t *testing.T) {
	tests := []struct {
		name    string
		o       func(*fakegithub.Options)
		changes []string
		want    string
	}{
		{"another app", func(o *fakegithub.Options) { o.AppID = "1" }, nil, "Integration not found (is private-key a key of app 123456"},
		{"another key", func(o *fakegithub.Options) { o.Key = &otherKey().PublicKey }, nil, "could not be decoded (is private-key"},
		{"uninstalled", func(o *fakegithub.Options) { o.Installation = 1 }, nil, "app 123456 has no installation 7890123"},
		{"nobody", nil, []string{"installation-id=", "owner=nobody"}, "app 123456 has no installation nobody"},
		{"suspended", func(o *fakegithub.Options) { o.Suspended = true }, nil, "unsuspend"},
		{"no permission", func(o *fakegithub.Options) { o.Packages = "" }, nil, "give the app the permission Packages"},
		{"may not push", func(o *fakegithub.Options) { o.Packages = "read" }, []string{"push=true"}, "not granted"},
		{"another repository", nil, []string{"repositories=app,secret"}, "cover the repositories"},
	}
	for _, test := range tests {
		o := options()
		if test.o != nil {
			test.o(&o)
		}
		_, err := provider(fakegithub.New(o)).Mint(t.Context(), credential(t, test.changes...))
		if regcred.CodeOf(err) != regcred.Denied || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), api) {
			t.Errorf("%s: %s: %v, want %q", test.name, regcred.CodeOf(err), err, test.want)
		}
	}
}

// TestThrottled shows each way in which GitHub says that there were too many
// requests.
func TestThrottled(t *testing.T) {
	tests := []struct {
		name      string
		secondary bool
		after     time.Duration
		skew      time.Duration
		want      time.Duration
	}{
		{"the hour's limit", false, 0, 0, 40 * time.Minute},
		{"the hour's limit, by another clock", false, 0, 10 * time.Minute, 30 * time.Minute},
		{"the secondary limit", true, 0, 0, time.Minute},
		{"the secondary limit, with a time", true, 90 * time.Second, 0, 90 * time.Second},
	}
	for _, test := range tests {
		synctest.Test(t, func(t *testing.T) {
			<-time.After(20 * time.Minute) // simulated time begins at a full hour
			o := options()
			o.Throttle, o.RetryAfter, o.Secondary, o.Skew = -1, test.after, test.secondary, test.skew
			_, err := provider(fakegithub.New(o)).Mint(t.Context(), credential(t))
			e, ok := errors.AsType[*regcred.Error](err)
			if !ok || e.Code != regcred.Throttled || e.RetryAfter.Round(5*time.Second) != test.want {
				t.Errorf("%s: %v, want to wait %s: %+v", test.name, err, test.want, e)
			}
		})
	}
}

// TestGarbage shows that no answer that makes no sense becomes a login, and that
// the token in it is not shown.
func TestGarbage(t *testing.T) {
	for _, kind := range []string{"html", "cut", "void", "huge", "no-token", "no-expiry", "bad-expiry"} {
		fake := fakegithub.New(options())
		q := fake.Quirks()
		q.Garbage = fakegithub.Garbage(kind)
		fake.Set(q)
		_, err := provider(fake).Mint(t.Context(), credential(t))
		if regcred.CodeOf(err) != regcred.Unavailable || strings.Contains(err.Error(), "ghs_") {
			t.Errorf("%s: %s: %v", kind, regcred.CodeOf(err), err)
		}
	}
}

// TestAnswers shows answers that the fake does not give.
func TestAnswers(t *testing.T) {
	tests := []struct {
		name   string
		status int
		body   string
		code   regcred.Code
		want   string
	}{
		{"a token with a line break", 201, `{"token":"ghs_\r\nX: y","expires_at":"2099-01-01T00:00:00Z"}`, regcred.Unavailable, `"token"`},
		{"a token that is a number", 201, `{"token":1,"expires_at":"2099-01-01T00:00:00Z"}`, regcred.Unavailable, "JSON"},
		{"a token for ever", 201, `{"token":"ghs_1","expires_at":"9999-12-31T23:59:59-23:59"}`, regcred.Unavailable, "more than a week"},
		{"an array", 201, `[]`, regcred.Unavailable, "JSON"},
		{"accepted", 202, `{}`, regcred.Unavailable, `"token"`},
		{"server error", 502, `<html>Unicorn!</html>`, regcred.Unavailable, "502"},
		{"plain refusal", 403, `no`, regcred.Denied, "403"},
		{"429", 429, `{"message":"slow"}`, regcred.Throttled, "slow"},
		{"an echo of the proof", 401, `{"message":"JWT 'PROOF' is bad"}`, regcred.Denied, "JWT *** is bad"},
		{"an echo of the key", 422, `{"message":"KEY is bad"}`, regcred.Denied, ": *** is bad"},
	}
	for _, test := range tests {
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(test.status)
			proof, key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), strings.Fields(pkcs1(appKey()))[5]
			_, _ = strings.NewReplacer("PROOF", proof[:200], "KEY", key).WriteString(w, test.body)
		})
		p := github.New(github.Options{Transport: regcredtest.HandlerTransport{api: handler}})
		_, err := p.Mint(t.Context(), credential(t))
		if regcred.CodeOf(err) != test.code || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %s: %v, want %s and %q", test.name, regcred.CodeOf(err), err, test.code, test.want)
		}
	}
}

// TestInstallationAnswers shows answers to the search for an installation that
// find none.
func TestInstallationAnswers(t *testing.T) {
	for _, body := range []string{`{"id":0}`, `{"id":-1}`, `{"id":"7/../8"}`, `{}`, `[]`, `<html>`, ``} {
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet {
				t.Errorf("%s: it goes on to %s", body, r.URL.Path)
			}
			_, _ = io.WriteString(w, body)
		})
		p := github.New(github.Options{Transport: regcredtest.HandlerTransport{api: handler}})
		_, err := p.Mint(t.Context(), credential(t, "installation-id=", "owner=acme"))
		if regcred.CodeOf(err) != regcred.Unavailable || !strings.Contains(err.Error(), "no installation that can be used") {
			t.Errorf("%s: %s: %v", body, regcred.CodeOf(err), err)
		}
	}
}

// TestRedirects shows that the proof stays with whom it is for.
func TestRedirects(t *testing.T) {
	evil := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("%s was asked, with Authorization of %d bytes", r.URL, len(r.Header.Get("Authorization")))
	})
	for _, to := range []string{"https://evil.example.com/", "https://api.github.com:8443/", "http://api.github.com/x", "https://x.api.github.com/"} {
		o := options()
		o.Redirect = to
		transport := regcredtest.HandlerTransport{api: fakegithub.New(o), "evil.example.com": evil, "api.github.com:8443": evil, "x.api.github.com": evil}
		_, err := github.New(github.Options{Transport: transport}).Mint(t.Context(), credential(t))
		if regcred.CodeOf(err) != regcred.Unavailable || !strings.Contains(err.Error(), "redirects") {
			t.Errorf("%s: %v", to, err)
		}
	}
}

// TestSlow shows that a mint ends with its context.
func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options()
		o.Slow = time.Hour
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		began := time.Now()
		_, err := provider(fakegithub.New(o)).Mint(ctx, credential(t))
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 3*time.Second {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
	})
}

// TestTLS shows that an API whose certificate nobody vouches for is not talked to,
// and one that an admin vouches for is.
func TestTLS(t *testing.T) {
	fake := fakegithub.New(options())
	server := httptest.NewUnstartedServer(under("/api/v3", fake))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	c := credential(t, "endpoint="+server.URL+"/api/v3", "host=ghcr.io")
	p := github.New(github.Options{})
	_, err := p.Mint(t.Context(), c)
	if regcred.CodeOf(err) != regcred.Unavailable || !strings.Contains(err.Error(), "certificate") || len(fake.Calls()) != 0 {
		t.Errorf("a certificate of nobody: %v", err)
	}
	c.Settings["ca"] = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	if _, err := p.Mint(t.Context(), c); err != nil {
		t.Errorf("a certificate that an admin named: %v", err)
	}
}

// TestLocalAddresses shows that the provider's own transport reaches no metadata
// service.
func TestLocalAddresses(t *testing.T) {
	for _, host := range []string{"169.254.169.254", "[::ffff:169.254.169.254]", "[fd00:ec2::254]"} {
		_, err := github.New(github.Options{}).Mint(t.Context(), credential(t, "endpoint=https://"+host, "host=ghcr.io"))
		if regcred.CodeOf(err) != regcred.Unavailable || !strings.Contains(err.Error(), "is not asked") {
			t.Errorf("%s: %v", host, err)
		}
	}
}

// TestAnswerJSON shows that fields GitHub adds do not matter.
func TestAnswerJSON(t *testing.T) {
	want := time.Now().Add(time.Hour).Truncate(time.Second)
	body, err := json.Marshal(map[string]any{
		"token": "ghs_16C7e42F292c6912E7710c838347Ae178B4a", "expires_at": want.UTC().Format(time.RFC3339),
		"permissions": map[string]string{"packages": "read"}, "repository_selection": "selected", "repositories": []any{map[string]any{"id": 1}},
	})
	if err != nil {
		t.Fatal(err)
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write(body)
	})
	p := github.New(github.Options{Transport: regcredtest.HandlerTransport{api: handler}})
	login, err := p.Mint(t.Context(), credential(t))
	if err != nil || login.Password.Reveal() != "ghs_16C7e42F292c6912E7710c838347Ae178B4a" || !login.ExpiresAt.Equal(want) {
		t.Errorf("it expires at %s, %v", login.ExpiresAt, err)
	}
}
