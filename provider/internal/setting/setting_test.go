package setting_test

import (
	"encoding/pem"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/imageref"
	"regcred.dev/provider/internal/setting"
)

func credential(name, value string) regcred.Credential {
	return regcred.Credential{Settings: map[string]string{name: value}}
}

// checkInvalid checks that an error is for a user who is to change the field.
func checkInvalid(t *testing.T, err error, field string) {
	t.Helper()
	if err == nil || regcred.CodeOf(err) != regcred.Invalid || !strings.Contains(err.Error(), field) {
		t.Errorf("error %v, want an invalid %q", err, field)
	}
}

func TestFields(t *testing.T) {
	for _, f := range []regcred.Field{setting.HostField("h"), setting.EndpointField("the issuer", "e"), setting.CAField()} {
		if !f.Admin || f.Secret || f.Required || f.Example == "" || !strings.HasSuffix(f.Doc, ".") {
			t.Errorf("%+v", f)
		}
	}
}

func TestList(t *testing.T) {
	for text, want := range map[string][]string{
		"a": {"a"}, "a,b": {"a", "b"}, " a ,\tb\n": {"a", "b"}, "a b": {"a b"}, "a,a": {"a", "a"},
	} {
		got, err := setting.List(credential("x", text), "x")
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v, want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"", " ", ",", "a,", ",a", "a,,b", "a, ,b"} {
		_, err := setting.List(credential("x", text), "x")
		checkInvalid(t, err, `"x"`)
	}
	if got, err := setting.List(regcred.Credential{}, "x"); got != nil || err != nil {
		t.Errorf("not set: %q, %v", got, err)
	}
}

func TestBool(t *testing.T) {
	for text, want := range map[string]bool{"true": true, "false": false, "1": true, "0": false, "True": true, "F": false} {
		if got, err := setting.Bool(credential("x", text), "x"); err != nil || got != want {
			t.Errorf("%q: %t, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "yes", "on", " true", "tRue", "2"} {
		_, err := setting.Bool(credential("x", text), "x")
		checkInvalid(t, err, `"x"`)
	}
	if got, err := setting.Bool(regcred.Credential{}, "x"); got || err != nil {
		t.Errorf("not set: %t, %v", got, err)
	}
}

func TestURL(t *testing.T) {
	for _, text := range []string{
		"https://issuer.example", "https://issuer.example/", "https://issuer.example:8443/a/b", "HTTPS://issuer.example",
		"https://10.0.0.1", "https://[fd00::1]:443/x", "https://issuer",
		"http://localhost:4566", "http://127.0.0.1", "http://127.9.9.9:1/x", "http://[::1]:80",
	} {
		u, err := setting.URL(credential("x", text), "x")
		if err != nil || !strings.EqualFold(u.String(), text) {
			t.Errorf("%q: %v, %v", text, u, err)
		}
	}
	for _, text := range []string{
		"", "issuer.example", "issuer.example:443", "/path", "//issuer.example", "https:issuer.example", "https://", "https:///path",
		"https://:443", "https://:443/path", "https://user@issuer.example", "https://user:canary@issuer.example", "https://@issuer.example",
		"https://issuer.example?a=b", "https://issuer.example?", "https://issuer.example#a", "https://issuer.example:0",
		"https://issuer.example:65536", "https://issuer.example:", "https://issuer.example:x", " https://issuer.example", "https://issuer example",
		"https://issuer.example\n", "ftp://issuer.example", "file:///etc/passwd", "javascript:alert(1)", "https://%zz", "https://issuer.example/%zz",
		"http://issuer.example", "http://127.evil.example", "http://127.0.0.1.evil.example", "http://localhost.evil.example", "http://127.1",
		"http://10.0.0.1", "http://[::ffff:10.0.0.1]", "http://0.0.0.0", "http://[::]", "http://2130706433",
	} {
		_, err := setting.URL(credential("x", text), "x")
		checkInvalid(t, err, `"x"`)
		if err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("a password in %v", err)
		}
	}
	if u, err := setting.URL(regcred.Credential{}, "x"); u != nil || err != nil {
		t.Errorf("not set: %v, %v", u, err)
	}
}

func TestPool(t *testing.T) {
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	good := block("CERTIFICATE", server.Certificate().Raw)

	for _, text := range []string{good, good + good, "# Acme's authority\n\n" + good + "\n", strings.ReplaceAll(good, "\n", "\r\n")} {
		pool, err := setting.Pool(credential(setting.CA, text))
		if err != nil {
			t.Fatal(err)
		}
		want, err := setting.Pool(credential(setting.CA, good))
		if err != nil || !pool.Equal(want) {
			t.Errorf("another pool of %q, %v", text, err)
		}
	}
	key := block("PRIVATE KEY", []byte("canary"))
	for _, text := range []string{
		"", "canary", "/etc/ssl/ca.pem", key, good + key, block("CERTIFICATE", []byte("canary")), good + block("CERTIFICATE", nil),
		good[:len(good)-20], good + good[:len(good)-20], good[:len(good)-20] + good, strings.Replace(good, "CERTIFICATE", "canary", 1),
	} {
		_, err := setting.Pool(credential(setting.CA, text))
		checkInvalid(t, err, `"ca"`)
		if err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("content in %v", err)
		}
	}
	if pool, err := setting.Pool(regcred.Credential{}); pool != nil || err != nil {
		t.Errorf("not set: %v, %v", pool, err)
	}
}

