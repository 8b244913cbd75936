// Package fakefoundation is a small Cloud Foundry on the loopback address: the fakes of
// its UAA and its Cloud Controller, with an organization "acme" that has the spaces "dev"
// and "prod", an app "web" in the first, and one "other" with the space "lab" and an app
// "job" there. Ids are names with "-guid" behind.
package fakefoundation

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"regcred.dev/regcredtest/fakecapi"
	"regcred.dev/regcredtest/fakeuaa"
)

// The users, each of whom has the role that the name says; Nobody has none. Root is an
// admin, and Watcher a global auditor.
const (
	Root      = "root"
	Watcher   = "watcher"
	Manager   = "manager"   // organization_manager of acme
	Member    = "member"    // organization_user of acme
	Developer = "developer" // space_developer of acme's dev
	Auditor   = "auditor"   // space_auditor of acme's dev
	Nobody    = "nobody"
)

// scopes are those of users' tokens that not all have.
var scopes = map[string][]string{
	Root:    append([]string{"cloud_controller.admin"}, fakeuaa.UserScopes...),
	Watcher: append([]string{"cloud_controller.global_auditor"}, fakeuaa.UserScopes...),
}

// Foundation is the Cloud Foundry.
type Foundation struct {
	// API is the URL of its Cloud Controller.
	API  string
	UAA  *fakeuaa.Server
	CAPI *fakecapi.Server
}

// Start starts one that ends with the test.
func Start(t testing.TB) *Foundation {
	t.Helper()
	f := &Foundation{}
	uaa := serve(t, func(w http.ResponseWriter, r *http.Request) { f.UAA.ServeHTTP(w, r) })
	f.API = serve(t, func(w http.ResponseWriter, r *http.Request) { f.CAPI.ServeHTTP(w, r) })
	users := map[string]fakeuaa.User{}
	for _, name := range []string{Root, Watcher, Manager, Member, Developer, Auditor, Nobody} {
		users[name] = fakeuaa.User{GUID: name + "-guid", Password: name, Scopes: scopes[name]}
	}
	f.UAA = fakeuaa.New(fakeuaa.Options{URL: uaa, Users: users})
	f.CAPI = fakecapi.New(fakecapi.Options{URL: f.API, UAA: uaa, Verify: f.UAA.Verify})
	for org, spaces := range map[string][]string{"acme": {"dev", "prod"}, "other": {"lab"}} {
		f.CAPI.AddOrg(org+"-guid", org)
		for _, space := range spaces {
			f.CAPI.AddSpace(space+"-guid", space, org+"-guid")
		}
	}
	f.CAPI.AddApp("web-guid", "web", "dev-guid")
	f.CAPI.AddApp("job-guid", "job", "lab-guid")
	f.CAPI.Grant(Manager+"-guid", "organization_manager", "acme-guid")
	f.CAPI.Grant(Member+"-guid", "organization_user", "acme-guid")
	f.CAPI.Grant(Developer+"-guid", "organization_user", "acme-guid")
	f.CAPI.Grant(Developer+"-guid", "space_developer", "dev-guid")
	f.CAPI.Grant(Auditor+"-guid", "organization_user", "acme-guid")
	f.CAPI.Grant(Auditor+"-guid", "space_auditor", "dev-guid")
	return f
}

func serve(t testing.TB, handler http.HandlerFunc) (url string) {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s.URL
}
