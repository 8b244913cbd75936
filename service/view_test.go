package service_test

import (
	"strings"
	"testing"

	"regcred.dev"
	"regcred.dev/catalog"
	"regcred.dev/service"
)

// TestProblemsOfTheServer: what an issuer says of the server's own identity is for
// admins; of a credential's own secrets its readers may know it.
func TestProblemsOfTheServer(t *testing.T) {
	for name, uses := range map[string][]string{"the server's": {"the server's own identity"}, "its own": nil} {
		bubble(t, nil, func(b bench) {
			b.issuer.uses = uses
			b.issuer.set(func(regcred.Credential, *regcred.Login) error {
				return regcred.Errorf(regcred.Denied, "arn:aws:sts::4711:assumed-role/server may not")
			})
			c, err := b.CreateCredential(b.Context(), regcred.Local, service.NewCredential{
				Scope: places['D'], Location: host, Provider: "issuer", Settings: map[string]regcred.Secret{"key": regcred.NewSecret("k")},
			})
			if err != nil {
				b.Fatal(err)
			}
			for who, shown := range map[string]bool{"admin": true, "developer": uses == nil} {
				caller := regcred.Local
				if who == "developer" {
					caller = regcred.Caller{Name: "dave", Role: regcred.RoleSpaceDeveloper, Scope: places['D']}
				}
				got, err := b.Get(b.Context(), caller, c.GUID)
				if err != nil || got.Login == nil || got.Login.Problem == "" || strings.Contains(got.Login.Problem, "4711") != shown {
					b.Errorf("%s identity, %s: %+v, %v", name, who, got.Login, err)
				}
			}
		})
	}
}

// TestSettingsOfTheServer: the settings of what uses the server itself are for admins; those
// of all else are for whoever may read it, whose location and user name everybody sees.
func TestSettingsOfTheServer(t *testing.T) {
	bubble(t, nil, func(b bench) {
		b.issuer.usesOf = func(c regcred.Credential) []string {
			if c.Secrets["key"].IsZero() {
				return []string{"the server's own identity"}
			}
			return nil
		}
		for name, test := range map[string]struct {
			key          string
			get, list    bool // shown to others than admins
			hasNoSetting bool
		}{
			"the server's":             {},
			"its own":                  {key: "k", get: true},
			"the server's, no setting": {hasNoSetting: true, get: true, list: true},
		} {
			in := service.NewCredential{
				Scope: regcred.Foundation, Location: strings.NewReplacer(" ", "-", "'", "", ",", "").Replace(name) + ".example.com", Provider: "issuer",
				Settings: map[string]regcred.Secret{},
			}
			if !test.hasNoSetting {
				in.Settings["role"] = regcred.NewSecret("arn:aws:iam::4711:role/server")
			}
			if test.key != "" {
				in.Settings["key"] = regcred.NewSecret(test.key)
			}
			c, err := b.CreateCredential(b.Context(), regcred.Local, in)
			if err != nil {
				b.Fatal(err)
			}
			for who, caller := range map[string]regcred.Caller{
				"admin": regcred.Local, "auditor": {Name: "a", Role: regcred.RoleAuditor}, "reader": {Name: "r", Role: regcred.RoleReader},
				"developer": {Name: "d", Role: regcred.RoleSpaceDeveloper, Scope: places['D']},
			} {
				got, err := b.Get(b.Context(), caller, c.GUID)
				if err != nil {
					b.Fatal(err)
				}
				page, _, err := b.List(b.Context(), caller, catalog.Query{GUIDs: []string{c.GUID}, Limit: 1})
				if err != nil || len(page) != 1 {
					b.Fatal(page, err)
				}
				for how, v := range map[string]service.Credential{"get": got, "list": b.View(caller, page[0])} {
					shown := who == "admin" || map[string]bool{"get": test.get, "list": test.list}[how]
					if v.SettingsHidden == shown || (v.Settings["role"] != "") != (shown && !test.hasNoSetting) || v.Location != c.Location {
						b.Errorf("%s, %s by %s: %+v", name, how, who, v)
					}
				}
			}
		}
	})
}

// TestRefusalsOfTheServer: who may alter what is at a scope, but not what uses the server
// itself there, is refused without a word of how that does it.
func TestRefusalsOfTheServer(t *testing.T) {
	bubble(t, nil, func(b bench) {
		b.issuer.uses = []string{"the program " + canary + " on the server"}
		c, err := b.CreateCredential(b.Context(), regcred.Local, service.NewCredential{
			Scope: places['D'], Location: host, Provider: "issuer", Settings: map[string]regcred.Secret{"key": regcred.NewSecret("k")},
		})
		if err != nil {
			b.Fatal(err)
		}
		_, update := b.Update(b.Context(), developer, c.GUID, service.CredentialUpdate{})
		_, refresh := b.Refresh(b.Context(), developer, c.GUID, false)
		_, check := b.Check(b.Context(), developer, c.GUID, "")
		for what, err := range map[string]error{
			"update": update, "refresh": refresh, "check": check, "delete": b.Delete(b.Context(), developer, c.GUID),
		} {
			if regcred.CodeOf(err) != regcred.Denied || strings.Contains(err.Error(), canary) || !strings.Contains(err.Error(), "the server itself") {
				b.Errorf("%s: %v", what, err)
			}
		}
	})
}
