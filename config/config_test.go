package config_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/config"
	"regcred.dev/keyring"
)

const canary = "canary-51e6"

var sources = config.Sources{
	Getenv: func(name string) (string, bool) {
		if name == "PASSWORD" {
			return "from-env", true
		}
		return "", false
	},
	ReadFile: func(path string) ([]byte, error) {
		switch path {
		case "/run/secret":
			return []byte("from-file\n"), nil
		case "/run/empty":
			return []byte("\n"), nil
		}
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	},
}

const complete = `
data_dir: /var/lib/regcred
listen: 0.0.0.0:8440
public_url: https://regcred.example.com
registry:
  login_lifetime: 30m
credentials:
  - location: registry.example.com/acme
    organization: acme
    space: dev
    username: robot
    password: env:PASSWORD
  - location: regcred.example.com
    provider: regcred
    settings:
      repositories: acme/*
      key: file:/run/secret
targets:
  - name: ci
    organization: acme
    dockerconfig:
      path: /home/ci/.docker/config.json
      paths: [/home/ci/.config/containers/auth.json]
      for: containers
      broaden: true
      adopt: true
  - dockerconfig: {path: /root/.docker/config.json}
`

func TestParseComplete(t *testing.T) {
	cfg, err := config.Parse("regcred.yaml", []byte(complete), sources)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.DataDir != "/var/lib/regcred" || cfg.Listen != "0.0.0.0:8440" ||
		cfg.PublicURL.String() != "https://regcred.example.com" || cfg.Registry.LoginLifetime != 30*time.Minute {
		t.Errorf("server settings: %+v", cfg)
	}
	c := cfg.Credentials[0]
	if c.Scope != regcred.SpaceScope("acme", "dev") || c.Location.String() != "registry.example.com/acme" ||
		c.Provider != "static" || c.Username != "robot" || c.Password.Reveal() != "from-env" || c.Where != "regcred.yaml:8" {
		t.Errorf("first credential: %+v", c)
	}
	c = cfg.Credentials[1]
	if c.Provider != "regcred" || c.Settings["repositories"] != "acme/*" || c.References["key"].Reveal() != "from-file" {
		t.Errorf("second credential: %+v", c)
	}
	want := []config.Target{
		{Name: "ci", Scope: regcred.OrgScope("acme"), DockerConfig: &config.DockerConfig{
			Paths: []string{"/home/ci/.docker/config.json", "/home/ci/.config/containers/auth.json"},
			For:   keyring.Containers, Broaden: true, Adopt: true,
		}},
		{Name: "/root/.docker/config.json", DockerConfig: &config.DockerConfig{
			Paths: []string{"/root/.docker/config.json"}, For: keyring.Docker,
		}},
	}
	if diff := cmp.Diff(want, cfg.Targets); diff != "" {
		t.Error(diff)
	}
}

func TestParseKubernetes(t *testing.T) {
	cfg, err := config.Parse("regcred.yaml", []byte(`
targets:
- name: cluster
  kubernetes:
    kubeconfig: /etc/kubeconfig
    context: prod
    secret_name: registry-pull
    dialect: deis
    dockercfg: true
    namespaces: {selector: "team=a,env!=dev", include: ["app-*"], exclude: ["*-test"]}
    scope:
      namespaces: {shop: {organization: acme, space: shop}}
      organization_label: example.com/org
      space_label: example.com/space
      preset: korifi
      default_organization: cluster-a
    service_accounts: [default]
    adopt: [registry-pull]
    namespaced: false
    qps: 12.5
    burst: 100
    concurrency: 16
    leader_election: {namespace: regcred, name: lease}
- kubernetes: {}
`), sources)
	if err != nil {
		t.Fatal(err)
	}
	want := []config.Target{
		{Name: "cluster", Kubernetes: &config.Kubernetes{
			API:        config.KubernetesAPI{Kubeconfig: "/etc/kubeconfig", Context: "prod"},
			SecretName: "registry-pull", Dialect: keyring.Deis, DockerCfg: true,
			Namespaces: config.KubernetesNamespaces{
				Selector: "team=a,env!=dev", Include: []string{"app-*"}, Exclude: []string{"*-test"},
			},
			Scope: config.KubernetesScope{
				Namespaces:        map[string]regcred.Scope{"shop": regcred.SpaceScope("acme", "shop")},
				OrganizationLabel: "example.com/org", SpaceLabel: "example.com/space",
				Preset: "korifi", DefaultOrganization: "cluster-a",
			},
			ServiceAccounts: []string{"default"}, Adopt: true,
			QPS: 12.5, Burst: 100, Concurrency: 16,
			LeaderElection: &config.LeaderElection{Namespace: "regcred", Name: "lease"},
		}},
		{Name: "kubernetes", Kubernetes: &config.Kubernetes{SecretName: "regcred", Dialect: keyring.Kubelet}},
	}
	if diff := cmp.Diff(want, cfg.Targets); diff != "" {
		t.Error(diff)
	}
}