func TestHosts(t *testing.T) {
	for text, want := range map[string][]string{
		"proxy.corp.example":                  {"proxy.corp.example"},
		"Proxy.Corp.example:443, b.example:5": {"proxy.corp.example", "b.example:5"},
		"10.0.0.1:5000":                       {"10.0.0.1:5000"},
		"[FD00::1]":                           {"[fd00::1]"},
		"localhost:5000":                      {"localhost:5000"},
	} {
		got, err := setting.Hosts(credential(setting.Host, text))
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%q: %s%v", text, diff, err)
		}
	}
	for _, text := range []string{
		"", ",", "a.example,", "a.example/path", "https://a.example", "user@a.example", "a.example:0", "a.example:x", "*.example.com",
		"amazonaws.com", "azurecr.io", "co.uk", "a b.example", "a.example.", "bücher.example", "a.example?b", "-a.example",
	} {
		_, err := setting.Hosts(credential(setting.Host, text))
		checkInvalid(t, err, `"host"`)
	}
	if got, err := setting.Hosts(regcred.Credential{}); got != nil || err != nil {
		t.Errorf("not set: %q, %v", got, err)
	}
}

func TestNoPassword(t *testing.T) {
	info := regcred.ProviderInfo{Name: "acme"}
	if err := setting.NoPassword(info, credential("x", "y")); err != nil {
		t.Error(err)
	}
	for _, c := range []regcred.Credential{{Username: "u"}, {Password: regcred.NewSecret("canary")}} {
		err := setting.NoPassword(info, c)
		checkInvalid(t, err, "provider acme")
		if strings.Contains(err.Error(), "canary") {
			t.Errorf("the password in %v", err)
		}
	}
}

// FuzzSettings reads a value in every way: what is accepted keeps to what is
// promised, and what is not names the field.
func FuzzSettings(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		c := regcred.Credential{Settings: map[string]string{"x": text, setting.Host: text, setting.CA: text}}
		before := maps.Clone(c.Settings)
		if list, err := setting.List(c, "x"); err != nil {
			checkInvalid(t, err, `"x"`)
		} else if slices.Contains(list, "") || slices.ContainsFunc(list, func(s string) bool { return strings.TrimSpace(s) != s }) {
			t.Errorf("list %q", list)
		}
		if u, err := setting.URL(c, "x"); err != nil {
			checkInvalid(t, err, `"x"`)
		} else if u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Scheme != "https" && u.Scheme != "http" {
			t.Errorf("URL %q", u)
		}
		if hosts, err := setting.Hosts(c); err != nil {
			checkInvalid(t, err, `"host"`)
		} else {
			for _, host := range hosts {
				if l, err := imageref.ParseLocation(host); err != nil || l.String() != host {
					t.Errorf("host %q of %q is not canonical: %v", host, text, err)
				}
			}
		}
		if _, err := setting.Pool(c); err != nil {
			checkInvalid(t, err, `"ca"`)
		}
		if !maps.Equal(before, c.Settings) {
			t.Errorf("the settings have changed: %q", c.Settings)
		}
	})
}
