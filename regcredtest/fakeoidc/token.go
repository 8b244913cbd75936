package fakeoidc

import (
	"maps"
	"net/http"
	"net/url"
	"time"

	"regcred.dev/regcredtest/internal/fake"
)

// Names of RFC 8693.
const (
	grantExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
	typePrefix    = "urn:ietf:params:oauth:token-type:"
)

// postToken is the token endpoint.
func (s *Server) postToken(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || r.ParseForm() != nil || r.URL.RawQuery != "" {
		s.refuse(w, "invalid_request", "the body is no form")
		return
	}
	for name, values := range r.PostForm {
		if len(values) != 1 {
			s.refuse(w, "invalid_request", name+" is repeated")
			return
		}
	}
	if !s.client(r) {
		w.Header().Set("WWW-Authenticate", `Basic realm="token"`)
		s.Write(w, http.StatusUnauthorized, map[string]string{"error": "invalid_client", "error_description": "Client authentication failed"})
		return
	}
	switch grant := r.PostForm.Get("grant_type"); {
	case grant == "client_credentials" && s.o.ClientID != "":
		s.clientCredentials(w, r.PostForm)
	case grant == grantExchange:
		s.exchange(w, r.PostForm)
	default:
		s.refuse(w, "unsupported_grant_type", "")
	}
}

// client reports whether a request comes from the client, by RFC 6749, section
// 2.3.1: name and secret are encoded as in a form before they become Basic.
func (s *Server) client(r *http.Request) bool {
	name, secret, ok := r.BasicAuth()
	if s.o.ClientID == "" {
		return !ok
	}
	return ok && name == url.QueryEscape(s.o.ClientID) && secret == url.QueryEscape(s.o.ClientSecret)
}

func (s *Server) clientCredentials(w http.ResponseWriter, form url.Values) {
	scope, audience := form.Get("scope"), form.Get("audience")
	switch {
	case !only(form, "grant_type", "scope", "audience"):
		s.refuse(w, "invalid_request", "unknown parameter")
	case scope != "" && scope != s.o.Scope || audience != "" && audience != s.o.Audience:
		s.refuse(w, "invalid_scope", "")
	default:
		s.answer(w, s.Issue("client", ""), s.o.Subject, nil)
	}
}

// exchange is RFC 8693, section 2.
func (s *Server) exchange(w http.ResponseWriter, form url.Values) {
	wanted := form.Get("requested_token_type")
	switch {
	case !only(form, "grant_type", "subject_token", "subject_token_type", "requested_token_type", "audience", "resource", "scope"):
		s.refuse(w, "invalid_request", "unknown parameter")
	case form.Get("subject_token_type") != typePrefix+"jwt" && form.Get("subject_token_type") != typePrefix+"access_token":
		s.refuse(w, "invalid_request", "unsupported subject_token_type")
	case wanted != "" && wanted != typePrefix+"access_token":
		s.refuse(w, "invalid_request", "unsupported requested_token_type")
	case s.Verify(form.Get("subject_token")) != nil:
		s.refuse(w, "invalid_grant", "the subject_token "+form.Get("subject_token")+" is not trusted")
	case form.Get("audience") != s.o.Audience || form.Get("resource") != s.o.Resource:
		s.refuse(w, "invalid_target", "")
	case form.Get("scope") != s.o.Scope:
		s.refuse(w, "invalid_scope", "")
	default:
		s.answer(w, s.Issue("exchange", ""), "registry", map[string]any{"issued_token_type": typePrefix + "access_token"})
	}
}

// answer writes a token as RFC 6749, section 5.1, has it, with more fields.
func (s *Server) answer(w http.ResponseWriter, t fake.Token, subject string, more map[string]any) {
	answer := map[string]any{"token_type": "Bearer", "access_token": t.Value}
	if !s.o.Opaque {
		answer["access_token"] = s.sign(t, subject)
	}
	if !s.o.Silent {
		answer["expires_in"] = int(t.Expires.Sub(s.Now()).Round(time.Second).Seconds())
	}
	maps.Copy(answer, more)
	switch s.Quirks().Garbage {
	case fake.NoToken:
		answer["access_token"] = ""
	case fake.NoExpiry:
		delete(answer, "expires_in")
	case fake.BadExpiry:
		answer["expires_in"] = -1
	case fake.HTML, fake.Cut, fake.Void, fake.Huge: // Write's
	}
	w.Header().Set("Cache-Control", "no-store")
	s.Write(w, http.StatusOK, answer)
}

// refuse answers as RFC 6749, section 5.2. Like some services it quotes what it
// refuses.
func (s *Server) refuse(w http.ResponseWriter, code, description string) {
	s.Write(w, http.StatusBadRequest, map[string]string{"error": code, "error_description": description})
}

// only reports whether a form has none but these parameters.
func only(form url.Values, names ...string) bool {
	known := 0
	for _, name := range names {
		if form.Has(name) {
			known++
		}
	}
	return known == len(form)
}
