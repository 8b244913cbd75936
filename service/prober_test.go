package service_test

import (
	"strings"
	"testing"

	"regcred.dev"
	"regcred.dev/service"
)

// TestWhoAsks: registries are asked by the public prober for all but admins, also where
// an update is tried first.
func TestWhoAsks(t *testing.T) {
	bubble(t, nil, func(b bench) {
		b.registry.err = regcred.Errorf(regcred.Denied, "the admins' prober")
		b.public.err = regcred.Errorf(regcred.Denied, "the public prober")
		c := b.put("own.example.com", places['D'])
		developer := regcred.Caller{Name: "dave", Role: regcred.RoleSpaceDeveloper, Scope: places['D']}
		password := regcred.NewSecret("another")
		for _, test := range []struct {
			caller regcred.Caller
			want   string
		}{{regcred.Local, "the admins' prober"}, {developer, "the public prober"}} {
			report, err := b.Check(b.Context(), test.caller, c.GUID, "")
			if err != nil || report.Accepted || report.Problem != test.want {
				b.Errorf("check: %+v, %v, want %s", report, err, test.want)
			}
			_, err = b.Update(b.Context(), test.caller, c.GUID, service.CredentialUpdate{Password: &password, Check: true})
			if regcred.CodeOf(err) != regcred.Denied || !strings.Contains(err.Error(), test.want) {
				b.Errorf("update: %v, want %s", err, test.want)
			}
		}
	})
}

// TestNobodyAsks: without a public prober, registries are asked for admins alone.
func TestNobodyAsks(t *testing.T) {
	x := newTenancy(t, nil)
	c, err := x.CreateCredential(t.Context(), x.developer, service.NewCredential{
		Scope: places['D'], Location: "own.example.com", Username: "user", Password: regcred.NewSecret("p"),
	})
	if err != nil {
		t.Fatal(err)
	}
	report, err := x.Check(t.Context(), x.developer, c.GUID, "")
	if err != nil || report.Accepted || !strings.Contains(report.Problem, "for admins alone") {
		t.Errorf("%+v, %v", report, err)
	}
}
