package probe_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/probe"
)

// checkSilent looks for secrets in what a probe says.
func checkSilent(t *testing.T, report probe.Report, err error) {
	t.Helper()
	said := fmt.Sprintf("%+v %q", report, report.Steps)
	if err != nil {
		said += err.Error()
	}
	for _, secret := range []string{"canary", "CANARY", base64.StdEncoding.EncodeToString([]byte(user + ":" + password))} {
		if strings.Contains(said, secret) {
			t.Errorf("a secret is said: %s", said)
		}
	}
}

func checkError(t *testing.T, err error, code regcred.Code, part string) {
	t.Helper()
	switch {
	case part == "" && err != nil:
		t.Errorf("error %v", err)
	case part != "" && (err == nil || regcred.CodeOf(err) != code || !strings.Contains(err.Error(), part)):
		t.Errorf("error %v (%s), want %s with %q", err, regcred.CodeOf(err), code, part)
	}
}

// TestStyles asks registries of each vendor's style.
func TestStyles(t *testing.T) {
	styles := map[string]func(*fake){
		"distribution, Harbor, Docker Hub": func(f *fake) { f.Reduced = true },
		"GitHub":                           func(f *fake) { f.Forbidden = http.StatusForbidden },
		"Quay": func(f *fake) {
			f.Reduced = true
			f.Forbidden = http.StatusForbidden
		},
		"a token service without scopes of others": func(f *fake) { f.Scopeless = http.StatusNotFound },
		"a token service that does not say why":    func(f *fake) { f.Scopeless = http.StatusBadRequest },
		"Azure": func(f *fake) {
			f.TokenBody, f.ListDenied = `{"access_token": %q}`, true
		},
		"Google": func(f *fake) {
			f.Challenge = `Bearer realm="https://registry.example.com/v2/token?tenant=7",service="registry.example.com"`
			f.Reduced, f.Forbidden = true, http.StatusForbidden
			f.Before = func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path != "/v2/token" {
					return false
				}
				f.Before = nil
				f.serveToken(w, r)
				return true
			}
		},
		"Amazon": func(f *fake) {
			f.Challenge, f.Forbidden = `Basic realm="https://registry.example.com/",service="ecr.amazonaws.com"`, http.StatusForbidden
		},
		"two challenges": func(f *fake) {
			f.Challenge = `Negotiate abc==, BASIC realm="a \"b\", Bearer realm=", bearer  REALM = "https://auth.example.net/token?tenant=7" , service="registry.example.com"`
		},
	}
	tests := []struct {
		repository, password string
		accepted, pull       bool
		code                 regcred.Code
		want                 string
	}{
		{"", password, true, false, 0, ""},
		{"", "canary-wrong", false, false, regcred.Denied, "refuses the login (status 401)"},
		{"acme/app", password, true, true, 0, ""},
		{"acme/app:v1", password, true, true, 0, ""},
		{"acme/app", "canary-wrong", false, false, regcred.Denied, "refuses the login (status 401)"},
		{"acme/denied", password, true, false, regcred.Denied, "may not pull acme/denied"},
		{"acme/none", password, true, false, regcred.NotFound, "has no repository acme/none"},
	}
	for name, style := range styles {
		for _, test := range tests {
			t.Run(name+"/"+test.repository+"/"+test.password, func(t *testing.T) {
				f := newFake(t)
				style(f)
				report, err := probe.New(probe.Options{Transport: f.transport()}).
					Probe(t.Context(), registryHost, login(test.password), test.repository)
				checkSilent(t, report, err)
				if name == "Azure" && test.repository == "acme/none" {
					// Whether it exists it does not tell to a login that may only pull.
					test.want, test.pull = "", true
				}
				checkError(t, err, test.code, test.want)
				if report.Accepted != test.accepted || report.Pull != test.pull || report.Anonymous {
					t.Errorf("report %+v", report)
				}
			})
		}
	}
}

