package regcred_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/imageref"
)

const canary = "canary-3f9c1d"

func TestSecretNeverShows(t *testing.T) {
	secret := regcred.NewSecret(canary)
	type nested struct {
		Exported   regcred.Secret
		unexported regcred.Secret
		Map        map[string]regcred.Secret
		Pointer    *regcred.Secret
	}
	n := nested{secret, secret, map[string]regcred.Secret{"k": secret}, &secret}
	cred := regcred.Credential{Password: secret, Secrets: map[string]regcred.Secret{"key": secret}}
	login := regcred.Login{Username: "u", Password: secret}
	var out bytes.Buffer
	for _, v := range []any{secret, &secret, n, &n, []regcred.Secret{secret}, cred, &cred, login, &login, regcred.Change{Login: &login, Credential: cred}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%10.3s", "%T"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		if data, err := json.Marshal(v); err == nil {
			out.Write(data)
		}
		if data, err := xml.Marshal(v); err == nil {
			out.Write(data)
		}
		for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
			slog.New(h).Info("m", "v", v)
		}
	}
	fmt.Fprintln(&out, fmt.Errorf("wrapped: %v", secret), n.unexported)
	for _, form := range []string{canary, fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary)} {
		if strings.Contains(out.String(), form) {
			t.Errorf("the secret shows as %q", form)
		}
	}
	if !strings.Contains(out.String(), regcred.Redacted) {
		t.Error("nothing was printed in its place")
	}
}

func TestSecretContent(t *testing.T) {
	a, b, zero := regcred.NewSecret("a"), regcred.NewSecret("b"), regcred.Secret{}
	if a.Reveal() != "a" || zero.Reveal() != "" {
		t.Error("Reveal does not return the content")
	}
	if !a.Equal(regcred.NewSecret("a")) || a.Equal(b) || a.Equal(zero) || !zero.Equal(regcred.NewSecret("")) {
		t.Error("Equal is wrong")
	}
	if a.IsZero() || !regcred.NewSecret("").IsZero() {
		t.Error("IsZero is wrong")
	}
}

func TestScope(t *testing.T) {
	app := regcred.AppScope("o", "s", "a")
	var chain []string
	for s := range app.Chain() {
		chain = append(chain, s.String())
	}
	want := []string{"app o/s/a", "space o/s", "organization o", "foundation"}
	if diff := cmp.Diff(want, chain); diff != "" {
		t.Error(diff)
	}
	all := []regcred.Scope{regcred.Foundation, regcred.OrgScope("o"), regcred.SpaceScope("o", "s"), app}
	for i, wide := range all {
		for j, narrow := range all {
			if got := wide.Contains(narrow); got != (i <= j) {
				t.Errorf("%s contains %s: %t", wide, narrow, got)
			}
		}
	}
	if regcred.SpaceScope("o", "s").Contains(regcred.AppScope("p", "s", "a")) {
		t.Error("a space contains an app of another organization")
	}
}

func TestScopeValidate(t *testing.T) {
	for _, test := range []struct {
		scope regcred.Scope
		want  string // part of the error, "" for none
	}{
		{regcred.Foundation, ""},
		{regcred.AppScope("o", "s", "a"), ""},
		{regcred.OrgScope("Größe 1"), ""},
		{regcred.Scope{App: "a"}, `name the space of app "a" too`},
		{regcred.Scope{Org: "o", App: "a"}, `name the space of app "a" too`},
		{regcred.Scope{Space: "s"}, `name the organization of space "s" too`},
		{regcred.OrgScope("a\nb"), "cannot be printed"},
		{regcred.OrgScope("a\xffb"), "cannot be printed"},
		{regcred.OrgScope(" a"), "begins or ends with a space"},
		{regcred.OrgScope(strings.Repeat("a", 254)), "at most 253"},
	} {
		err := test.scope.Validate()
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%+v: %v", test.scope, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) || regcred.CodeOf(err) != regcred.Invalid):
			t.Errorf("%+v: error %v, want one with %q", test.scope, err, test.want)
		}
	}
}

