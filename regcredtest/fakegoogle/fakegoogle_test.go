package fakegoogle_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"regcred.dev/regcredtest/fakegoogle"
)

const machine = "vm@project.iam.gserviceaccount.com"

// do sends a request, and returns the status and the body.
func do(s *fakegoogle.Server, r *http.Request) (int, string) {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	body, _ := io.ReadAll(w.Body)
	return w.Code, string(body)
}

func metadata(scopes string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "http://169.254.169.254/computeMetadata/v1/instance/service-accounts/default/token?scopes="+url.QueryEscape(scopes), nil)
	r.Header.Set("Metadata-Flavor", "Google")
	return r
}

// TestMetadata checks what the metadata server refuses.
func TestMetadata(t *testing.T) {
	s := fakegoogle.New(fakegoogle.Options{Machine: machine, MachineScopes: []string{fakegoogle.ScopeReadOnly}})
	noHeader := metadata("")
	noHeader.Header.Del("Metadata-Flavor")
	forwarded := metadata("")
	forwarded.Header.Set("X-Forwarded-For", "192.0.2.1")
	for name, test := range map[string]struct {
		r    *http.Request
		want int
	}{
		"right":            {metadata(fakegoogle.ScopeReadOnly), http.StatusOK},
		"no scopes":        {metadata(""), http.StatusOK},
		"scopes too wide":  {metadata(fakegoogle.ScopeCloud), http.StatusForbidden},
		"no header":        {noHeader, http.StatusForbidden},
		"through a proxy":  {forwarded, http.StatusForbidden},
		"some other thing": {httptest.NewRequest(http.MethodGet, "http://169.254.169.254/", nil), http.StatusNotFound},
	} {
		if status, body := do(s, test.r); status != test.want {
			t.Errorf("%s: status %d, want %d: %s", name, status, test.want, body)
		}
	}
}

// TestRegistry checks that a registry takes a token of the right scope alone.
func TestRegistry(t *testing.T) {
	s := fakegoogle.New(fakegoogle.Options{Machine: machine})
	token := func(scope string) string {
		_, body := do(s, metadata(scope))
		var answer struct {
			Token string `json:"access_token"`
		}
		if err := json.Unmarshal([]byte(body), &answer); err != nil {
			t.Fatal(err)
		}
		return answer.Token
	}
	read, other := token(fakegoogle.ScopeReadOnly), token("https://www.googleapis.com/auth/logging.write")
	for name, test := range map[string]struct {
		user, password string
		want           int
	}{
		"right":       {"oauth2accesstoken", read, http.StatusOK},
		"other user":  {"AWS", read, http.StatusUnauthorized},
		"other token": {"oauth2accesstoken", "ya29.other", http.StatusUnauthorized},
		"other scope": {"oauth2accesstoken", other, http.StatusUnauthorized},
	} {
		r := httptest.NewRequest(http.MethodGet, "https://us-docker.pkg.dev/v2/", nil)
		r.SetBasicAuth(test.user, test.password)
		if status, _ := do(s, r); status != test.want {
			t.Errorf("%s: status %d, want %d", name, status, test.want)
		}
	}
}

// TestToken checks that the token endpoint wants a grant that it knows.
func TestToken(t *testing.T) {
	s := fakegoogle.New(fakegoogle.Options{})
	for _, form := range []string{
		"", "grant_type=password", "grant_type=refresh_token&refresh_token=x",
		"grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion=a.b.c",
	} {
		status, body := do(s, httptest.NewRequest(http.MethodPost, "https://oauth2.googleapis.com/token", strings.NewReader(form)))
		if status != http.StatusBadRequest || !strings.Contains(body, "error_description") {
			t.Errorf("%q: status %d: %s", form, status, body)
		}
	}
	if n := s.Calls()[fakegoogle.CallToken]; n != 4 {
		t.Errorf("%d calls, want 4", n)
	}
}