// TestSteps shows a whole report, and the requests behind it.
func TestSteps(t *testing.T) {
	f := newFake(t)
	f.Reduced = true
	report, err := probe.New(probe.Options{Transport: f.transport()}).Probe(t.Context(), "docker.io", regcred.Login{
		Username: user, Password: regcred.NewSecret(password), Hosts: []string{"docker.io"},
	}, "nginx")
	if err != nil {
		t.Fatal(err)
	}
	checkSilent(t, report, err)
	want := probe.Report{Accepted: true, Pull: true, Steps: []probe.Step{
		{Asked: "GET https://registry-1.docker.io/v2/", Answered: "401, DENIED, asks for Bearer"},
		{Asked: "HEAD https://registry-1.docker.io/v2/library/nginx/manifests/latest", Answered: "401, DENIED, asks for Bearer, insufficient_scope"},
		{Asked: "GET https://auth.example.net/token for a token to pull library/nginx with the login", Answered: "200"},
		{Asked: "HEAD https://registry-1.docker.io/v2/library/nginx/manifests/latest with the token", Answered: "404, MANIFEST_UNKNOWN"},
		{Asked: "GET https://registry-1.docker.io/v2/library/nginx/tags/list with the token", Answered: "200"},
	}}
	if diff := cmp.Diff(want, report); diff != "" {
		t.Error(diff)
	}
	requests := []string{
		"GET registry-1.docker.io/v2/",
		"HEAD registry-1.docker.io/v2/library/nginx/manifests/latest",
		"GET auth.example.net/token?scope=repository%3Alibrary%2Fnginx%3Apull&service=registry.example.com&tenant=7 Basic",
		"HEAD registry-1.docker.io/v2/library/nginx/manifests/latest Bearer",
		"GET registry-1.docker.io/v2/library/nginx/tags/list?n=1 Bearer",
	}
	if diff := cmp.Diff(requests, f.seen()); diff != "" {
		t.Error(diff)
	}
	if got, want := report.Steps[2].String(), report.Steps[2].Asked+" -> 200"; got != want {
		t.Errorf("a step is %q, want %q", got, want)
	}
}

// TestHandsOutAll shows that a token service that takes any login is found out by
// a repository.
func TestHandsOutAll(t *testing.T) {
	f := newFake(t)
	f.HandsOutAll, f.Reduced = true, true
	p := probe.New(probe.Options{Transport: f.transport()})
	report, err := p.Probe(t.Context(), registryHost, login("canary-wrong"), "")
	if err != nil || !report.Accepted {
		t.Errorf("without a repository: %+v, %v", report, err)
	}
	_, err = p.Probe(t.Context(), registryHost, login("canary-wrong"), "acme/app")
	checkError(t, err, regcred.Denied, "may not pull acme/app")
}

