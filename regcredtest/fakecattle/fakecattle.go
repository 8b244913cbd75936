// Package fakecattle is a fake of the API of Rancher 1.x, which is called Cattle, in
// its versions v1 and v2-beta, as far as registries and their credentials go; and, by
// [V3], of the docker credentials in the API of Rancher 2.x.
//
// It keeps what Cattle keeps: absolute links, pages of at most limit entries whose
// marker is an offset, states that are reached some time after the answer, methods
// that depend on the role of the API key, passwords that only the answer to their
// creation shows. Formats are those that the clients of Rancher's maintainers
// (go-rancher) read; test/rancher has those clients use it.
package fakecattle

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"regcred.dev/regcredtest/internal/fake"
)

// Quirks are those of every fake.
type Quirks = fake.Quirks

// Garbage is a kind of answer that makes no sense.
type Garbage = fake.Garbage

// The kinds.
const (
	HTML = fake.HTML
	Cut  = fake.Cut
	Void = fake.Void
	Huge = fake.Huge
)

// Role is what an API key may do in its environments.
type Role string

// The roles. Owner is the zero Role.
const (
	Owner    Role = ""
	ReadOnly Role = "readonly"
)

// Key is an API key.
type Key struct {
	Secret string
	// Environment is the id of the environment that it is of, such as "1a5". A key
	// without one is an account's: it sees all environments, and at the API's own root
	// what an account may do, which is to read.
	Environment string
	Role        Role
}

// Options configure a Server.
type Options struct {
	Quirks

	// Keys are the API keys by access key.
	Keys map[string]Key
	// Environments are the ids of those that there are. Default: "1a5".
	Environments []string
	// Links is what every link begins with, "http://rancher.example.com:8080"; by
	// default the scheme http and the host that the request names.
	Links string
	// Settle is how long a change of state takes.
	Settle time.Duration
	// BetweenPages is called after a page that has a next one was answered.
	BetweenPages func()
}

// The calls, as Calls counts them.
const (
	CallRoot    = "root"
	CallSchemas = "schemas"
	CallList    = "list"
	CallGet     = "get"
	CallCreate  = "create"
	CallUpdate  = "update"
	CallDelete  = "delete"
	CallAction  = "action"
)

// Server is the fake. It may be used concurrently.
type Server struct {
	*fake.Issuer

	o Options

	mu        sync.Mutex
	down      int // the status of every answer, 0: it works
	resources []*resource
	used      map[string]int // the last number of an id, by type
}

// New returns a Server.
func New(o Options) *Server {
	if len(o.Environments) == 0 {
		o.Environments = []string{"1a5"}
	}
	return &Server{Issuer: fake.New(o.Quirks, 0), o: o, used: map[string]int{}}
}

// Break makes every answer one of the status, such as 503, until it is called with 0.
func (s *Server) Break(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = status
}

func (s *Server) broken() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.down
}

// Credential is what the fake has of a registry's credential. Its password is shown
// to tests alone.
type Credential struct {
	ID          string
	Registry    string // its serverAddress
	State       string
	PublicValue string
	SecretValue string
	Description string
	Email       string
}

// Credentials returns the credentials of an environment that are not removed, oldest
// first.
func (s *Server) Credentials(environment string) []Credential {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.Now()
	addresses := map[string]string{}
	var list []Credential
	for _, r := range s.resources {
		r.settle(now)
		if r.environment != environment || r.gone() {
			continue
		}
		if r.kind == typeRegistry {
			addresses[r.id] = r.fields["serverAddress"]
			continue
		}
		list = append(list, Credential{
			ID: r.id, Registry: addresses[r.fields["registryId"]], State: r.state,
			PublicValue: r.fields["publicValue"], SecretValue: r.secret,
			Description: r.fields["description"], Email: r.fields["email"],
		})
	}
	return list
}

// Registries returns the serverAddress of each registry of an environment that is not
// removed, by id.
func (s *Server) Registries(environment string) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.Now()
	list := map[string]string{}
	for _, r := range s.resources {
		r.settle(now)
		if r.environment == environment && r.kind == typeRegistry && !r.gone() {
			list[r.id] = r.fields["serverAddress"]
		}
	}
	return list
}

