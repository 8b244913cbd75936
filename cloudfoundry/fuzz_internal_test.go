package cloudfoundry

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"slices"
	"testing"

	"regcred.dev"
)

// always is a transport that answers everything with one body.
type always []byte

func (a always) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(a)), Request: r}, nil
}

// FuzzRoles: whatever CAPI answers, what a user is said to hold is a role of ours, at a
// scope of its level that is whole.
func FuzzRoles(f *testing.F) {
	const (
		alice = `{"user":{"data":{"guid":"u-alice"}},`
		dev   = `{"guid":"s-dev","relationships":{"organization":{"data":{"guid":"o-acme"}}}}`
	)
	f.Add([]byte(`{"pagination":{"total_pages":1},"resources":[{"type":"space_developer","relationships":` + alice + `"space":{"data":{"guid":"s-dev"}}}}],"included":{"spaces":[` + dev + `]}}`))
	f.Add([]byte(`{"pagination":{"total_pages":1},"resources":[{"type":"organization_manager","relationships":` + alice + `"organization":{"data":{"guid":"o-acme"}}}}]}`))
	f.Add([]byte(`{"pagination":{"total_pages":2},"resources":[null,{"relationships":null}]}`))
	f.Add([]byte(`{"pagination":{"total_results":1},"resources":{}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		foundation, err := New(Options{API: "https://api.example.com", Transport: always(body)})
		if err != nil {
			t.Fatal(err)
		}
		held, err := newUser(foundation, "u-alice", "token", tokenHash{}).memberships(t.Context(), url.Values{})
		if err != nil {
			if held != nil || !slices.Contains([]regcred.Code{regcred.Unavailable, regcred.TooLarge}, regcred.CodeOf(err)) {
				t.Fatal(held, err)
			}
			return
		}
		for _, m := range held {
			level, only := m.Role.Level()
			if !only || level == regcred.LevelFoundation || m.Validate() != nil {
				t.Fatalf("%s gives %+v", body, m)
			}
		}
	})
}