func TestAnonymous(t *testing.T) {
	tests := []struct {
		name                 string
		set                  func(*fake)
		repository, password string
		want                 probe.Report
		code                 regcred.Code
		part                 string
	}{
		{"no logins at all", func(f *fake) { f.Challenge = "" }, "", password, probe.Report{Accepted: true, Anonymous: true}, 0, ""},
		{"a wrong one is refused", func(f *fake) { f.Challenge = "" }, "", "canary-wrong", probe.Report{Anonymous: true}, regcred.Denied, "refuses the login"},
		{"a public repository", func(f *fake) { f.Challenge = "" }, "acme/app", password, probe.Report{Accepted: true, Anonymous: true, Pull: true}, 0, ""},
		{"a repository that asks", func(f *fake) { f.AnonymousPing = true }, "acme/app", password, probe.Report{Accepted: true, Pull: true}, 0, ""},
		{"a repository that asks, and a wrong login", func(f *fake) { f.AnonymousPing = true }, "acme/app", "canary-wrong", probe.Report{}, regcred.Denied, "refuses the login"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := newFake(t)
			test.set(f)
			report, err := probe.New(probe.Options{Transport: f.transport()}).Probe(t.Context(), registryHost, login(test.password), test.repository)
			checkSilent(t, report, err)
			checkError(t, err, test.code, test.part)
			report.Steps = nil
			if diff := cmp.Diff(test.want, report); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestInvalid has what is refused before anybody is asked.
func TestInvalid(t *testing.T) {
	f := newFake(t)
	tests := []struct {
		host, repository string
		login            regcred.Login
		want             string
	}{
		{"registry.example.com/acme", "", login(password), "is no registry host"},
		{"", "", login(password), "is no registry host"},
		{"user@registry.example.com", "", login(password), "is no registry host"},
		{"registry.example.com:0", "", login(password), "is no registry host"},
		{registryHost, "", login(""), "no login to try"},
		{registryHost, "../../token", login(password), "is no repository"},
		{registryHost, "acme/app?n=1", login(password), "is no repository"},
		{"registry.example.com.evil.example", "", login(password), "wrong registry: the login is for registry.example.com, not for registry.example.com.evil.example"},
		{"registry.example.com:5000", "", login(password), "wrong registry"},
		{"sub.registry.example.com", "", login(password), "wrong registry"},
	}
	for _, test := range tests {
		report, err := probe.New(probe.Options{Transport: f.transport()}).Probe(t.Context(), test.host, test.login, test.repository)
		checkSilent(t, report, err)
		checkError(t, err, regcred.Invalid, test.want)
	}
	if len(f.seen()) != 0 {
		t.Errorf("requests %q", f.seen())
	}
}

// TestAnswers has what registries and token services should not answer.
func TestAnswers(t *testing.T) {
	at := func(host, path string, status int, header ...string) func(*fake) {
		return func(f *fake) {
			f.Before = func(w http.ResponseWriter, r *http.Request) bool {
				if r.Host != host || r.URL.Path != path {
					return false
				}
				for i := 0; i < len(header); i += 2 {
					w.Header().Set(header[i], header[i+1])
				}
				w.WriteHeader(status)
				return true
			}
		}
	}
	manifest := "/v2/acme/app/manifests/latest"
	tests := []struct {
		name string
		set  func(*fake)
		code regcred.Code
		want string
	}{
		{"no registry", at(registryHost, "/v2/", 404), regcred.Invalid, "is no registry"},
		{"a web site that has everything", at(registryHost, "/v2/", 200, "Content-Type", "text/html; charset=utf-8"), regcred.Invalid, "with status 200 and a web page"},
		{"nothing", at(registryHost, "/v2/", 204), regcred.Invalid, "with status 204"},
		{"a web site", at(registryHost, "/v2/", 302, "Location", "https://www.example.com/canary"), regcred.Unavailable, "redirects (status 302)"},
		{"throttled", at(registryHost, "/v2/", 429, "Retry-After", "30"), regcred.Throttled, "status 429"},
		{"down", at(registryHost, "/v2/", 503), regcred.Unavailable, "status 503"},
		{"no challenge", at(registryHost, "/v2/", 401), regcred.Unavailable, "neither by Basic nor by Bearer"},
		{"another scheme", at(registryHost, "/v2/", 401, "WWW-Authenticate", "Negotiate"), regcred.Unavailable, "neither by Basic nor by Bearer"},
		{"a malformed challenge", at(registryHost, "/v2/", 401, "WWW-Authenticate", `Bearer realm="https://auth.example.net/token`), regcred.Unavailable, "malformed"},
		{"no token service", at(tokenHost, "/token", 404), regcred.Unavailable, "there is no token service where registry.example.com says"},
		{"token service throttles", at(tokenHost, "/token", 429), regcred.Throttled, "auth.example.net asks to be asked less often"},
		{"token service redirects", at(tokenHost, "/token", 307, "Location", "https://registry.example.com/"), regcred.Unavailable, "redirects (status 307)"},
		{"token service is down", at(tokenHost, "/token", 500), regcred.Unavailable, "status 500"},
		{"a token without a body", at(tokenHost, "/token", 200), regcred.Unavailable, "is not JSON"},
		{"no token", func(f *fake) { f.TokenBody = `{"tokens": %q}` }, regcred.Unavailable, "has no token that can be used"},
		{"a token with a line break", func(f *fake) { f.Token = func(string) string { return "canary\nX: y" } }, regcred.Unavailable, "has no token that can be used"},
		{"an endless token", func(f *fake) { f.Token = func(string) string { return strings.Repeat("canary", 20<<10) } }, regcred.Unavailable, "has no token that can be used"},
		{"an endless answer", func(f *fake) { f.Token = func(string) string { return strings.Repeat("canary", 1<<20) } }, regcred.Unavailable, "more than 1048576 bytes"},
		{"a token that is refused", func(f *fake) { f.Token = func(string) string { return "canary-other" } }, regcred.Denied, "may not pull acme/app (status 401)"},
		{"the repository throttles", at(registryHost, manifest, 429), regcred.Throttled, "status 429"},
		{"the repository redirects", at(registryHost, manifest, 307, "Location", "https://cdn.example.com/"), regcred.Unavailable, "redirects (status 307)"},
		{"the repository is broken", at(registryHost, manifest, 500), regcred.Unavailable, "status 500"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := newFake(t)
			test.set(f)
			report, err := probe.New(probe.Options{Transport: f.transport()}).Probe(t.Context(), registryHost, login(password), "acme/app")
			checkSilent(t, report, err)
			checkError(t, err, test.code, test.want)
			if report.Pull || len(report.Steps) == 0 {
				t.Errorf("report %+v", report)
			}
		})
	}
}

// TestClocks shows that a refusal that comes of times says so.
func TestClocks(t *testing.T) {
	jwt := func(claims string) string {
		return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2ln"
	}
	dated := func(skew time.Duration) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Date", time.Now().Add(skew).UTC().Format(http.TimeFormat))
			return false
		}
	}
	tests := []struct {
		name string
		set  func(*fake, *regcred.Login)
		want string
	}{
		{"ahead", func(f *fake, _ *regcred.Login) {
			f.Before = dated(5 * time.Minute)
			f.Token = func(string) string { return "canary" }
		}, "; its clock is 5m0s ahead of this machine's"},
		{"behind", func(f *fake, _ *regcred.Login) {
			f.Before = dated(-time.Hour)
			f.Token = func(string) string { return "canary" }
		}, "; its clock is 59m59s behind this machine's"},
		{"not yet valid", func(f *fake, _ *regcred.Login) {
			f.Before = dated(0)
			f.Token = func(string) string { return jwt(fmt.Sprintf(`{"nbf": %d}`, time.Now().Add(time.Hour).Unix())) }
		}, "; the token is not valid there before 2000-01-01T01:00:00Z: its issuer's clock is ahead"},
		{"no longer valid", func(f *fake, _ *regcred.Login) {
			f.Before = dated(0)
			f.Token = func(string) string { return jwt(fmt.Sprintf(`{"exp": %d}`, time.Now().Add(-time.Hour).Unix())) }
		}, "; the token is not valid there after 1999-12-31T23:00:00Z: its issuer's clock is behind"},
		{"expired", func(f *fake, l *regcred.Login) {
			f.Token = func(string) string { return "canary" }
			l.ExpiresAt = time.Now().Add(-time.Minute)
		}, "; the login expired at 1999-12-31T23:59:00Z"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t)
				l := login(password)
				test.set(f, &l)
				for _, repository := range []string{"", "acme/app"} {
					report, err := probe.New(probe.Options{Transport: f.transport()}).Probe(t.Context(), registryHost, l, repository)
					checkSilent(t, report, err)
					checkError(t, err, regcred.Denied, test.want)
				}
			})
		})
	}
}

