package oidc_test

import (
	"context"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/provider/oidc"
	"regcred.dev/regcredtest"
	"regcred.dev/regcredtest/fakeoidc"
)

// recorder notes what was sent: method, URL, the headers that matter, and body.
type recorder struct {
	next http.RoundTripper
	seen func(host string)
	sent []string
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	if r.seen != nil {
		r.seen(req.URL.Host)
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	req.Body = io.NopCloser(strings.NewReader(string(body)))
	lines := []string{req.Method + " " + req.URL.String()}
	for _, name := range []string{"Accept", "Authorization", "Content-Type", "User-Agent"} {
		if values := req.Header.Values(name); len(values) > 0 {
			lines = append(lines, name+": "+strings.Join(values, ", "))
		}
	}
	r.sent = append(r.sent, strings.Join(append(lines, "", string(body)), "\n"))
	return r.next.RoundTrip(req)
}

const (
	discovery = "GET https://id.example.com/realms/ci/.well-known/openid-configuration\nAccept: application/json\nUser-Agent: regcred\n\n"
	// The client's name and secret, each encoded as in a form, then together in
	// base64: regcred%3Aci:canary+4711%2Fcanary%2B
	basic = "Authorization: Basic cmVnY3JlZCUzQWNpOmNhbmFyeSs0NzExJTJGY2FuYXJ5JTJC\n"
	form  = "Content-Type: application/x-www-form-urlencoded\nUser-Agent: regcred\n\n"
)

// TestRequests shows what is sent, byte for byte.
func TestRequests(t *testing.T) {
	const answer = `{"access_token":"LOGIN","token_type":"Bearer","expires_in":600}`
	tests := []struct {
		name     string
		location string
		settings []string
		want     []string
	}{
		{
			// RFC 8693, section 2.1
			"exchange", "registry.example.com",
			[]string{
				"token-url=https://sts.example.com/as/token.oauth2", "token=accVkjcJyb4BWCxGsndESCJQbdFMogUC5PbRDqceLTC", "username=u",
				"resource=https://backend.example.com/api", "subject-token-type=access_token",
			},
			[]string{
				"POST https://sts.example.com/as/token.oauth2\nAccept: application/json\n" + form +
					"grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&resource=https%3A%2F%2Fbackend.example.com%2Fapi" +
					"&subject_token=accVkjcJyb4BWCxGsndESCJQbdFMogUC5PbRDqceLTC&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token",
			},
		},
		{
			"all parameters, as a client", "registry.example.com",
			[]string{
				"token-url=https://sts.example.com/token", "token=SUBJECT", "username=u", "client-id=regcred:ci", "client-secret=canary 4711/canary+",
				"audience=a b", "scope=x y", "requested-token-type=urn:example:type",
			},
			[]string{
				"POST https://sts.example.com/token\nAccept: application/json\n" + basic + form +
					"audience=a+b&grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&requested_token_type=urn%3Aexample%3Atype" +
					"&scope=x+y&subject_token=SUBJECT&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt",
			},
		},
		{
			"issuer, then its own exchange", "registry.example.com",
			byIssuer("username=u", "audience=a"),
			[]string{
				discovery,
				"POST https://id.example.com/realms/ci/token\nAccept: application/json\n" + basic + form + "grant_type=client_credentials",
				"POST https://id.example.com/realms/ci/token\nAccept: application/json\n" + basic + form +
					"audience=a&grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token=LOGIN&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt",
			},
		},
		{
			"issuer, then a token service that is not told of its client", "registry.example.com",
			byIssuer("username=u", "token-url=https://sts.example.com/token"),
			[]string{
				discovery,
				"POST https://id.example.com/realms/ci/token\nAccept: application/json\n" + basic + form + "grant_type=client_credentials",
				"POST https://sts.example.com/token\nAccept: application/json\n" + form +
					"grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token=LOGIN&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt",
			},
		},
		{
			"issuer alone", "registry.example.com",
			byIssuer("username=u", "exchange=none", "audience=a", "scope=x y"),
			[]string{
				discovery,
				"POST https://id.example.com/realms/ci/token\nAccept: application/json\n" + basic + form + "audience=a&grant_type=client_credentials&scope=x+y",
			},
		},
		{
			"Quay", "quay.io",
			[]string{"exchange=quay", "username=acme+puller", "token=SUBJECT", "lifetime=1h"},
			[]string{"GET https://quay.io/oauth2/federation/robot/token\nAccept: application/json\nAuthorization: Basic YWNtZStwdWxsZXI6U1VCSkVDVA==\nUser-Agent: regcred\n\n"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case strings.HasSuffix(r.URL.Path, "openid-configuration"):
					_, _ = io.WriteString(w, `{"issuer":"`+issuer+`","token_endpoint":"`+issuer+`/token"}`)
				case r.URL.Path == "/oauth2/federation/robot/token":
					_, _ = io.WriteString(w, `{"token":"LOGIN"}`)
				default:
					_, _ = io.WriteString(w, answer)
				}
			})
			sent := &recorder{next: regcredtest.HandlerTransport{"id.example.com": handler, "sts.example.com": handler, "quay.io": handler}}
			login, err := oidc.New(oidc.Options{Transport: sent}).Mint(t.Context(), credential(t, test.location, test.settings...))
			if err != nil || login.Password.Reveal() != "LOGIN" {
				t.Errorf("a password of %d bytes, %v", len(login.Password.Reveal()), err)
			}
			if diff := cmp.Diff(test.want, sent.sent); diff != "" {
				t.Error("requests (-want +got):", diff)
			}
		})
	}
}

