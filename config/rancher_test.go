package config_test

import (
	"log/slog"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/config"
)

// seed is the environment of the Rancher ECR Credentials Updater's document.
var seed = map[string]string{
	"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": canary,
	"CATTLE_URL": "http://rancher.mydomain.com", "CATTLE_ACCESS_KEY": "access", "CATTLE_SECRET_KEY": canary,
}

func parseUpdater(change map[string]string) (config.RancherUpdater, error) {
	env := maps.Clone(seed)
	maps.Copy(env, change)
	from := sources
	from.Getenv = func(name string) (string, bool) { value, ok := env[name]; return value, ok }
	return config.ParseRancherUpdater(from)
}

func TestRancherUpdaterSeed(t *testing.T) {
	u, err := parseUpdater(nil)
	if err != nil {
		t.Fatal(err)
	}
	if u.URL.String() != "http://rancher.mydomain.com/" || u.AccessKey != "access" || u.SecretKey.Reveal() != canary ||
		u.AutoCreate || u.Listen != ":8080" || u.LogLevel != slog.LevelInfo {
		t.Errorf("%+v", u)
	}
	want := []map[string]string{{"region": "us-east-1"}}
	if diff := cmp.Diff(want, settings(u)); diff != "" {
		t.Error(diff)
	}
}

func settings(u config.RancherUpdater) []map[string]string {
	var list []map[string]string
	for _, c := range u.Credentials {
		list = append(list, c.Settings)
	}
	return list
}

func TestRancherUpdaterCredentials(t *testing.T) {
	const role = "arn:aws:iam::123456789012:role/ecr-pull"
	for _, test := range []struct {
		name     string
		env      map[string]string
		want     []map[string]string
		location string
	}{
		{"the machine's region", map[string]string{"AWS_REGION": ""}, []map[string]string{{}}, ""},
		{"a role", map[string]string{"AWS_ROLE_ARN": role}, []map[string]string{{"region": "us-east-1", "role-arn": role}}, ""},
		{
			"the SDK's own role", map[string]string{"AWS_ROLE_ARN": role, "AWS_WEB_IDENTITY_TOKEN_FILE": "/token"},
			[]map[string]string{{"region": "us-east-1"}}, "",
		},
		{
			"two accounts, one of them twice", map[string]string{"AWS_ECR_REGISTRY_IDS": "123456789012, 210987654321,123456789012"},
			[]map[string]string{
				{"region": "us-east-1", "registry-ids": "123456789012"},
				{"region": "us-east-1", "registry-ids": "210987654321"},
			}, "",
		},
		{
			"a proxy", map[string]string{"ECR_PROXY_HOST": "Registry.corp.example:5000", "AWS_ECR_REGISTRY_IDS": "123456789012,210987654321"},
			[]map[string]string{{"region": "us-east-1", "registry-ids": "123456789012,210987654321", "host": "registry.corp.example:5000"}},
			"registry.corp.example:5000",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			u, err := parseUpdater(test.env)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, settings(u)); diff != "" {
				t.Error(diff)
			}
			for _, c := range u.Credentials {
				if c.Provider != "ecr" || c.Location.String() != test.location {
					t.Errorf("%+v", c)
				}
			}
		})
	}
}

func TestRancherUpdaterValues(t *testing.T) {
	for _, test := range []struct {
		env  map[string]string
		want string // the URL, what is created, the address and the level
	}{
		{map[string]string{"CATTLE_URL": "http://host:8080/v1/projects/1a5/", "AUTO_CREATE": "1", "LISTEN_PORT": "9000", "LOG_LEVEL": "DEBUG"}, "http://host:8080/v1/projects/1a5 true :9000 DEBUG"},
		{map[string]string{"CATTLE_URL": "https://host/v2-beta", "AUTO_CREATE": "", "LOG_LEVEL": "warning"}, "https://host/v2-beta false :8080 WARN"},
		{map[string]string{"CATTLE_URL": " http://host ", "AUTO_CREATE": "False", "LOG_LEVEL": "panic"}, "http://host/ false :8080 ERROR"},
	} {
		u, err := parseUpdater(test.env)
		if err != nil {
			t.Fatal(err)
		}
		created := map[bool]string{true: "true", false: "false"}[u.AutoCreate]
		if got := strings.Join([]string{u.URL.String(), created, u.Listen, u.LogLevel.String()}, " "); got != test.want {
			t.Errorf("%v gives %s, want %s", test.env, got, test.want)
		}
	}
}