// TestTime shows that a registry that does not answer ends a probe, and which error
// that is.
func TestTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		f.Before = func(_ http.ResponseWriter, r *http.Request) bool {
			<-r.Context().Done()
			return true
		}
		p := probe.New(probe.Options{Transport: f.transport()})
		start := time.Now()
		report, err := p.Probe(t.Context(), registryHost, login(password), "")
		checkError(t, err, regcred.Unavailable, "did not answer within 30s")
		if took := time.Since(start); took != probe.MaxTime || len(report.Steps) != 1 {
			t.Errorf("it took %s: %+v", took, report)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := p.Probe(ctx, registryHost, login(password), ""); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want the context's", err)
		}
	})
}

// failing is a transport that fails at one request.
type failing struct {
	http.RoundTripper
	at int
}

func (f *failing) RoundTrip(req *http.Request) (*http.Response, error) {
	f.at--
	if f.at < 0 {
		return nil, errors.New("canary")
	}
	return f.RoundTripper.RoundTrip(req)
}

// TestBroken ends the connection at each request in turn: the report goes as far as
// the probe did.
func TestBroken(t *testing.T) {
	for _, challenge := range []string{"", `Basic realm="x"`} {
		for at := 0; ; at++ {
			f := newFake(t)
			f.Reduced = true
			if challenge != "" {
				f.Challenge = challenge
			}
			report, err := probe.New(probe.Options{Transport: &failing{f.transport(), at}}).Probe(t.Context(), registryHost, login(password), "acme/app")
			checkSilent(t, report, err)
			if err == nil {
				if at < 4 || len(report.Steps) != at {
					t.Errorf("%d requests, report %+v", at, report)
				}
				break
			}
			checkError(t, err, regcred.Unavailable, "cannot be reached")
			if len(report.Steps) != at+1 || report.Pull || !strings.Contains(report.Steps[at].Answered, "cannot be reached") {
				t.Errorf("failed at %d: %+v", at, report)
			}
		}
	}
}