// TestIdentities mints with each source of a token, each way to exchange it and
// each way to say when it expires.
func TestIdentities(t *testing.T) {
	for _, source := range []string{"token", "token-file", "issuer"} {
		for _, exchange := range []string{"rfc8693", "quay", "none"} {
			for _, silent := range []bool{false, true} {
				if source == "token" && exchange == "none" {
					continue // refused
				}
				synctest.Test(t, func(t *testing.T) {
					o := options()
					o.Silent = silent
					if source != "issuer" {
						o.ClientID = ""
					}
					fake := fakeoidc.New(o)
					subject := fake.Subject(time.Hour)
					settings := map[string][]string{
						"token":      {"token=" + subject},
						"token-file": {"token-file=" + tokenFile(t, subject)},
						"issuer":     byIssuer(),
					}[source]
					if exchange == "rfc8693" && source != "issuer" {
						settings = append(settings, "token-url="+issuer+"/token")
					}
					login, err := provider(fake).Mint(t.Context(), credential(t, "quay.io", append(settings, "exchange="+exchange, "username="+robot)...))
					if err != nil {
						t.Fatalf("%s, %s: %v", source, exchange, err)
					}
					if left := time.Until(login.ExpiresAt); left != time.Hour || login.Username != robot {
						t.Errorf("%s, %s: user %q, for %s", source, exchange, login.Username, left)
					}
				})
			}
		}
	}
}

// TestTokenFile shows that a file is read at each mint, and what is no token in
// it. Its content is never shown.
func TestTokenFile(t *testing.T) {
	o := options()
	o.ClientID = ""
	fake := fakeoidc.New(o)
	file := tokenFile(t, "")
	c := credential(t, "quay.io", "exchange=quay", "username="+robot, "token-file="+file)
	tests := []struct{ content, want string }{
		{fake.Subject(time.Hour), ""},
		{"\n" + fake.Subject(time.Hour) + "\r\n", ""},
		{"", "empty"},
		{"\n", "empty"},
		{"canary-4711\ncanary-4712", "more than a token"},
		{"root:x:0:0:root canary-4711:/root:/bin/sh", "more than a token"},
		{strings.Repeat("canary-4711", 10000), "more than 65536 bytes"},
		{"canary-\x004711", "more than a token"},
	}
	for _, test := range tests {
		if err := os.WriteFile(file, []byte(test.content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := provider(fake).Mint(t.Context(), c)
		if test.want == "" && err != nil {
			t.Errorf("%.20q: %v", test.content, err)
		}
		if test.want != "" && (regcred.CodeOf(err) != regcred.Unavailable || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "471")) {
			t.Errorf("%.20q: %s: %v, want %q", test.content, regcred.CodeOf(err), err, test.want)
		}
	}
	dir := t.TempDir()
	for name, want := range map[string]string{dir: "no regular file", filepath.Join(dir, "none"): "no such file", os.DevNull: "no regular file"} {
		c.Settings["token-file"] = name
		_, err := provider(fake).Mint(t.Context(), c)
		if regcred.CodeOf(err) != regcred.Unavailable || !strings.Contains(err.Error(), want) || strings.Count(err.Error(), name) != 1 {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}

// quayCredential is one that the fake's Quay accepts.
func quayCredential(t *testing.T, fake *fakeoidc.Server) regcred.Credential {
	t.Helper()
	return credential(t, "quay.io", "exchange=quay", "username="+robot, "token="+fake.Subject(fakeoidc.Lifetime))
}

// TestSkew shows that clocks that differ cost nothing, however the expiry is said.
func TestSkew(t *testing.T) {
	for _, skew := range []time.Duration{-24 * time.Hour, -5 * time.Minute, 0, 5 * time.Minute, 24 * time.Hour} {
		for _, silent := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				o := options()
				o.Skew, o.Silent = skew, silent
				fake := fakeoidc.New(o)
				for _, c := range []regcred.Credential{quayCredential(t, fake), credential(t, "registry.example.com", byIssuer("username=u")...)} {
					login, err := provider(fake).Mint(t.Context(), c)
					if err != nil {
						t.Fatalf("skew %s: %v", skew, err)
					}
					if left := time.Until(login.ExpiresAt); left < time.Hour-3*time.Second || left > time.Hour {
						t.Errorf("skew %s: the login lives %s", skew, left)
					}
				}
			})
		}
	}
}

