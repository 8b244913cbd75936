package cloudfoundry_test

import (
	"testing"
	"time"

	"regcred.dev"
)

// BenchmarkAuthorize is what each request costs: the token's signature, and the roles
// from the cache.
func BenchmarkAuthorize(b *testing.B) {
	i := install(b, nil)
	i.capi.Grant("u-alice", "space_developer", "s-dev")
	raw := i.uaa.Token("alice")
	b.ReportAllocs()
	for b.Loop() {
		c, err := i.Authenticate(b.Context(), time.Now(), raw)
		if err != nil {
			b.Fatal(err)
		}
		if held, err := c.Members.Holds(b.Context(), regcred.RoleSpaceDeveloper, dev); !held || err != nil {
			b.Fatal(held, err)
		}
		if _, err := c.Members.Roles(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
