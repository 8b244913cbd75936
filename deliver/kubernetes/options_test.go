package kubernetes_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/rest"

	"regcred.dev"
	"regcred.dev/deliver/kubernetes"
	"regcred.dev/keyring"
)

func TestScopesOf(t *testing.T) {
	all := kubernetes.Scopes{
		Namespaces:        map[string]regcred.Scope{"shop": regcred.SpaceScope("acme", "shop"), "tools": regcred.Foundation},
		OrganizationLabel: "example.com/org", SpaceLabel: "example.com/space",
		DefaultOrganization: "cluster",
	}
	preset := func(p kubernetes.Preset) kubernetes.Scopes {
		return kubernetes.Scopes{Preset: p, DefaultOrganization: "d"}
	}
	korifi := func(org, space string) map[string]string {
		return map[string]string{"korifi.cloudfoundry.org/org-guid": org, "korifi.cloudfoundry.org/space-guid": space}
	}
	both := all
	both.Preset = kubernetes.Capsule
	for _, test := range []struct {
		name   string
		scopes kubernetes.Scopes
		labels map[string]string
		want   regcred.Scope
		wrong  bool
	}{
		{"blog", kubernetes.Scopes{}, nil, regcred.Foundation, false},
		{"shop", all, map[string]string{"example.com/org": "other"}, regcred.SpaceScope("acme", "shop"), false},
		{"tools", all, nil, regcred.Foundation, false},
		{"blog", all, map[string]string{"example.com/org": "o"}, regcred.OrgScope("o"), false},
		{"blog", all, map[string]string{"example.com/org": "o", "example.com/space": "s"}, regcred.SpaceScope("o", "s"), false},
		{"blog", all, map[string]string{"example.com/space": "s"}, regcred.Scope{}, true},
		{"blog", all, map[string]string{"example.com/org": ""}, regcred.SpaceScope("cluster", "blog"), false},
		{"blog", all, map[string]string{"other": "o"}, regcred.SpaceScope("cluster", "blog"), false},
		{"blog", all, korifi("o", "s"), regcred.SpaceScope("cluster", "blog"), false},
		{"blog", both, map[string]string{"example.com/org": "o", "capsule.clastix.io/tenant": "t"}, regcred.OrgScope("o"), false},
		{"blog", both, map[string]string{"capsule.clastix.io/tenant": "t"}, regcred.SpaceScope("t", "blog"), false},
		{"blog", preset(kubernetes.Korifi), korifi("o", "s"), regcred.SpaceScope("o", "s"), false},
		{"blog", preset(kubernetes.Korifi), korifi("o", ""), regcred.OrgScope("o"), false},
		{"blog", preset(kubernetes.Korifi), korifi("", "s"), regcred.Scope{}, true},
		{"blog", preset(kubernetes.Rancher), map[string]string{"field.cattle.io/projectId": "p-1"}, regcred.SpaceScope("p-1", "blog"), false},
		{"blog", preset(kubernetes.Rancher), nil, regcred.SpaceScope("d", "blog"), false},
		{"blog", preset(kubernetes.Capsule), map[string]string{"capsule.clastix.io/tenant": "oil"}, regcred.SpaceScope("oil", "blog"), false},
	} {
		got, err := test.scopes.Of(test.name, test.labels)
		if (err != nil) != test.wrong || !test.wrong && got != test.want {
			t.Errorf("%s with %v of %+v: %v, %v, want %v", test.name, test.labels, test.scopes, got, err, test.want)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	names := kubernetes.Namespaces{Include: []string{"a"}}
	for _, test := range []struct {
		options kubernetes.Options
		want    string
	}{
		{kubernetes.Options{Name: "a b"}, "stands in a label"},
		{kubernetes.Options{SecretName: "A"}, "secret_name"},
		{kubernetes.Options{Dialect: keyring.Docker}, "dialect kubelet or deis"},
		{kubernetes.Options{ServiceAccounts: []string{"default", "*"}}, "stands for all"},
		{kubernetes.Options{Namespaces: kubernetes.Namespaces{Selector: "a in"}}, "namespaces.selector"},
		{kubernetes.Options{Namespaces: kubernetes.Namespaces{Include: []string{"[a"}}}, "is no glob"},
		{kubernetes.Options{Namespaces: kubernetes.Namespaces{Exclude: []string{"[a"}}}, "is no glob"},
		{kubernetes.Options{Scopes: kubernetes.Scopes{SpaceLabel: "x"}}, "a space needs its organization"},
		{kubernetes.Options{Scopes: kubernetes.Scopes{Preset: "openshift"}}, "is no preset"},
		{kubernetes.Options{Scopes: kubernetes.Scopes{DefaultOrganization: "a\n"}}, "cannot be printed"},
		{kubernetes.Options{Scopes: kubernetes.Scopes{Namespaces: map[string]regcred.Scope{"n": regcred.AppScope("o", "s", "a")}}}, "an app's logins"},
		{kubernetes.Options{Scopes: kubernetes.Scopes{Namespaces: map[string]regcred.Scope{"n": {Space: "s"}}}}, "needs its organization"},
		{kubernetes.Options{Namespaced: true}, "list the namespaces"},
		{kubernetes.Options{Namespaced: true, Namespaces: kubernetes.Namespaces{Include: []string{"a*"}}}, "without globs"},
		{kubernetes.Options{Namespaced: true, Namespaces: kubernetes.Namespaces{Include: []string{"a"}, Exclude: []string{"b"}}}, "nothing beside it"},
		{kubernetes.Options{Namespaced: true, Namespaces: names, Scopes: kubernetes.Scopes{Preset: kubernetes.Rancher}}, "cannot be read"},
	} {
		test.options.Config = &rest.Config{}
		_, err := kubernetes.New(test.options)
		if regcred.CodeOf(err) != regcred.Invalid || err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: %v, want %q", test.options, err, test.want)
		}
	}
	if _, err := kubernetes.New(kubernetes.Options{Config: &rest.Config{}, Namespaced: true, Namespaces: names}); err != nil {
		t.Errorf("what is fine is refused: %v", err)
	}
}

const kubeconfig = `
apiVersion: v1
kind: Config
current-context: a
clusters:
- {name: a, cluster: {server: https://a.example.com}}
- {name: b, cluster: {server: https://b.example.com}}
contexts:
- {name: a, context: {cluster: a}}
- {name: b, context: {cluster: b}}
`

func TestConnect(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(path, []byte(kubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	t.Setenv("HOME", t.TempDir())
	t.Setenv("KUBECONFIG", path)
	for _, test := range []struct{ path, context, want string }{
		{path, "", "https://a.example.com"},
		{path, "b", "https://b.example.com"},
		{"", "", "https://a.example.com"},
		{"", "b", "https://b.example.com"},
		{path, "c", ""},
		{path + "x", "", ""},
	} {
		got, err := kubernetes.Connect(test.path, test.context)
		if test.want == "" {
			if regcred.CodeOf(err) != regcred.Invalid || err == nil {
				t.Errorf("%+v: %v", test, err)
			}
			continue
		}
		if err != nil || got.Host != test.want {
			t.Errorf("%+v: %v, %v", test, got, err)
		}
	}
	t.Setenv("KUBECONFIG", "")
	if _, err := kubernetes.Connect("", ""); regcred.CodeOf(err) != regcred.Invalid || err == nil || !strings.Contains(err.Error(), "set kubeconfig") {
		t.Errorf("without any: %v", err)
	}
}