func TestParseEmpty(t *testing.T) {
	cfg, err := config.Parse("regcred.yaml", []byte("# nothing yet\n"), sources)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(config.Default(), cfg); diff != "" {
		t.Error(diff)
	}
}

func TestParseProblems(t *testing.T) {
	for _, test := range []struct{ name, yaml, want string }{
		{"unknown key", "listen: a:1\ncolour: red\n", `regcred.yaml:2: unknown key "colour"`},
		{"unknown key, deep", "targets:\n  - dockerconfig:\n      path: /x\n      pathe: /y\n", `regcred.yaml:4: unknown key "pathe"`},
		{"unknown key of a credential", "credentials:\n  - location: r.example.com\n    user: u\n", `regcred.yaml:3: unknown key "user"`},
		{"twice", "listen: a:1\nlisten: b:1\n", `regcred.yaml:2: the key "listen" stands in line 1 already`},
		{"wrong type", "targets: yes\n", "regcred.yaml:1: a text stands where a list is expected"},
		{"not YAML", "a: [\n", "it is not valid YAML"},
		{"two documents", "listen: a:1\n---\nlisten: b:1\n", "more than one YAML document"},
		{"listen", "\nlisten: localhost\n", "regcred.yaml:2: listen: write HOST:PORT"},
		{"public_url", "public_url: regcred.example.com\n", "regcred.yaml:1: public_url: write https://HOST[:PORT]"},
		{"public_url with a path", "public_url: https://a.example.com/x\n", "public_url: write"},
		{"lifetime", "registry: {login_lifetime: 1s}\n", "at least 10s"},
		{"a secret in clear", "credentials:\n  - location: r.example.com\n    username: u\n    password: " + canary + "\n", "regcred.yaml:4: password: secrets do not stand in this file: write file:PATH or env:NAME"},
		{"unset variable", "credentials:\n  - location: r.example.com\n    username: u\n    password: env:NOPE\n", "regcred.yaml:4: password: the environment variable NOPE is not set"},
		{"missing file", "credentials:\n  - location: r.example.com\n    username: u\n    password: file:/nope\n", "regcred.yaml:4: password: cannot read /nope: file does not exist"},
		{"empty file", "credentials:\n  - location: r.example.com\n    username: u\n    password: file:/run/empty\n", "/run/empty is empty"},
		{"nameless reference", "credentials:\n  - location: r.example.com\n    username: u\n    password: 'env:'\n", "env: needs a name"},
		{"no location", "credentials:\n  - username: u\n    password: env:PASSWORD\n", "regcred.yaml:2: a credential in the configuration needs a location"},
		{"bad location", "credentials:\n  - location: https://r.example.com\n    username: u\n    password: env:PASSWORD\n", `regcred.yaml:2: location "https://r.example.com": leave out the protocol`},
		{"shared domain", "credentials:\n  - location: azurecr.io\n    username: u\n    password: env:PASSWORD\n", "shared registry domain"},
		{"nothing to log in with", "credentials:\n  - location: r.example.com\n", "needs a username and password, or a provider"},
		{"both", "credentials:\n  - location: r.example.com\n    provider: ecr\n    username: u\n", "provider ecr takes settings, not a username"},
		{"space without its organization", "credentials:\n  - location: r.example.com\n    space: s\n    provider: ecr\n", `regcred.yaml:2: a space's scope needs its organization`},
		{"declared twice", "credentials:\n  - {location: r.example.com, provider: ecr}\n  - {location: 'R.example.com:443', provider: ecr}\n", "regcred.yaml:3: credential for r.example.com at scope foundation: line 2 declares one already"},
		{"target of no kind", "targets:\n  - name: t\n", `regcred.yaml:2: target "t": say what it is`},
		{"empty scope", "credentials:\n  - location: r.example.com\n    organization: ''\n    provider: ecr\n", "regcred.yaml:3: organization: it is empty"},
		{"null scope", "targets:\n  - organization:\n    dockerconfig: {path: /x}\n", "regcred.yaml:2: organization: it is empty"},
		{"a list of scopes", "targets:\n  - organization: [a]\n    dockerconfig: {path: /x}\n", "regcred.yaml:2: organization: write one id"},
		{"one file, two targets", "targets:\n  - dockerconfig: {path: /x/y}\n  - dockerconfig: {path: /x/../x/y}\n", "regcred.yaml:3: path \"/x/../x/y\": line 2 delivers into the same file already"},
		{"one file twice", "targets:\n  - dockerconfig: {path: /x, paths: [/x]}\n", "line 2 delivers into the same file already"},
		{"home", "targets:\n  - dockerconfig: {path: ~/x}\n", "neither ~ nor variables are expanded"},
		{"target without a path", "targets:\n  - name: t\n    dockerconfig: {for: docker}\n", "needs a path"},
		{"target's dialect", "targets:\n  - dockerconfig:\n      path: /x\n      for: klingon\n", "regcred.yaml:4: "},
		{"target of two kinds", "targets:\n  - name: t\n    dockerconfig: {path: /x}\n    kubernetes: {}\n", "regcred.yaml:2: target \"t\": it is either"},
		{"scope of a cluster", "targets:\n  - organization: acme\n    kubernetes: {}\n", "regcred.yaml:2: target \"\": each namespace has a scope of its own"},
		{"dialect of a cluster", "targets:\n  - kubernetes:\n      dialect: docker\n", "regcred.yaml:3: dialect: pull secrets"},
		{"adopted elsewhere", "targets:\n  - kubernetes:\n      adopt: [registry-pull]\n", "regcred.yaml:3: adopt: this target's Secrets are called \"regcred\", so none called \"registry-pull\" is taken over: set secret_name: registry-pull"},
		{"no rate", "targets:\n  - kubernetes: {secret_name: x, qps: -1}\n", "regcred.yaml:2: qps, burst and concurrency"},
		{"rate in words", "targets:\n  - kubernetes: {qps: many}\n", "regcred.yaml:2: a text stands where a number is expected"},
		{"half a Lease", "targets:\n  - kubernetes: {secret_name: x, leader_election: {name: y}}\n", "regcred.yaml:2: leader_election: name the Lease"},
		{"two clusters of one name", "targets:\n  - kubernetes: {}\n  - kubernetes: {}\n", "has one of that name already"},
		{"targets of one name", "targets:\n  - dockerconfig: {path: /x}\n  - dockerconfig: {path: /x}\n", `regcred.yaml:3: target "/x": line 2 has one of that name`},
		{"too large", strings.Repeat("#", 4<<20+1), "larger than"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := config.Parse("regcred.yaml", []byte(test.yaml), sources)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error %v, want one with %q", err, test.want)
			}
			if regcred.CodeOf(err) != regcred.Invalid {
				t.Errorf("code %v", regcred.CodeOf(err))
			}
			if strings.Contains(err.Error(), canary) {
				t.Error("the error shows a secret")
			}
		})
	}
}

// TestParseAllProblems shows that one start tells all that is wrong.
func TestParseAllProblems(t *testing.T) {
	_, err := config.Parse("regcred.yaml", []byte("listen: x\npublic_url: y\nregistry: {login_lifetime: z}\n"), sources)
	if err == nil || strings.Count(err.Error(), "regcred.yaml:") != 3 {
		t.Errorf("error %v, want three problems", err)
	}
}

func TestLoadMissing(t *testing.T) {
	_, err := config.Load(t.TempDir() + "/regcred.yaml")
	if !errors.Is(err, fs.ErrNotExist) || regcred.CodeOf(err) != regcred.Invalid {
		t.Errorf("error %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(complete))
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, err := config.Parse("regcred.yaml", data, sources)
		if err != nil {
			if regcred.CodeOf(err) != regcred.Invalid {
				t.Errorf("code %v: %v", regcred.CodeOf(err), err)
			}
			return
		}
		for _, c := range cfg.Credentials {
			if c.Location.IsZero() || c.Scope.Validate() != nil || c.Location.Assignable() != nil {
				t.Errorf("accepted %+v", c)
			}
		}
	})
}
