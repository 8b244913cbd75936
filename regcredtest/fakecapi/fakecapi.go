// Package fakecapi is a fake of Cloud Foundry's Cloud Controller, as far as roles,
// organizations, spaces and apps go (Cloud Foundry API v3: "Root", "Roles",
// "Organizations", "Spaces", "Apps"). It shows each user what that one may see.
package fakecapi

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"regcred.dev/regcredtest/internal/fake"
)

// Quirks are ways in which CAPI fails. One that does not answer at all is one that is
// Slow by more than its caller waits.
type Quirks struct {
	fake.Quirks

	// IgnoresFilters makes it answer lists as if nothing had been asked for.
	IgnoresFilters bool
	// NoIncludes makes it ignore "include", as Korifi does.
	NoIncludes bool
	// MaxPerPage is the most that a page has, whatever is asked for. Default: 5000.
	MaxPerPage int
	// Endless makes it say that there is always one more page.
	Endless bool
	// NextAt is where it says that the next page is, unless it is "".
	NextAt string
}

// Kinds of answers that make no sense.
const (
	HTML = fake.HTML
	Cut  = fake.Cut
	Void = fake.Void
	Huge = fake.Huge
)

// Options say where it is and whom it knows. URL, UAA and Verify are required.
type Options struct {
	// URL is CAPI's, such as "https://api.sys.example.com"; UAA that of its UAA.
	URL, UAA string
	// Verify returns the user and the scopes of an access token, false for one that is
	// not valid.
	Verify func(token string) (user string, scopes []string, ok bool)
}

// Role is a user's role in an organization or a space.
type Role struct {
	GUID string
	// Type is such as "organization_manager" or "space_developer".
	Type string
	User string
	// Org or Space is where, the other is "".
	Org, Space string
}

// A place is an organization, a space or an app.
type place struct {
	GUID, Name string
	Parent     string // a space's organization, an app's space
}

// The names of the calls that Calls counts.
const (
	CallRoot   = "root"  // GET /
	CallRoles  = "roles" // GET /v3/roles
	CallOrgs   = "organizations"
	CallSpace  = "space" // GET /v3/spaces/{guid}
	CallSpaces = "spaces"
	CallApp    = "app" // GET /v3/apps/{guid}
	CallApps   = "apps"
)

// Server is the fake. It may be used concurrently.
type Server struct {
	*fake.Issuer

	o   Options
	mux *http.ServeMux

	mu     sync.Mutex
	more   Quirks             // those that fake.Issuer does not know
	places map[string][]place // by kind: organizations, spaces, apps
	roles  []Role
}

// New returns a Server that has nothing yet.
func New(o Options) *Server {
	s := &Server{Issuer: fake.New(fake.Quirks{}, time.Hour), o: o, mux: http.NewServeMux(), places: map[string][]place{}}
	s.mux.HandleFunc("GET /{$}", s.call(CallRoot, s.getRoot))
	s.mux.HandleFunc("GET /v3/roles", s.call(CallRoles, s.authorized(s.getRoles)))
	for _, kind := range []string{"organizations", "spaces", "apps"} {
		s.mux.HandleFunc("GET /v3/"+kind, s.call(kind, s.authorized(s.list(kind))))
		s.mux.HandleFunc("GET /v3/"+kind+"/{guid}", s.call(strings.TrimSuffix(kind, "s"), s.authorized(s.get(kind))))
	}
	return s
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Set replaces the quirks from the next request on.
func (s *Server) Set(q Quirks) {
	s.Issuer.Set(q.Quirks)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.more = q
}

func (s *Server) quirks() Quirks {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.more
}

// AddOrg adds an organization, AddSpace a space in one, and AddApp an app in a space.
func (s *Server) AddOrg(guid, name string) { s.add("organizations", place{guid, name, ""}) }

// AddSpace adds a space to an organization.
func (s *Server) AddSpace(guid, name, org string) { s.add("spaces", place{guid, name, org}) }

// AddApp adds an app to a space.
func (s *Server) AddApp(guid, name, space string) { s.add("apps", place{guid, name, space}) }

func (s *Server) add(kind string, p place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.places[kind] = append(s.places[kind], p)
}

// Grant gives a user a role in an organization or a space, by the role's kind.
func (s *Server) Grant(user, kind, at string) {
	role := Role{GUID: user + "-" + kind + "-" + at, Type: kind, User: user}
	if strings.HasPrefix(kind, "organization_") {
		role.Org = at
	} else {
		role.Space = at
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.roles = append(s.roles, role)
}

// Revoke takes it away.
func (s *Server) Revoke(user, kind, at string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.roles = slices.DeleteFunc(s.roles, func(r Role) bool {
		return r.User == user && r.Type == kind && (r.Org == at || r.Space == at)
	})
}

func (s *Server) call(name string, serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch s.Begin(w, r, name) {
		case fake.Serve:
			serve(w, r)
		case fake.Throttle:
			s.fail(w, http.StatusTooManyRequests, 10013, "CF-RateLimitExceeded", "Rate Limit Exceeded")
		case fake.Done:
		}
	}
}

// fail answers with CAPI's error envelope.
func (s *Server) fail(w http.ResponseWriter, status, code int, title, detail string) {
	s.Write(w, status, map[string]any{"errors": []any{map[string]any{"code": code, "title": title, "detail": detail}}})
}

// getRoot says where everything is; nobody has to authenticate for that.
func (s *Server) getRoot(w http.ResponseWriter, _ *http.Request) {
	link := func(href string) map[string]any { return map[string]any{"href": href} }
	capi := link(s.o.URL + "/v3")
	capi["meta"] = map[string]string{"version": "3.180.0"}
	s.Write(w, http.StatusOK, map[string]any{"links": map[string]any{
		"self": link(s.o.URL), "cloud_controller_v2": nil, "cloud_controller_v3": capi,
		"uaa": link(s.o.UAA), "login": link(s.o.UAA),
	}})
}

// caller is who sent a request.
type caller struct {
	user   string
	scopes []string
}

func (c caller) seesAll() bool {
	return slices.ContainsFunc(c.scopes, func(scope string) bool {
		return slices.Contains([]string{"cloud_controller.admin", "cloud_controller.admin_read_only", "cloud_controller.global_auditor"}, scope)
	})
}

// authorized answers requests without a token that may read: 401 and 403.
func (s *Server) authorized(serve func(http.ResponseWriter, *http.Request, caller)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		header := r.Header.Get("Authorization")
		scheme, token, _ := strings.Cut(header, " ")
		if header == "" || !strings.EqualFold(scheme, "bearer") {
			s.fail(w, http.StatusUnauthorized, 10002, "CF-NotAuthenticated", "Authentication error")
			return
		}
		user, scopes, ok := s.o.Verify(token)
		c := caller{user, scopes}
		switch {
		case !ok:
			s.fail(w, http.StatusUnauthorized, 1000, "CF-InvalidAuthToken", "Invalid Auth Token")
		case !c.seesAll() && !slices.Contains(scopes, "cloud_controller.read"):
			s.fail(w, http.StatusForbidden, 10003, "CF-NotAuthorized", "You are not authorized to perform the requested action")
		default:
			serve(w, r, c)
		}
	}
}