func TestRancherUpdaterProblems(t *testing.T) {
	for _, test := range []struct{ name, value, want string }{
		{"CATTLE_URL", "", "CATTLE_URL is not set"},
		{"CATTLE_URL", "host:8080", "CATTLE_URL: it is no URL of Rancher"},
		{"CATTLE_URL", "ftp://host", "CATTLE_URL: it is no URL of Rancher"},
		{"CATTLE_URL", "http://a:" + canary + "@host", "CATTLE_URL: the URL has a user name"},
		{"CATTLE_URL", "http://host/v1?x=" + canary, "CATTLE_URL: it is no URL of Rancher"},
		{"CATTLE_URL", "http://%zz" + canary, "CATTLE_URL: it is no URL of Rancher"},
		{"CATTLE_ACCESS_KEY", " ", "CATTLE_ACCESS_KEY is not set"},
		{"CATTLE_SECRET_KEY", "", "CATTLE_SECRET_KEY is not set"},
		{"AUTO_CREATE", "perhaps", `AUTO_CREATE is "perhaps": write true or false`},
		{"LISTEN_PORT", "http", `LISTEN_PORT is "http": write a port`},
		{"LISTEN_PORT", "65536", `LISTEN_PORT is "65536": write a port`},
		{"LOG_LEVEL", "loud", `LOG_LEVEL is "loud": it is one of panic, fatal, error, warn`},
		{"AWS_REGION", "Frankfurt", `AWS_REGION is "Frankfurt": write a region`},
		{"AWS_ROLE_ARN", "ecr-pull", `AWS_ROLE_ARN is "ecr-pull": write the ARN`},
		{"AWS_ECR_REGISTRY_IDS", "123456789012,,", `AWS_ECR_REGISTRY_IDS: "" is no account`},
		{"AWS_ECR_REGISTRY_IDS", "12345", `AWS_ECR_REGISTRY_IDS: "12345" is no account`},
		{"ECR_PROXY_HOST", "https://proxy.example.com", `ECR_PROXY_HOST is "https://proxy.example.com": write the registry's host`},
		{"ECR_PROXY_HOST", "proxy.example.com/ecr", "leave out the path"},
		{"ECR_PROXY_HOST", "amazonaws.com", "ECR_PROXY_HOST"},
		{"AWS_CA_BUNDLE", "/nowhere", "AWS_CA_BUNDLE: open /nowhere: file does not exist"},
		{"AWS_CA_BUNDLE", "/run/secret", "AWS_CA_BUNDLE: /run/secret has no certificate"},
	} {
		t.Run(test.name+"="+strings.ReplaceAll(test.value, canary, "x"), func(t *testing.T) {
			_, err := parseUpdater(map[string]string{test.name: test.value})
			if regcred.CodeOf(err) != regcred.Invalid || err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), canary) {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
	if _, err := parseUpdater(map[string]string{"AWS_REGION": "", "ECR_PROXY_HOST": "proxy.example.com"}); err == nil || !strings.Contains(err.Error(), "AWS_REGION is not set") {
		t.Errorf("a proxy without a region: %v", err)
	}
}

// TestRancherUpdaterBundle: AWS is verified by what the bundle holds.
func TestRancherUpdaterBundle(t *testing.T) {
	ca := certificate(t)
	env := maps.Clone(seed)
	env["AWS_CA_BUNDLE"], env["AWS_ECR_REGISTRY_IDS"] = "/run/ca.pem", "123456789012,210987654321"
	u, err := config.ParseRancherUpdater(config.Sources{
		Getenv:   func(name string) (string, bool) { value, ok := env[name]; return value, ok },
		ReadFile: func(string) ([]byte, error) { return []byte(ca), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range settings(u) {
		if s["ca"] != ca {
			t.Errorf("%v", s)
		}
	}
}
