package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/config"
)

func TestParseProfiles(t *testing.T) {
	cfg, err := config.Parse("regcred.yaml", []byte(`
profiles:
- name: acme-ecr
  provider: ecr
  location: 123456789012.dkr.ecr.us-east-1.amazonaws.com
  settings: {region: us-east-1, role-arn: "env:PASSWORD"}
  grant:
  - organization: acme
  - {organization: other, space: dev}
- name: all_of-us.2
  provider: exec
  location: r.example.com/acme
  grant: everybody
`), sources)
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.Profiles) != 2 {
		t.Fatalf("profiles: %+v", cfg.Profiles)
	}
	p := cfg.Profiles[0]
	if p.Where != "regcred.yaml:3" || p.Name != "acme-ecr" || p.Provider != "ecr" || p.Location.Host() != p.Spelling ||
		p.References["role-arn"].Reveal() != "from-env" || len(p.References) != 1 {
		t.Errorf("first profile: %+v", p)
	}
	if diff := cmp.Diff(map[string]string{"region": "us-east-1"}, p.Settings); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]regcred.Scope{regcred.OrgScope("acme"), regcred.SpaceScope("other", "dev")}, p.Grants); diff != "" {
		t.Error(diff)
	}
	if p := cfg.Profiles[1]; len(p.Grants) != 1 || p.Grants[0] != regcred.Foundation || p.Location.String() != "r.example.com/acme" {
		t.Errorf("second profile: %+v", p)
	}
	for text, isNil := range map[string]bool{"listen: :1\n": true, "profiles: []\n": false} {
		cfg, err := config.Parse("regcred.yaml", []byte(text), sources)
		if err != nil || (cfg.Profiles == nil) != isNil || len(cfg.Profiles) > 0 {
			t.Errorf("%q: %+v, %v", text, cfg.Profiles, err)
		}
	}
}

// TestParseProfilesRefused: each mistake is told with its line, and none widens a grant.
func TestParseProfilesRefused(t *testing.T) {
	const begin = "profiles:\n- name: x\n  provider: ecr\n  location: r.example.com\n"
	for text, want := range map[string]string{
		"profiles:\n- provider: ecr\n  location: r.example.com\n  grant: everybody\n":                             `:2: profile "": a name has letters`,
		"profiles:\n- name: a b\n  provider: ecr\n  location: r.example.com\n  grant: everybody\n":                `:2: profile "a b": a name has letters`,
		"profiles:\n- name: x\n  location: r.example.com\n  grant: everybody\n":                                   `:2: profile "x": provider is missing`,
		"profiles:\n- name: x\n  provider: ecr\n  grant: everybody\n":                                             `:2: profile "x": location is missing`,
		"profiles:\n- name: x\n  provider: ecr\n  location: azurecr.io\n  grant: everybody\n":                     ":4: location azurecr.io",
		"profiles:\n- name: x\n  provider: ecr\n  location: https://r/\n  grant: everybody\n":                     ":4: ",
		begin + "  grant: everybody\n- name: x\n  provider: ecr\n  location: r.example.com\n  grant: everybody\n": `:6: profile "x": line 2 has one of that name already`,
		begin:                                "grant is missing, so nobody could use it",
		begin + "  grant:\n":                 "grant is missing, so nobody could use it",
		begin + "  grant: []\n":              ":5: profile \"x\": grant: write everybody",
		begin + "  grant: all\n":             ":5: profile \"x\": grant: write everybody",
		begin + "  grant: {organization: a}": ":5: profile \"x\": grant: write everybody",
		begin + "  grant:\n  - {}\n":         ":6: profile \"x\": this grant names nothing",
		begin + "  grant:\n  - acme\n":       ":6: profile \"x\": this grant names nothing",
		begin + "  grant:\n  - organization: a\n  - organization:\n":     ":7: organization: it is empty",
		begin + "  grant:\n  - {organization: a, space: ''}\n":           ":6: space: it is empty",
		begin + "  grant:\n  - space: dev\n":                             ":6: ",
		begin + "  grant:\n  - {organization: a, spase: dev}\n":          `:6: profile "x": grant: unknown key "spase"`,
		begin + "  grant:\n  - {organization: a, space: b, app: c}\n":    "leave app out",
		begin + "  grant:\n  - {organization: a, organization: b}\n":     "organization",
		begin + "  grant: everybody\n  password: x\n":                    `:6: unknown key "password"`,
		begin + "  grant: everybody\n  settings: {key: 'env:NOTHING'}\n": ":6: settings.key: the environment variable NOTHING is not set",
	} {
		cfg, err := config.Parse("regcred.yaml", []byte(text), sources)
		if regcred.CodeOf(err) != regcred.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\nerror %v, want %q; %+v", text, err, want, cfg.Profiles)
		}
	}
}