// AddRegistry puts a registry into an environment, as somebody at the UI does, and
// returns its id. It is active at once.
func (s *Server) AddRegistry(environment, serverAddress string) string {
	return s.add(typeRegistry, environment, map[string]string{"serverAddress": serverAddress}, "")
}

// AddCredential puts a credential on a registry, and returns its id. It is active at
// once.
func (s *Server) AddCredential(environment, registryID, publicValue, secretValue string) string {
	return s.add(typeCredential, environment, map[string]string{"registryId": registryID, "publicValue": publicValue}, secretValue)
}

func (s *Server) add(kind, environment string, fields map[string]string, secret string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.newResource(kind, environment, fields, secret)
	r.state = active
	return r.id
}

// Change changes fields of a resource: publicValue, secretValue, description, state.
func (s *Server) Change(id string, fields map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.resources, func(r *resource) bool { return r.id == id })
	if i < 0 {
		panic("fakecattle: there is no " + id)
	}
	r := s.resources[i]
	fields = maps.Clone(fields)
	if secret, ok := fields["secretValue"]; ok {
		r.secret = secret
		delete(fields, "secretValue")
	}
	if state, ok := fields["state"]; ok {
		r.state, r.until = state, time.Time{}
		delete(fields, "state")
	}
	maps.Copy(r.fields, fields)
}

// Login returns what Rancher has a host log in with before it pulls an image from a
// server, which it finds as Cattle does: by the first active credential of the first
// active registry whose address is the server's, in upper or lower case. A change of
// state that is under way counts as done.
func (s *Server) Login(environment, server string) (username, password string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	registry := ""
	for _, r := range s.resources {
		r.settle(s.Now().Add(s.o.Settle))
		switch {
		case r.environment != environment || r.state != active:
		case r.kind == typeRegistry && registry == "" && strings.EqualFold(r.fields["serverAddress"], server):
			registry = r.id
		case r.kind == typeCredential && registry != "" && r.fields["registryId"] == registry:
			return r.fields["publicValue"], r.secret, true
		}
	}
	return "", "", false
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	at, known := s.parse(r)
	switch s.Begin(w, r, at.call(r.Method)) {
	case fake.Done:
		return
	case fake.Throttle:
		s.refuse(w, http.StatusTooManyRequests, "TooManyRequests", "")
		return
	case fake.Serve:
	}
	if status := s.broken(); status != 0 {
		http.Error(w, "<html><body>the server is not here</body></html>", status)
		return
	}
	access, secret, _ := r.BasicAuth()
	key, ok := s.o.Keys[access]
	switch {
	case !ok || key.Secret != secret:
		w.Header().Set("WWW-Authenticate", `Basic realm="Enter API access key and secret key as username and password"`)
		s.refuse(w, http.StatusUnauthorized, "Unauthorized", "")
	case !known:
		s.refuse(w, http.StatusNotFound, "NotFound", "")
	case at.environment != "" && key.Environment != "" && at.environment != key.Environment:
		s.refuse(w, http.StatusForbidden, "Forbidden", "")
	default:
		if at.environment == "" {
			at.environment = key.Environment
		}
		at.key = key
		s.serve(w, r, at)
	}
}

// serve answers a request of somebody who may ask.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, at address) {
	w.Header().Set("X-API-Schemas", at.base()+"/schemas")
	switch {
	case at.kind == "":
		s.Write(w, http.StatusOK, map[string]any{"id": at.version, "type": "apiVersion", "links": map[string]string{"self": at.base()}})
	case at.kind == typeSchema:
		s.schemas(w, at)
	case !slices.Contains(at.methods(at.id != ""), r.Method) && (r.Method != http.MethodPost || r.URL.Query().Get("action") == "" || !at.mayWrite()):
		s.refuse(w, http.StatusMethodNotAllowed, "MethodNotAllowed", "")
	case at.id == "" && r.Method == http.MethodGet:
		s.list(w, r, at)
	case at.id == "":
		s.create(w, r, at)
	default:
		s.one(w, r, at)
	}
}

// refuse answers with an error as Cattle's API does; field is the one that it is
// about, "" for none.
func (s *Server) refuse(w http.ResponseWriter, status int, code, field string) {
	body := map[string]any{"type": "error", "status": status, "code": code, "message": code, "detail": nil, "links": map[string]string{}, "actions": map[string]string{}}
	if field != "" {
		body["fieldName"] = field
	}
	s.Write(w, status, body)
}
