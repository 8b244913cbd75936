package server_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"regcred.dev/client"
	"regcred.dev/config"
)

// audit returns the entries of an operation, the newest first.
func (r *running) audit(operation string) []client.AuditEntry {
	r.t.Helper()
	list, _, err := r.local.Audit(r.t.Context(), url.Values{"operations": {operation}}, 5000)
	if err != nil {
		r.t.Fatal(err)
	}
	return list
}

// TestBadTokensAreAudited: the log has what is wrong with tokens that the API and the
// registry refuse, and nothing that their senders made up.
func TestBadTokensAreAudited(t *testing.T) {
	r, _ := start(t, config.Default())
	tok, err := r.local.CreateToken(t.Context(), client.TokenRequest{Name: "customer", Role: "puller"})
	if err != nil {
		t.Fatal(err)
	}
	wrong := tok.Secret[:len(tok.Secret)-64] + strings.Repeat("0", 64)
	for _, route := range []string{"/v3/registry_credentials", "/regcred/v1/audit", "/v2/"} {
		for _, token := range []string{wrong, "rcat_canary", "canary.canary.canary", ""} {
			if status, body := r.do(http.MethodGet, route, token, ""); status != http.StatusUnauthorized {
				t.Errorf("%s: %d %s", route, status, body)
			}
		}
	}
	if err := r.local.DeleteToken(t.Context(), tok.ID); err != nil {
		t.Fatal(err)
	}
	if status, _ := r.do(http.MethodGet, "/regcred/v1/providers", tok.Secret, ""); status != http.StatusUnauthorized {
		t.Errorf("a deleted token: %d", status)
	}
	counts := map[string]int{}
	for _, e := range r.audit("authenticate") {
		counts[e.Detail] += e.Count
		if e.Allowed || e.Caller != "nobody" || e.From != "127.0.0.1" || e.Scope != "foundation" || e.Repository+e.Location+e.GUID != "" {
			t.Errorf("%+v", e)
		}
	}
	// The registry takes no API token as a Bearer token; the API no other one.
	want := map[string]int{"unknown or wrong, of " + tok.ID: 3, "malformed": 2 + 2, "unknown or wrong": 3}
	if diff := cmp.Diff(want, counts); diff != "" {
		t.Errorf("what is wrong (-want +got):\n%s", diff)
	}
}

// TestStrangersDoNotFillTheLog: made-up tokens are some entries and a number.
func TestStrangersDoNotFillTheLog(t *testing.T) {
	r, _ := start(t, config.Default())
	const attempts = 500
	for i := range attempts {
		r.do(http.MethodGet, "/v3/registry_credentials", fmt.Sprintf("rcat_%012x_%064x", i, i), "")
	}
	list := r.audit("authenticate")
	counted := 0
	for _, e := range list {
		counted += e.Count
	}
	// At most two minutes begin while this runs; each has five entries and one of others.
	if len(list) > 12 || counted != attempts {
		t.Errorf("%d entries, which count %d", len(list), counted)
	}
}

// TestAuditedFrom: behind a proxy that is trusted, the log has the client's address, of the
// API and of the registry.
func TestAuditedFrom(t *testing.T) {
	cfg := config.Default()
	cfg.Registry.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	r, _ := start(t, cfg)
	from := map[string]string{}
	for address, path := range map[string]string{"203.0.113.1": "/regcred/v1/status", "203.0.113.2": "/v2/acme/app/manifests/none"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, r.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if path == "/regcred/v1/status" {
			req.Method = http.MethodGet
			req.Header.Set("Authorization", "Bearer "+r.adminToken())
		} else {
			req.SetBasicAuth("x", r.adminToken())
		}
		req.Header.Set("X-Forwarded-For", address)
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
	}
	for _, operation := range []string{"status", "delete tag"} {
		for _, e := range r.audit(operation) {
			if e.From != "" { // not of the test's own client
				from[operation] = e.From + " " + strings.SplitN(e.Caller, " ", 2)[0]
			}
		}
	}
	want := map[string]string{"status": "203.0.113.1 token", "delete tag": "203.0.113.2 token"}
	if !maps.Equal(want, from) {
		t.Errorf("from %v, want %v", from, want)
	}
}

// TestUnknownOperation: a filter that can find nothing says so, and what there is.
func TestUnknownOperation(t *testing.T) {
	r, _ := start(t, config.Default())
	status, body := r.doAdmin(http.MethodGet, "/regcred/v1/audit?operations=push%20manifest,make%20coffee", "")
	if status != http.StatusBadRequest || !strings.Contains(body, `make coffee`) || !strings.Contains(body, "roll back tag, status, update credential") {
		t.Errorf("%d %s", status, body)
	}
}
