// Package fakegithub is a fake of the part of GitHub's REST API that gives
// installation tokens to GitHub Apps ("REST API endpoints for GitHub Apps"). It
// verifies the JWTs as GitHub does.
package fakegithub

import (
	"crypto/rsa"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"regcred.dev/regcredtest/internal/fake"
)

// Quirks are ways in which the API fails.
type Quirks = fake.Quirks

// Garbage is a kind of answer that makes no sense.
type Garbage = fake.Garbage

// Options say which app there is.
type Options struct {
	Quirks

	// AppID is what the app calls itself in its JWTs. Required.
	AppID string
	// Key is the public half of the app's key. Required.
	Key *rsa.PublicKey
	// Installation is the number of the app's one installation. Required.
	Installation int
	// Owner is who installed it; OwnerIsUser says that this is no organization.
	Owner       string
	OwnerIsUser bool
	// Repositories are those that the installation covers.
	Repositories []string
	// Packages is the permission of that name that was granted: "read", "write", or
	// "" for none.
	Packages string
	// Suspended says that the owner suspended the installation.
	Suspended bool
	// Secondary says that to be throttled is to be over a secondary limit, not over
	// the hour's.
	Secondary bool
}

// Server is the fake. It may be used concurrently.
type Server struct {
	*fake.Issuer

	o   Options
	mux *http.ServeMux
}

// The names of the calls that Calls counts.
const (
	CallOrganization = "organization" // GET /orgs/ORG/installation
	CallUser         = "user"         // GET /users/USERNAME/installation
	CallToken        = "token"        // POST /app/installations/ID/access_tokens
)

// Lifetime is how long GitHub's installation tokens live.
const Lifetime = time.Hour

// New returns a Server.
func New(o Options) *Server {
	s := &Server{Issuer: fake.New(o.Quirks, Lifetime), o: o, mux: http.NewServeMux()}
	s.mux.HandleFunc("GET /orgs/{owner}/installation", s.call(CallOrganization, s.getInstallation(!o.OwnerIsUser)))
	s.mux.HandleFunc("GET /users/{owner}/installation", s.call(CallUser, s.getInstallation(o.OwnerIsUser)))
	s.mux.HandleFunc("POST /app/installations/{id}/access_tokens", s.call(CallToken, s.postToken))
	s.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { s.refuse(w, http.StatusNotFound, "Not Found") })
	return s
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// call is what all calls begin with: quirks, headers, and the app's JWT.
func (s *Server) call(name string, serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch s.Begin(w, r, name) {
		case fake.Done:
			return
		case fake.Throttle:
			s.throttle(w)
			return
		case fake.Serve:
		}
		w.Header().Set("X-Ratelimit-Remaining", "4999")
		switch message := s.verify(r); {
		case r.UserAgent() == "":
			s.refuse(w, http.StatusForbidden, "Request forbidden by administrative rules. Please make sure your request has a User-Agent header.")
		case r.Header.Get("Accept") != "application/vnd.github+json" || r.Header.Get("X-Github-Api-Version") != "2022-11-28":
			s.refuse(w, http.StatusBadRequest, "the fake wants the headers that GitHub recommends")
		case message != "":
			s.refuse(w, http.StatusUnauthorized, message)
		default:
			serve(w, r)
		}
	}
}

// throttle answers as over a limit. The hour's limit says in a header when it is
// renewed: at the next full hour.
func (s *Server) throttle(w http.ResponseWriter) {
	if s.o.Secondary {
		s.refuse(w, http.StatusForbidden, "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.")
		return
	}
	reset := s.Now().Truncate(time.Hour).Add(time.Hour)
	w.Header().Set("X-Ratelimit-Remaining", "0")
	w.Header().Set("X-Ratelimit-Reset", strconv.FormatInt(reset.Unix(), 10))
	s.refuse(w, http.StatusForbidden, "API rate limit exceeded for installation.")
}

func (s *Server) refuse(w http.ResponseWriter, status int, message string) {
	s.Write(w, status, map[string]string{"message": message, "documentation_url": "https://docs.github.com/rest", "status": strconv.Itoa(status)})
}

// getInstallation looks an owner of one kind up; here says whether the app's one
// installation is at an owner of that kind.
func (s *Server) getInstallation(here bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !here || r.PathValue("owner") != s.o.Owner {
			s.refuse(w, http.StatusNotFound, "Not Found")
			return
		}
		s.Write(w, http.StatusOK, map[string]any{
			"id":          s.o.Installation,
			"account":     map[string]string{"login": s.o.Owner},
			"permissions": map[string]string{"metadata": "read", "packages": s.o.Packages},
		})
	}
}

func (s *Server) postToken(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Repositories []string          `json:"repositories"`
		Permissions  map[string]string `json:"permissions"`
	}
	body, err := io.ReadAll(r.Body)
	if err != nil || r.Header.Get("Content-Type") != "application/json" || json.Unmarshal(body, &asked) != nil {
		s.refuse(w, http.StatusBadRequest, "Problems parsing JSON")
		return
	}
	switch {
	case r.PathValue("id") != strconv.Itoa(s.o.Installation):
		s.refuse(w, http.StatusNotFound, "Not Found")
	case s.o.Suspended:
		s.refuse(w, http.StatusForbidden, "This installation has been suspended")
	case !s.granted(asked.Permissions):
		s.refuse(w, http.StatusUnprocessableEntity, "The permissions requested are not granted to this installation.")
	case !s.covers(asked.Repositories):
		s.refuse(w, http.StatusUnprocessableEntity, "There is at least one repository that does not exist or is not accessible to the parent installation.")
	default:
		s.Write(w, http.StatusCreated, s.answer(asked.Permissions))
	}
}

// answer issues a token, in the JSON that GitHub documents.
func (s *Server) answer(permissions map[string]string) map[string]any {
	token := s.Issue("", "ghs_")
	answer := map[string]any{
		"token":                token.Value,
		"expires_at":           token.Expires.UTC().Format(time.RFC3339),
		"permissions":          permissions,
		"repository_selection": "all",
	}
	switch s.Quirks().Garbage {
	case fake.NoToken:
		answer["token"] = ""
	case fake.NoExpiry:
		delete(answer, "expires_at")
	case fake.BadExpiry:
		answer["expires_at"] = "in an hour"
	case fake.HTML, fake.Cut, fake.Void, fake.Huge: // Write's
	}
	return answer
}

// granted reports whether the installation has all permissions that are asked for.
func (s *Server) granted(asked map[string]string) bool {
	for name, level := range asked {
		if name != "packages" || level != s.o.Packages && (level != "read" || s.o.Packages != "write") {
			return false
		}
	}
	return true
}

func (s *Server) covers(asked []string) bool {
	for _, name := range asked {
		if !slices.Contains(s.o.Repositories, name) {
			return false
		}
	}
	return true
}
