package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"regcred.dev"
	"regcred.dev/client"
	"regcred.dev/config"
	"regcred.dev/registry/publish"
)

// TestUpkeepRequests holds what the routes of the registry's upkeep say of requests that
// are no good.
func TestUpkeepRequests(t *testing.T) {
	r, _ := start(t, config.Default())
	for request, want := range map[string]struct {
		status int
		words  string
	}{
		"GET repositories?page=0":                        {400, "Page must be a positive integer"},
		"GET repositories?repository=a":                  {400, "Unknown query parameter(s): 'repository'"},
		"GET tags":                                       {400, "repository is missing"},
		"GET tags?repository=":                           {400, "repository is missing"},
		"GET tags?repository=acme/app&colour=red":        {400, "'colour'"},
		"GET tags?repository=localhost:5000/app":         {422, "without a registry's host"},
		"GET tags?repository=../app":                     {422, "this is no name of a repository"},
		"GET history?repository=acme/app":                {400, "tag is missing"},
		"GET history?repository=acme/app&tag=..":         {404, "acme/app:..: "},
		"GET statistics?from=soon":                       {400, "from must be a day"},
		"GET statistics?from=2026-01-01&to=9999-99-99":   {400, "to must be a day"},
		"DELETE tags?repository=acme/app":                {400, "tag is missing"},
		"DELETE tags?repository=acme/app&tag=1&digest=x": {400, "'digest'"},
		"DELETE manifests?repository=acme/app&digest=x":  {422, "this is no digest"},
		"POST tags/actions/rollback?tag=1":               {400, "repository is missing"},
		"POST actions/collect?dry_run=perhaps":           {400, "dry_run must be true or false"},
		"POST actions/check?deep=perhaps":                {400, "deep must be true or false"},
		"POST actions/check?force=true":                  {400, "'force'"},
		"GET operations?kind=check":                      {400, "'kind'"},
		"GET operations/none?wait=long":                  {400, "wait must be a duration, such as 10s"},
		"GET operations/none?wait=-1s":                   {400, "wait must be a duration, such as 10s"},
		"GET operations/none":                            {404, "there is no operation"},
	} {
		method, path, _ := strings.Cut(request, " ")
		path = "/regcred/v1/registry/" + path
		if status, body := r.doAdmin(method, path, ""); status != want.status || !strings.Contains(body, want.words) {
			t.Errorf("%s: %d %s", request, status, body)
		}
	}
}

// TestUpkeepPages lists more than fits on a page, and counts what was pushed once it is
// written.
func TestUpkeepPages(t *testing.T) {
	cfg := config.Default()
	cfg.DataDir = t.TempDir()
	r, stop := start(t, cfg)
	dst, err := publish.Remote(r.url, regcred.NewSecret(r.adminToken()), nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		publishFile(t, dst, []byte{byte(i)}, fmt.Sprint("t", i), publish.Fast)
	}
	auditor, err := r.local.CreateToken(t.Context(), client.TokenRequest{Name: "auditor", Role: string(regcred.RoleAuditor)})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	path := "/regcred/v1/registry/tags?repository=acme/app&per_page=2"
	for range 3 {
		status, body := r.do(http.MethodGet, path, auditor.Secret, "")
		var page client.Page[client.Tag]
		if err := json.Unmarshal([]byte(body), &page); err != nil || status != http.StatusOK || page.Pagination.TotalResults != 5 {
			t.Fatalf("%d %s", status, body)
		}
		for _, tag := range page.Resources {
			names = append(names, tag.Name)
		}
		if page.Pagination.Next != nil {
			path = strings.TrimPrefix(page.Pagination.Next.Href, r.url)
		}
	}
	if got := strings.Join(names, " "); got != "t0 t1 t2 t3 t4" {
		t.Errorf("the pages have %s", got)
	}
	stop()
	r, _ = start(t, cfg)
	now := time.Now()
	list, err := r.local.RegistryStatistics(t.Context(), now.Add(-24*time.Hour), now)
	if err != nil || len(list) != 6 {
		t.Fatalf("%+v, %v", list, err)
	}
	for i, s := range list[1:] {
		if s.Repository != "acme/app" || s.Tag != fmt.Sprint("t", i) || s.Pushes != 1 || s.LastPushedAt == nil || s.LastPulledAt != nil {
			t.Errorf("%+v", s)
		}
	}
}
