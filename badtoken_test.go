package regcred_test

import (
	"fmt"
	"testing"

	"regcred.dev"
)

// TestAuditBadToken: the log has fixed words and an id; what is no fault of the token is
// not in it.
func TestAuditBadToken(t *testing.T) {
	const code = "canary"
	for _, test := range []struct {
		err  error
		want string // "": no entry
	}{
		{regcred.NewBadToken(regcred.TokenExpired, "0123456789ab", "%s", code), "expired, of 0123456789ab"},
		{fmt.Errorf("login: %w", regcred.NewBadToken(regcred.TokenMalformed, "", "%s", code)), "malformed"},
		{regcred.Errorf(regcred.Unauthenticated, "%s", code), "refused"},
		{regcred.Errorf(regcred.Denied, "%s", code), "without any role"},
		{regcred.Errorf(regcred.Unavailable, "%s", code), ""},
		{fmt.Errorf("%s", code), ""},
	} {
		e, ok := regcred.AuditBadToken("192.0.2.1", test.err)
		want := regcred.AuditEntry{}
		if test.want != "" {
			want = regcred.AuditEntry{Caller: regcred.Nobody, From: "192.0.2.1", Operation: "authenticate", Detail: test.want}
		}
		if ok != (test.want != "") || e != want {
			t.Errorf("%v: %+v, %t", test.err, e, ok)
		}
	}
	err := regcred.NewBadToken(regcred.TokenExpired, "", "it is over")
	if regcred.CodeOf(err) != regcred.Unauthenticated || regcred.MessageOf(err) != "it is over" {
		t.Errorf("%s, %q", regcred.CodeOf(err), regcred.MessageOf(err))
	}
}