func TestErrors(t *testing.T) {
	cause := fs.ErrNotExist
	err := fmt.Errorf("reading: %w", regcred.Errorf(regcred.NotFound, "there is no %s: %w", "thing", cause))
	if regcred.CodeOf(err) != regcred.NotFound || !errors.Is(err, cause) {
		t.Error("code or cause is lost")
	}
	if got := regcred.MessageOf(err); got != "reading: there is no thing: file does not exist" {
		t.Errorf("message %q", got)
	}
	for _, err := range []error{errors.New(canary), regcred.Errorf(regcred.Internal, canary)} {
		if got := regcred.MessageOf(err); got != "internal error" || regcred.CodeOf(err) != regcred.Internal {
			t.Errorf("an unknown error shows as %q", got)
		}
	}
	if regcred.Code(200).String() != "internal" || regcred.ReadOnly.String() != "read-only" {
		t.Error("a code's name is wrong")
	}
}

func TestCallerHolds(t *testing.T) {
	space := regcred.SpaceScope("o", "s")
	for _, test := range []struct {
		caller regcred.Caller
		role   regcred.Role
		scope  regcred.Scope
		want   bool
	}{
		{regcred.Local, regcred.RoleTarget, space, true},
		{regcred.Caller{}, "", regcred.Foundation, true}, // holds no role, and no operation asks for none
		{regcred.Caller{}, regcred.RoleReader, space, false},
		{regcred.Caller{Role: regcred.RoleAdmin, Scope: regcred.OrgScope("o")}, regcred.RoleTarget, space, false},
		{regcred.Caller{Role: regcred.RoleTarget, Scope: regcred.OrgScope("o")}, regcred.RoleTarget, space, true},
		{regcred.Caller{Role: regcred.RoleTarget, Scope: space}, regcred.RoleTarget, regcred.OrgScope("o"), false},
		{regcred.Caller{Role: regcred.RoleReader, Scope: space}, regcred.RoleTarget, space, false},
	} {
		if got := test.caller.Holds(test.role, test.scope); got != test.want {
			t.Errorf("%+v holds %q at %s: %t", test.caller, test.role, test.scope, got)
		}
	}
}

// many returns n labels of one value.
func many(n int, value string) map[string]string {
	m := map[string]string{}
	for i := range n {
		m[strconv.Itoa(i)] = value
	}
	return m
}

