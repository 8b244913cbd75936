package service_test

import (
	"strings"
	"testing"

	"regcred.dev"
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
