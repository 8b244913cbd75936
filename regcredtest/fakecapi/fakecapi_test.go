package fakecapi_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"regcred.dev/regcredtest/fakecapi"
	"regcred.dev/regcredtest/fakeuaa"
)

// TestAnswers shows statuses and codes as CAPI has them, and that each user sees what
// that one may.
func TestAnswers(t *testing.T) {
	uaa := fakeuaa.New(fakeuaa.Options{URL: "https://uaa.example.com", Users: map[string]fakeuaa.User{
		"alice": {GUID: "u-alice"}, "bob": {GUID: "u-bob"}, "none": {GUID: "u-none", Scopes: []string{"openid"}},
		"admin": {GUID: "u-admin", Scopes: []string{"cloud_controller.admin"}},
	}})
	capi := fakecapi.New(fakecapi.Options{URL: "https://api.example.com", UAA: "https://uaa.example.com", Verify: uaa.Verify})
	capi.AddOrg("o", "acme")
	capi.AddSpace("s", "dev", "o")
	capi.AddApp("a", "web", "s")
	capi.Grant("u-alice", "space_developer", "s")
	capi.Grant("u-bob", "organization_manager", "o")
	old := uaa.Claims("alice")
	old["exp"] = 1
	for _, test := range []struct {
		token, path string
		status      int
		code        int // of the error
		found       int // resources; -1: it is no list
	}{
		{"", "/", 200, 0, -1},
		{"", "/v3/roles", 401, 10002, -1},
		{"junk", "/v3/roles", 401, 1000, -1},
		{uaa.Sign(old, nil), "/v3/roles", 401, 1000, -1},
		{uaa.Token("none"), "/v3/roles", 403, 10003, -1},
		{uaa.Token("alice"), "/v3/roles", 200, 0, 1},
		{uaa.Token("bob"), "/v3/roles", 200, 0, 2},
		{uaa.Token("admin"), "/v3/roles", 200, 0, 2},
		{uaa.Token("bob"), "/v3/roles?user_guids=u-alice", 200, 0, 1},
		{uaa.Token("alice"), "/v3/roles?user_guids=u-bob", 200, 0, 0},
		{uaa.Token("alice"), "/v3/roles?types=space_developer,space_manager&space_guids=s&include=space", 200, 0, 1},
		{uaa.Token("alice"), "/v3/roles?types=king", 400, 10005, -1},
		{uaa.Token("alice"), "/v3/roles?colour=red", 400, 10005, -1},
		{uaa.Token("alice"), "/v3/roles?per_page=5001", 400, 10005, -1},
		{uaa.Token("alice"), "/v3/roles?page=x", 400, 10005, -1},
		{uaa.Token("alice"), "/v3/spaces/s", 200, 0, -1},
		{uaa.Token("bob"), "/v3/apps/a", 200, 0, -1},
		{uaa.Token("alice"), "/v3/organizations/o", 404, 10010, -1},
		{uaa.Token("alice"), "/v3/spaces/none", 404, 10010, -1},
		{uaa.Token("alice"), "/v3/spaces?guids=s,none", 200, 0, 1},
		{uaa.Token("alice"), "/v3/apps?names=web&space_guids=s", 200, 0, 1},
	} {
		req := httptest.NewRequest(http.MethodGet, test.path, nil)
		if test.token != "" {
			req.Header.Set("Authorization", "bearer "+test.token)
		}
		w := httptest.NewRecorder()
		capi.ServeHTTP(w, req)
		var got struct {
			Errors     []struct{ Code int }
			Resources  []any
			Pagination struct {
				Total int `json:"total_results"`
			}
		}
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatal(test.path, err)
		}
		code, found := 0, -1
		if len(got.Errors) > 0 {
			code = got.Errors[0].Code
		}
		if got.Resources != nil {
			found = len(got.Resources)
		}
		if diff := cmp.Diff([]int{test.status, test.code, test.found, max(test.found, 0)}, []int{w.Code, code, found, got.Pagination.Total}); diff != "" {
			t.Errorf("%s: %s", test.path, diff)
		}
	}
}