func TestCredentialValidate(t *testing.T) {
	location := func(s string) imageref.Location {
		l, err := imageref.ParseLocation(s)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	for _, test := range []struct {
		name string
		cred regcred.Credential
		ok   bool
	}{
		{"static", regcred.Credential{Provider: "static", Location: location("registry.example.com")}, true},
		{"static without location", regcred.Credential{Provider: "static"}, false},
		{"provider without location", regcred.Credential{Provider: "ecr"}, true},
		{"no provider", regcred.Credential{Location: location("registry.example.com")}, false},
		{"shared domain", regcred.Credential{Provider: "static", Location: location("azurecr.io")}, false},
		{"bad scope", regcred.Credential{Provider: "ecr", Scope: regcred.Scope{App: "a"}}, false},
		{"labels", regcred.Credential{Provider: "ecr", Labels: many(50, "v"), Annotations: many(200, strings.Repeat("v", 300))}, true},
		{"many labels", regcred.Credential{Provider: "ecr", Labels: many(51, "v")}, false},
		{"many annotations", regcred.Credential{Provider: "ecr", Annotations: many(201, "v")}, false},
		{"large annotations", regcred.Credential{Provider: "ecr", Annotations: many(20, strings.Repeat("v", 5000))}, false},
	} {
		err := test.cred.Validate()
		if (err == nil) != test.ok || err != nil && regcred.CodeOf(err) != regcred.Invalid {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

func TestCredentialSameSource(t *testing.T) {
	base := func() regcred.Credential {
		return regcred.Credential{
			Provider: "p", Username: "u", Password: regcred.NewSecret("x"),
			Settings: map[string]string{"a": "1"}, Secrets: map[string]regcred.Secret{"k": regcred.NewSecret("y")},
		}
	}
	for name, change := range map[string]func(*regcred.Credential){
		"provider": func(c *regcred.Credential) { c.Provider = "q" },
		"username": func(c *regcred.Credential) { c.Username = "v" },
		"password": func(c *regcred.Credential) { c.Password = regcred.NewSecret("z") },
		"settings": func(c *regcred.Credential) { c.Settings["a"] = "2" },
		"secrets":  func(c *regcred.Credential) { c.Secrets["k"] = regcred.NewSecret("z") },
	} {
		c := base()
		if !c.SameSource(base()) {
			t.Fatal("equal credentials differ")
		}
		change(&c)
		if c.SameSource(base()) {
			t.Errorf("a change of %s is not seen", name)
		}
	}
	c := base()
	c.Labels = map[string]string{"a": "b"}
	if !c.SameSource(base()) {
		t.Error("a label changes the source")
	}
}

func TestLoginExpiredAndServes(t *testing.T) {
	now := time.Unix(1000, 0)
	for _, test := range []struct {
		expires time.Time
		want    bool
	}{{time.Time{}, false}, {now.Add(1), false}, {now, true}, {now.Add(-1), true}} {
		if got := (regcred.Login{ExpiresAt: test.expires}).Expired(now); got != test.want {
			t.Errorf("expires %v: %t", test.expires, got)
		}
	}
	if !(regcred.Login{}).Serves("a.example.com") {
		t.Error("a login without hosts serves all")
	}
	l := regcred.Login{Hosts: []string{"a.example.com"}}
	if !l.Serves("a.example.com") || l.Serves("b.example.com") || l.Serves("a.example.com.evil") {
		t.Error("a login serves its hosts alone")
	}
}

func TestCheckFields(t *testing.T) {
	info := regcred.ProviderInfo{Name: "p", Fields: []regcred.Field{
		{Name: "region", Doc: "where", Required: true}, {Name: "key", Doc: "what", Secret: true},
	}}
	for _, test := range []struct {
		name string
		cred regcred.Credential
		want string
	}{
		{"complete", regcred.Credential{Settings: map[string]string{"region": "r"}, Secrets: map[string]regcred.Secret{"key": regcred.NewSecret("k")}}, ""},
		{"missing", regcred.Credential{}, `needs the setting "region": where`},
		{"unknown", regcred.Credential{Settings: map[string]string{"region": "r", "colour": "c"}}, `no setting "colour"; it takes region, key`},
		{"a secret in clear", regcred.Credential{Settings: map[string]string{"region": "r", "key": canary}}, `no setting "key"`},
		{"a plain one as secret", regcred.Credential{Settings: map[string]string{"region": "r"}, Secrets: map[string]regcred.Secret{"region": regcred.NewSecret("r")}}, `no setting "region"`},
	} {
		err := info.CheckFields(test.cred)
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%s: %v", test.name, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), canary)):
			t.Errorf("%s: error %v, want one with %q", test.name, err, test.want)
		}
	}
}

func TestRotateBy(t *testing.T) {
	for text, want := range map[string]string{
		"2027-06-30":                "2027-06-30T00:00:00Z",
		"2027-06-30T14:00:00+02:00": "2027-06-30T12:00:00Z",
		"30.6.2027":                 "",
		"":                          "",
		"soon":                      "",
		// In UTC these are in years that JSON cannot say: status would show nothing any more.
		"0000-01-01T00:00:00+23:59": "",
		"9999-12-31T23:59:59-23:59": "",
		"0001-01-01":                "",
	} {
		c := regcred.Credential{Settings: map[string]string{regcred.SettingRotateBy: text}}
		at, err := c.RotateBy()
		switch {
		case want == "" && (regcred.CodeOf(err) != regcred.Invalid || !strings.Contains(err.Error(), "rotate-by")):
			t.Errorf("%q: %s, %v, want an error that names the setting", text, at, err)
		case want != "" && (err != nil || at.Format(time.RFC3339) != want):
			t.Errorf("%q: %s, %v, want %s", text, at, err, want)
		}
	}
	if at, err := (regcred.Credential{}).RotateBy(); err != nil || !at.IsZero() {
		t.Errorf("none: %s, %v", at, err)
	}
}
