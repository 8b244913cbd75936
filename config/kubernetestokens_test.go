package config_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/config"
)

func TestKubernetesTokens(t *testing.T) {
	cfg, err := config.Parse("regcred.yaml", []byte(`
kubernetes_tokens:
- issuer: https://kubernetes.default.svc.cluster.local
- name: prod
  issuer: https://oidc.example.com/id/1
  audience: https://regcred.example.com
  jwks_url: https://10.0.0.1:6443/openid/v1/jwks
  ca: /var/run/secrets/kubernetes.io/serviceaccount/ca.crt
  token_file: /var/run/secrets/kubernetes.io/serviceaccount/token
  scope:
    namespaces:
      shop: {organization: acme, space: shop}
      tools: {}
    default_organization: prod
- name: test
  issuer: https://test.example.com
  review: {kubeconfig: /etc/test.kubeconfig, context: admin}
  scope: {organization_label: example.com/org, space_label: example.com/space, preset: korifi}
- issuer: https://here.example.com:6443
  review: {}
`), sources)
	if err != nil {
		t.Fatal(err)
	}
	want := []config.KubernetesTokens{
		{Name: "kubernetes.default.svc.cluster.local", Issuer: "https://kubernetes.default.svc.cluster.local", Audience: "regcred"},
		{
			Name: "prod", Issuer: "https://oidc.example.com/id/1", Audience: "https://regcred.example.com",
			JWKSURL:   "https://10.0.0.1:6443/openid/v1/jwks",
			CA:        "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt",
			TokenFile: "/var/run/secrets/kubernetes.io/serviceaccount/token",
			Scope: config.KubernetesScope{
				Namespaces:          map[string]regcred.Scope{"shop": regcred.SpaceScope("acme", "shop"), "tools": regcred.Foundation},
				DefaultOrganization: "prod",
			},
		},
		{
			Name: "test", Issuer: "https://test.example.com", Audience: "regcred",
			Review: &config.KubernetesAPI{Kubeconfig: "/etc/test.kubeconfig", Context: "admin"},
			Scope:  config.KubernetesScope{OrganizationLabel: "example.com/org", SpaceLabel: "example.com/space", Preset: "korifi"},
		},
		{Name: "here.example.com:6443", Issuer: "https://here.example.com:6443", Audience: "regcred", Review: &config.KubernetesAPI{}},
	}
	if diff := cmp.Diff(want, cfg.KubernetesTokens); diff != "" {
		t.Error(diff)
	}
}

func TestKubernetesTokensProblems(t *testing.T) {
	for _, test := range []struct{ entry, want string }{
		{`{}`, "name the issuer"},
		{`{issuer: kubernetes.default.svc}`, "issuer: write it as the cluster does"},
		{`{issuer: "http://kubernetes.default.svc"}`, "issuer: write it as the cluster does"},
		{`{issuer: "https://u:p@kubernetes.default.svc"}`, "issuer: write it as the cluster does"},
		{`{issuer: "https://a.example.com", jwks_url: "http://a.example.com/keys"}`, "jwks_url"},
		{`{issuer: "https://a.example.com", jwks_url: "file:///etc/passwd"}`, "jwks_url"},
		{`{issuer: "https://a.example.com", review: {}, ca: /ca.crt}`, "leave out jwks_url, ca and token_file"},
		{`{issuer: "https://a.example.com", scope: {preset: capsule}}`, "does not have the labels"},
		{`{issuer: "https://a.example.com", scope: {organization_label: x}}`, "does not have the labels"},
		{`{issuer: "https://a.example.com", review: {}, scope: {preset: openshift}}`, `there is no "openshift"`},
		{`{issuer: "https://a.example.com", review: {}, scope: {space_label: x}}`, "a space needs its organization"},
		{`{issuer: "https://a.example.com", scope: {namespaces: {shop: {space: shop}}}}`, "needs its organization"},
		{`{issuer: "https://a.example.com", scope: {namespaces: {shop: {organization: }}}}`, "it is empty"},
		{`{issuer: "https://a.example.com", scope: {namespaces: {shop: {organization: a, space: b, app: c}}}}`, "an app's logins"},
		{`{issuer: "https://a.example.com", scope: {default_organization: "a\nb"}}`, "cannot be printed"},
		{`{issuer: "https://a.example.com", tokens: 1}`, "unknown key"},
		{"{issuer: \"https://a.example.com\"}\n- {issuer: \"https://a.example.com\"}", "line 2 has this issuer already"},
	} {
		_, err := config.Parse("regcred.yaml", []byte("kubernetes_tokens:\n- "+test.entry+"\n"), sources)
		if regcred.CodeOf(err) != regcred.Invalid || err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "regcred.yaml:") {
			t.Errorf("%s: %v, want %q", test.entry, err, test.want)
		}
	}
}

// TestGuide parses the examples of docs/credential-helper.md.
func TestGuide(t *testing.T) {
	page, err := os.ReadFile("../docs/credential-helper.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?s)```yaml\n(kubernetes_tokens:\n.*?)```").FindAllSubmatch(page, -1)
	if len(examples) < 2 {
		t.Fatalf("the page has %d examples", len(examples))
	}
	for _, e := range examples {
		if cfg, err := config.Parse("regcred.yaml", e[1], sources); err != nil || len(cfg.KubernetesTokens) == 0 {
			t.Errorf("%v in\n%s", err, e[1])
		}
	}
}
