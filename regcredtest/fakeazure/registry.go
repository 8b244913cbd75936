package fakeazure

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"regcred.dev/regcredtest/internal/fake"
)

// Grants that the registry's own tokens say that they are.
const (
	grantRefresh = "refresh_token"
	grantAccess  = "access_token"
)

func (s *Server) serveRegistry(w http.ResponseWriter, r *http.Request) {
	calls := map[string]struct {
		name  string
		serve func(http.ResponseWriter, *http.Request)
	}{
		"POST /oauth2/exchange": {"exchange", s.exchange},
		"POST /oauth2/token":    {"access", s.postToken},
		"GET /oauth2/token":     {"access", s.getToken},
		"GET /v2/":              {"registry", s.version},
	}
	call, ok := calls[r.Method+" "+r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	switch s.registry.Begin(w, r, call.name) {
	case fake.Throttle:
		s.fail(w, http.StatusTooManyRequests, "TOOMANYREQUESTS")
	case fake.Serve:
		call.serve(w, r)
	case fake.Done:
	}
}

// fail answers with an error as the OCI Distribution Specification has it.
func (s *Server) fail(w http.ResponseWriter, status int, code string) {
	s.registry.Write(w, status, map[string]any{"errors": []map[string]string{{
		"code": code, "message": "visit https://aka.ms/acr/authorization for more information.",
	}}})
}

// exchange gives a refresh token for an access token of Entra ID.
func (s *Server) exchange(w http.ResponseWriter, r *http.Request) {
	if !isForm(r) || r.PostForm.Get("grant_type") != "access_token" || r.PostForm.Get("service") != r.Host {
		s.fail(w, http.StatusBadRequest, "INVALID_REQUEST")
		return
	}
	c, ok := s.verify(r.PostForm.Get("access_token"), s.registry.Now())
	tenant := r.PostForm.Get("tenant")
	manager := c.Audience == ManagerAudience && !s.o.NoManagerTokens
	if !ok || c.Client == "" || s.o.NoRole || c.Audience != RegistryAudience && !manager || tenant != "" && !strings.EqualFold(tenant, c.Tenant) {
		s.fail(w, http.StatusUnauthorized, "UNAUTHORIZED")
		return
	}
	s.issue(w, s.registry, "refresh_token", claims{Audience: r.Host, Subject: c.Subject, Grant: grantRefresh})
}

// postToken gives an access token for a refresh token.
func (s *Server) postToken(w http.ResponseWriter, r *http.Request) {
	if !isForm(r) || r.PostForm.Get("grant_type") != "refresh_token" || r.PostForm.Get("service") != r.Host {
		s.fail(w, http.StatusBadRequest, "INVALID_REQUEST")
		return
	}
	c, ok := s.verify(r.PostForm.Get("refresh_token"), s.registry.Now())
	if !ok || c.Grant != grantRefresh || c.Audience != r.Host {
		s.fail(w, http.StatusUnauthorized, "UNAUTHORIZED")
		return
	}
	s.giveAccess(w, c, r.PostForm)
}

// getToken gives an access token for a login, as docker asks for one.
func (s *Server) getToken(w http.ResponseWriter, r *http.Request) {
	c, ok := s.login(r)
	if !ok || r.URL.Query().Get("service") != r.Host {
		s.fail(w, http.StatusUnauthorized, "UNAUTHORIZED")
		return
	}
	s.giveAccess(w, c, r.URL.Query())
}

// giveAccess answers with an access token for what the form's scopes ask for. One
// that is asked for with an access token allows no more than that.
func (s *Server) giveAccess(w http.ResponseWriter, c claims, form url.Values) {
	var asked []access
	for _, scope := range form["scope"] {
		parts := strings.Split(scope, ":")
		if len(parts) != 3 || parts[0] == "" || parts[1] == "" || parts[2] == "" {
			s.fail(w, http.StatusBadRequest, "INVALID_REQUEST")
			return
		}
		a := access{Type: parts[0], Name: parts[1], Actions: strings.Split(parts[2], ",")}
		if c.Grant == grantAccess && !c.allows(a) {
			s.fail(w, http.StatusUnauthorized, "UNAUTHORIZED")
			return
		}
		asked = append(asked, a)
	}
	if len(asked) == 0 && form.Has("scope") {
		s.fail(w, http.StatusBadRequest, "INVALID_REQUEST")
		return
	}
	s.issue(w, s.access, "access_token", claims{Audience: c.Audience, Subject: c.Subject, Grant: grantAccess, Access: asked})
}

func (c claims) allows(asked access) bool {
	return slices.ContainsFunc(c.Access, func(a access) bool {
		return a.Type == asked.Type && a.Name == asked.Name && !slices.ContainsFunc(asked.Actions, func(action string) bool {
			return !slices.Contains(a.Actions, action)
		})
	})
}

// version answers whoever has a login or an access token.
func (s *Server) version(w http.ResponseWriter, r *http.Request) {
	bearer, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	c, ok := s.verify(bearer, s.registry.Now())
	if ok = ok && c.Grant == grantAccess; !ok {
		c, ok = s.login(r)
	}
	if !ok || c.Audience != r.Host {
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="https://%s/oauth2/token",service="%s"`, r.Host, r.Host))
		s.fail(w, http.StatusUnauthorized, "UNAUTHORIZED")
		return
	}
	s.registry.Write(w, http.StatusOK, struct{}{})
}

// login returns the claims of the token in a request's HTTP Basic authentication.
func (s *Server) login(r *http.Request) (claims, bool) {
	user, password, _ := r.BasicAuth()
	c, ok := s.verify(password, s.registry.Now())
	return c, ok && user == Username && c.Audience == r.Host && (c.Grant == grantRefresh || c.Grant == grantAccess)
}

// issue answers with a token of the registry's own.
func (s *Server) issue(w http.ResponseWriter, issuer *fake.Issuer, field string, c claims) {
	t := issuer.Issue(fmt.Sprint(c), "")
	c.Issuer, c.ID, c.NotBefore, c.Expires = "Azure Container Registry", t.Value, t.Issued.Unix(), t.Expires.Unix()
	garbage := issuer.Quirks().Garbage
	switch garbage {
	case NoExpiry:
		c.Expires = nil
	case BadExpiry:
		c.Expires = "tomorrow"
	default:
	}
	token := s.sign(c)
	if garbage == NoToken {
		token = ""
	}
	issuer.Write(w, http.StatusOK, map[string]string{field: token})
}
