package service_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/catalog"
	"regcred.dev/service"
)

func declaration(where, location, key string) service.Declaration {
	return service.Declaration{Where: where, NewCredential: service.NewCredential{
		Location: location, Provider: "issuer", Settings: map[string]regcred.Secret{"key": regcred.NewSecret(key)},
	}}
}

// TestDeclareTwice: two declarations of one place are refused, and nothing is
// written; a place without a location is one as well.
func TestDeclareTwice(t *testing.T) {
	for name, location := range map[string]string{"a location": host, "no location": ""} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(b bench) {
				err := b.Declare(b.Context(), []service.Declaration{
					declaration("regcred.yaml:3", location, "first-key"), declaration("regcred.yaml:9", location, "second-key"),
				})
				if regcred.CodeOf(err) != regcred.Invalid || !strings.Contains(err.Error(), "regcred.yaml:9: ") || !strings.Contains(err.Error(), "at regcred.yaml:3 already") {
					b.Errorf("%v, want an error that names both places", err)
				}
				if list, _, err := b.List(b.Context(), regcred.Local, catalog.Query{Limit: 10}); err != nil || len(list) > 0 {
					b.Errorf("%d credentials were written, %v", len(list), err)
				}
			})
		})
	}
}

// TestDeclarationsAreAudited: what the configuration changes is in the log, and what it
// leaves as it is not.
func TestDeclarationsAreAudited(t *testing.T) {
	bubble(t, nil, func(b bench) {
		first, second := declaration("regcred.yaml:3", host, "first-key"), declaration("regcred.yaml:3", host, "second-key")
		for _, list := range [][]service.Declaration{{first}, {first}, {second}, {}} {
			if err := b.Declare(b.Context(), list); err != nil {
				b.Fatal(err)
			}
		}
		const declared = "configuration allowed declare credential foundation"
		want := []string{declared, declared, "configuration allowed delete credential foundation"}
		if diff := cmp.Diff(want, b.acts()); diff != "" {
			b.Errorf("the log (-want +got):\n%s", diff)
		}
	})
}
