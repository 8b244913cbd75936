package config_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"regexp"
	"strings"
	"testing"

	"regcred.dev"
	"regcred.dev/config"
)

// certificate returns one in PEM form.
func certificate(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func TestRancherTargets(t *testing.T) {
	from := sources
	ca := certificate(t)
	from.ReadFile = func(path string) ([]byte, error) {
		if path == "/run/ca.pem" {
			return []byte(ca), nil
		}
		return sources.ReadFile(path)
	}
	cfg, err := config.Parse("regcred.yaml", []byte(`
targets:
  - organization: acme
    rancher:
      url: http://rancher.example.com:8080/v1/projects/1a5/
      access_key: 6F1A0B7C3D
      secret_key: file:/run/secret
      auto_create: true
      credentials: {public_value: AWS}
      email: ops@example.com
      broaden: true
      ca: file:/run/ca.pem
  - rancher: {url: "https://rancher.example.com", api: v2-beta, access_key: env:PASSWORD, secret_key: env:PASSWORD}
  - rancher: {url: "https://rancher.example.com", api: v1, access_key: other, secret_key: env:PASSWORD, auto_create: true, credentials: {adopt: false}}
  - rancher: {url: "https://rancher2.example.com", api: v3, access_key: token-x, secret_key: env:PASSWORD, project: "c-m-abcd:p-efgh"}
  - rancher: {url: "https://rancher2.example.com/v3", access_key: token-x, secret_key: env:PASSWORD, project: "c-m-abcd:p-efgh", namespace: dev}
`), from)
	if err != nil {
		t.Fatal(err)
	}
	r := cfg.Targets[0].Rancher
	if r.URL.String() != "http://rancher.example.com:8080/v1/projects/1a5" || r.AccessKey != "6F1A0B7C3D" || r.SecretKey.Reveal() != "from-file" ||
		!r.AutoCreate || r.PublicValue != "AWS" || r.NoAdopt || r.Email != "ops@example.com" || !r.Broaden || r.RootCAs == nil {
		t.Errorf("%+v", r)
	}
	if cfg.Targets[0].Scope != regcred.OrgScope("acme") {
		t.Errorf("scope %s", cfg.Targets[0].Scope)
	}
	for i, want := range []struct{ name, url string }{
		{"rancher.example.com:8080/v1/projects/1a5", "http://rancher.example.com:8080/v1/projects/1a5"},
		{"rancher.example.com/v2-beta", "https://rancher.example.com/v2-beta"},
		{"rancher.example.com/v1", "https://rancher.example.com/v1"},
		{"rancher2.example.com/c-m-abcd:p-efgh", "https://rancher2.example.com/v3"},
		{"rancher2.example.com/c-m-abcd:p-efgh/dev", "https://rancher2.example.com/v3"},
	} {
		target := cfg.Targets[i]
		if target.Name != want.name || target.Rancher.URL.String() != want.url {
			t.Errorf("target %d is %s at %s, want %+v", i, target.Name, target.Rancher.URL, want)
		}
	}
	if r := cfg.Targets[2].Rancher; !r.NoAdopt {
		t.Errorf("%+v", r)
	}
}

func TestRancherTargetProblems(t *testing.T) {
	const keys = "access_key: a, secret_key: env:PASSWORD"
	for _, test := range []struct{ name, target, want string }{
		{"no url", keys, "regcred.yaml:2: rancher needs a url"},
		{"a wrong url", "url: rancher, " + keys, "url: it is no URL of Rancher"},
		{"a user in the url", "url: 'http://u:" + canary + "@h', " + keys, "url: the URL has a user name"},
		{"no key", "url: http://h", "rancher needs access_key and secret_key"},
		{"a secret in clear", "url: http://h, access_key: a, secret_key: " + canary, "secret_key: secrets do not stand in this file"},
		{"api", "url: http://h, api: v4, " + keys, "api: there are v1 and v2-beta of Rancher 1.x, and v3 of 2.x"},
		{"another version", "url: http://h/v1, api: v2-beta, " + keys, "api: the url names another version"},
		{"no project", "url: http://h, api: v3, " + keys, "rancher needs a project of Rancher 2.x"},
		{"half a project", "url: http://h, api: v3, project: 'p-x', " + keys, "rancher needs a project of Rancher 2.x"},
		{"a project of 1.x", "url: http://h, project: 'c-x:p-y', " + keys, "project and namespace are of Rancher 2.x"},
		{"of 1.x alone", "url: http://h/v3, project: 'c-x:p-y', auto_create: true, " + keys, "auto_create, credentials and email are of Rancher 1.x"},
		{"two rules", "url: http://h, auto_create: true, credentials: {public_value: x, adopt: false}, " + keys, "leave out one"},
		{"nothing to do", "url: http://h, credentials: {adopt: false}, " + keys, "nothing is delivered unless auto_create is true"},
		{"no certificate", "url: http://h, ca: env:PASSWORD, " + keys, "ca: there is no certificate in PEM form"},
		{"unknown key", "url: http://h, colour: red, " + keys, `unknown key "colour"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := config.Parse("regcred.yaml", []byte("targets:\n  - rancher: {"+test.target+"}\n"), sources)
			if regcred.CodeOf(err) != regcred.Invalid || err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), canary) {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
	same := "targets:\n  - {name: a, rancher: {url: 'http://h/v1', " + keys + "}}\n  - {name: b, rancher: {url: 'http://H/v2-beta', " + keys + "}}\n"
	if _, err := config.Parse("regcred.yaml", []byte(same), sources); err == nil || !strings.Contains(err.Error(), "line 2 delivers into the same place of Rancher already") {
		t.Errorf("two targets for one environment: %v", err)
	}
	both := "targets:\n  - {name: a, dockerconfig: {path: /x}, rancher: {url: 'http://h/v1', " + keys + "}}\n"
	if _, err := config.Parse("regcred.yaml", []byte(both), sources); err == nil || !strings.Contains(err.Error(), "it is either dockerconfig, kubernetes or rancher") {
		t.Errorf("a target of two kinds: %v", err)
	}
}

// TestRancherGuide parses the examples of docs/rancher.md.
func TestRancherGuide(t *testing.T) {
	page, err := os.ReadFile("../docs/rancher.md")
	if err != nil {
		t.Fatal(err)
	}
	from := config.Sources{
		Getenv:   func(string) (string, bool) { return "from-env", true },
		ReadFile: func(string) ([]byte, error) { return []byte("from-file"), nil },
	}
	examples := regexp.MustCompile("(?s)```yaml\n(targets:\n.*?)```").FindAllSubmatch(page, -1)
	if len(examples) != 3 {
		t.Fatalf("the page has %d examples", len(examples))
	}
	for i, e := range examples {
		cfg, err := config.Parse("regcred.yaml", e[1], from)
		if err != nil {
			t.Errorf("%v in\n%s", err, e[1])
			continue
		}
		for _, target := range cfg.Targets {
			if (target.Kubernetes != nil) != (i == 1) || (target.Rancher != nil) != (i != 1) {
				t.Errorf("example %d is %+v", i, target)
			}
		}
	}
}
