package crane_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"regcred.dev/token"
)

const asJSON = "Accept: application/json"

func TestLists(t *testing.T) {
	r := newRegistry(t, metadata, nil)
	small := map[string]any{"image_ids": []any{"b1", "a0"}, "tags": map[string]any{"latest": "b1", "old": "a0"}, "protected": false}
	plain := map[string]any{"image_ids": []any{"c2"}, "tags": map[string]any{"latest": "c2"}, "protected": false}
	secret := map[string]any{"image_ids": []any{"d3", "a0"}, "tags": map[string]any{"latest": "d3"}, "protected": true}
	open, all := map[string]any{"acme/small": small, "plain": plain}, map[string]any{"acme/small": small, "plain": plain, "acme/secret": secret}
	for _, test := range []struct {
		login string
		want  map[string]any
	}{
		{"", open},
		{basic("guess"), open},
		{basic(r.login(t, "acme/*", token.Pull)), open},
		{basic(r.login(t, "*", token.Push)), open},
		{basic(r.login(t, "*", token.Pull)), all},
	} {
		for _, path := range []string{"/crane/repositories", "/crane/repositories/v1"} {
			got := ask(t, r.Config.Handler, "GET", path, asJSON, "Authorization: "+test.login)
			if diff := cmp.Diff(any(test.want), decoded(got.body)); diff != "" {
				t.Errorf("%s with %q (-want +got):\n%s", path, test.login, diff)
			}
		}
	}
}

func TestPages(t *testing.T) {
	r := newRegistry(t, metadata, nil)
	for path, wants := range map[string][]string{
		"/crane/repositories":    {"acme/small", "latest", "b1", "2 images"},
		"/crane/repositories/v2": {"acme/two", "ns/four"},
	} {
		got := ask(t, r.Config.Handler, "GET", path, "Accept: text/html,application/xhtml+xml,*/*;q=0.8")
		if got.status != 200 || !strings.HasPrefix(got.header.Get("Content-Type"), "text/html") {
			t.Errorf("%s: %d %s", path, got.status, got.header)
		}
		for _, want := range wants {
			if !strings.Contains(got.body, want) {
				t.Errorf("%s: the page has no %q:\n%s", path, want, got.body)
			}
		}
		for _, protected := range []string{"acme/secret", "acme/hidden", "d3"} {
			if strings.Contains(got.body, protected) {
				t.Errorf("%s: the page has %q:\n%s", path, protected, got.body)
			}
		}
	}
}
