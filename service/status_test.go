package service_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/service"
)

// TestStatusRotations: what is to be replaced soon, or should have been, the most
// urgent first.
func TestStatusRotations(t *testing.T) {
	bubble(t, nil, func(b bench) {
		day := func(n int) string { return time.Now().AddDate(0, 0, n).Format(time.DateOnly) }
		for org, by := range map[string]string{"later": day(40), "soon": day(20), "late": day(-2), "never": ""} {
			in := service.NewCredential{
				Scope: regcred.OrgScope(org), Location: host, Username: "u", Password: regcred.NewSecret("p"),
				Settings: map[string]regcred.Secret{},
			}
			if by != "" {
				in.Settings[regcred.SettingRotateBy] = regcred.NewSecret(by)
			}
			if _, err := b.CreateCredential(b.Context(), regcred.Local, in); err != nil {
				b.Fatal(err)
			}
		}
		status, err := b.Status(b.Context(), regcred.Local)
		if err != nil {
			b.Fatal(err)
		}
		var got []string
		for _, r := range status.Rotations {
			got = append(got, r.Scope.Org+" "+r.By.Format(time.DateOnly))
		}
		if diff := cmp.Diff([]string{"late " + day(-2), "soon " + day(20)}, got); diff != "" {
			b.Error(diff)
		}
	})
}

// TestReferences: nobody who asks has the server's files and environment read.
func TestReferences(t *testing.T) {
	bubble(t, nil, func(b bench) {
		c := b.create("acme", "a-key")
		for _, text := range []string{"file:/etc/shadow", "env:HOME"} {
			_, createErr := b.CreateCredential(b.Context(), regcred.Local, service.NewCredential{
				Location: host, Provider: "issuer", Settings: map[string]regcred.Secret{"key": regcred.NewSecret(text)},
			})
			_, updateErr := b.Update(b.Context(), regcred.Local, c.GUID, key(text))
			for _, err := range []error{createErr, updateErr} {
				if regcred.CodeOf(err) != regcred.Invalid {
					b.Errorf("%s: %v, want that it is refused", text, err)
				}
			}
		}
	})
}