// TestSlowAnswer shows that the time that an answer took is part of a lifetime.
func TestSlowAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options()
		o.Slow, o.Opaque = 10*time.Second, true
		c := credential(t, "registry.example.com", byIssuer("username=u", "exchange=none")...)
		login, err := provider(fakeoidc.New(o)).Mint(t.Context(), c)
		if err != nil || time.Until(login.ExpiresAt) != time.Hour-10*time.Second {
			t.Errorf("the login lives %s, %v", time.Until(login.ExpiresAt), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		began := time.Now()
		_, err = provider(fakeoidc.New(o)).Mint(ctx, c)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 3*time.Second {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
	})
}

// TestLifetime shows that the setting counts where nothing else says it.
func TestLifetime(t *testing.T) {
	for _, silent := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			o := options()
			o.Opaque, o.Silent = true, silent
			c := credential(t, "registry.example.com", byIssuer("username=u", "exchange=none")...)
			_, err := provider(fakeoidc.New(o)).Mint(t.Context(), c)
			if (regcred.CodeOf(err) == regcred.Unavailable && strings.Contains(err.Error(), "lifetime")) != silent {
				t.Errorf("nothing says the expiry: %t, and %v", silent, err)
			}
			set(&c, "lifetime=15m")
			login, err := provider(fakeoidc.New(o)).Mint(t.Context(), c)
			want := map[bool]time.Duration{false: time.Hour, true: 15 * time.Minute}[silent]
			if err != nil || time.Until(login.ExpiresAt) != want {
				t.Errorf("the login lives %s, want %s: %v", time.Until(login.ExpiresAt), want, err)
			}
		})
	}
}

func TestThrottled(t *testing.T) {
	o := options()
	o.Throttle, o.RetryAfter = -1, 7*time.Second
	fake := fakeoidc.New(o)
	for _, c := range []regcred.Credential{quayCredential(t, fake), credential(t, "registry.example.com", byIssuer("username=u")...)} {
		_, err := provider(fake).Mint(t.Context(), c)
		e, ok := errors.AsType[*regcred.Error](err)
		if !ok || e.Code != regcred.Throttled || e.RetryAfter != 7*time.Second {
			t.Errorf("%v: %+v", err, e)
		}
	}
}

// TestRedirects shows that tokens and secrets stay with whom they are for.
func TestRedirects(t *testing.T) {
	evil := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("%s was asked, with Authorization of %d bytes", r.URL, len(r.Header.Get("Authorization")))
	})
	for _, to := range []string{"https://evil.example.com/", "https://quay.io:8443/", "http://quay.io/x", "https://x.quay.io/", "https://x.id.example.com/"} {
		o := options()
		o.Redirect = to
		fake := fakeoidc.New(o)
		hosts := transport(fake)
		hosts["evil.example.com"], hosts["quay.io:8443"], hosts["x.quay.io"], hosts["x.id.example.com"] = evil, evil, evil, evil
		for _, c := range []regcred.Credential{
			quayCredential(t, fake),
			credential(t, "registry.example.com", byIssuer("username=u")...),
			credential(t, "registry.example.com", "username=u", "token-url="+issuer+"/token", "token=canary-4711"),
		} {
			_, err := oidc.New(oidc.Options{Transport: hosts}).Mint(t.Context(), c)
			if regcred.CodeOf(err) != regcred.Unavailable || !strings.Contains(err.Error(), "redirects") {
				t.Errorf("%s: %v", to, err)
			}
		}
	}
}

// TestTLS shows that a service whose certificate nobody vouches for is not talked
// to, and one that an admin vouches for is.
func TestTLS(t *testing.T) {
	o := options()
	o.ClientID, o.Issuer = "", "https://id.example.com"
	fake := fakeoidc.New(o)
	server := httptest.NewUnstartedServer(fake)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	p := oidc.New(oidc.Options{})
	for _, c := range []regcred.Credential{
		credential(t, "registry.example.com", "username=u", "token-url="+server.URL+"/token", "token="+fake.Subject(time.Hour)),
		credential(t, "quay.io", "host=quay.io", "exchange=quay", "username="+robot, "token-url="+server.URL+"/oauth2/federation/robot/token", "token="+fake.Subject(time.Hour)),
	} {
		asked := len(fake.Calls())
		_, err := p.Mint(t.Context(), c)
		if regcred.CodeOf(err) != regcred.Unavailable || !strings.Contains(err.Error(), "certificate") || len(fake.Calls()) != asked {
			t.Errorf("a certificate of nobody: %v", err)
		}
		c.Settings["ca"] = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
		if _, err := p.Mint(t.Context(), c); err != nil {
			t.Errorf("a certificate that an admin named: %v", err)
		}
	}
}

// TestLocalAddresses shows that the provider's own transport reaches no metadata
// service, whoever names it.
func TestLocalAddresses(t *testing.T) {
	for _, host := range []string{"169.254.169.254", "[::ffff:169.254.169.254]", "[fd00:ec2::254]"} {
		_, err := oidc.New(oidc.Options{}).Mint(t.Context(), credential(t, "registry.example.com", "username=u", "token=x", "token-url=https://"+host+"/"))
		if regcred.CodeOf(err) != regcred.Unavailable || !strings.Contains(err.Error(), "is not asked") {
			t.Errorf("%s: %v", host, err)
		}
	}
}
