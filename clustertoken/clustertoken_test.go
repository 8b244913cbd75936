package clustertoken_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/clustertoken"
	"regcred.dev/regcredtest/fakecluster"
)

// TestClusters shows that each cluster's tokens are judged by that cluster alone.
func TestClusters(t *testing.T) {
	const other = "https://other.example.com"
	now := time.Now()
	mine := fakecluster.New(fakecluster.Options{Issuer: issuer})
	theirs := fakecluster.New(fakecluster.Options{Issuer: other})
	var shown []string
	clusters := clustertoken.Clusters{
		{Name: "prod", Issuer: issuer, Verifier: newOIDC(mine, nil), Scope: func(id clustertoken.Identity) (regcred.Scope, error) {
			switch id.Namespace {
			case "kube-system":
				return regcred.Scope{}, regcred.Errorf(regcred.Invalid, "its label says nothing")
			case "half":
				return regcred.Scope{Space: "half"}, nil
			case "app":
				return regcred.AppScope("acme", "app", "web"), nil
			}
			return regcred.SpaceScope("acme", id.Namespace), nil
		}},
		{Name: "test", Issuer: other, Verifier: recorder{&shown}, Scope: func(id clustertoken.Identity) (regcred.Scope, error) {
			return regcred.SpaceScope("test", id.Namespace), nil
		}},
	}
	caller, err := clusters.Authenticate(t.Context(), now, mine.Token(now, "shop", audience))
	want := regcred.Caller{
		Name: "service account shop/default (pod web-1, cluster prod)",
		Role: regcred.RoleWorkload, Scope: regcred.SpaceScope("acme", "shop"),
	}
	if diff := cmp.Diff(want, caller); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	forged := theirs.Claims(now, "shop", audience)
	forged["iss"] = issuer // signed by the other cluster's key
	for _, test := range []struct {
		name, raw string
		code      regcred.Code
		want      string
	}{
		{"another cluster's key", theirs.Sign(forged, nil), regcred.Unauthenticated, "no key of the name"},
		{"no cluster's issuer", fakecluster.New(fakecluster.Options{Issuer: "https://evil.example.com"}).Token(now, "shop", audience), regcred.Unauthenticated, "kubernetes_tokens"},
		{"an API token", "rcat_0123456789ab_x", regcred.Unauthenticated, "no service account token"},
		{"a namespace without a scope", mine.Token(now, "kube-system", audience), regcred.Denied, "its label says nothing"},
		{"half a scope", mine.Token(now, "half", audience), regcred.Denied, "needs its organization"},
		{"an app's scope", mine.Token(now, "app", audience), regcred.Denied, "not for a namespace"},
		{"long", strings.Repeat("a.", 10<<20), regcred.Unauthenticated, "no service account token"},
	} {
		caller, err := clusters.Authenticate(t.Context(), now, test.raw)
		if regcred.CodeOf(err) != test.code || !strings.Contains(err.Error(), test.want) || caller != (regcred.Caller{}) {
			t.Errorf("%s: %v, %v", test.name, caller, err)
		}
	}
	if len(shown) != 0 {
		t.Errorf("a token of one cluster was shown to another %d times", len(shown))
	}
	if _, err := (clustertoken.Clusters)(nil).Authenticate(t.Context(), now, mine.Token(now, "shop", audience)); regcred.CodeOf(err) != regcred.Unauthenticated {
		t.Errorf("no clusters: %v", err)
	}
}

// recorder notes what it is shown.
type recorder struct{ shown *[]string }

func (r recorder) Verify(_ context.Context, _ time.Time, raw string) (clustertoken.Identity, error) {
	*r.shown = append(*r.shown, raw)
	return clustertoken.Identity{}, regcred.Errorf(regcred.Unauthenticated, "refused")
}
