// Package fakeecr is a fake of Amazon's registries' API as far as logins go:
// GetAuthorizationToken of ECR and of ECR Public, AssumeRole and
// AssumeRoleWithWebIdentity of the Security Token Service (STS), and the services
// that give a machine its identity.
//
// It is one handler for all of their hosts, and verifies what AWS verifies:
// signatures (Signature Version 4) with their time, region and service, who may do
// what, and the trust policies of roles. Formats are those of the API references;
// the texts of refusals are what AWS answers with.
package fakeecr

import (
	"crypto/rand"
	"crypto/rsa"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"regcred.dev/regcredtest/internal/fake"
)

// Lifetime is that of an authorization token, of both registries.
const Lifetime = 12 * time.Hour

// SessionLifetime is that of an assumed role's keys, where the request says no other.
const SessionLifetime = time.Hour

// Quirks are those of every fake.
type Quirks = fake.Quirks

// Garbage is a kind of answer that makes no sense.
type Garbage = fake.Garbage

// The kinds.
const (
	HTML      = fake.HTML
	Cut       = fake.Cut
	Void      = fake.Void
	Huge      = fake.Huge
	NoToken   = fake.NoToken
	NoExpiry  = fake.NoExpiry
	BadExpiry = fake.BadExpiry
)

// The calls, as Calls counts them.
const (
	GetAuthorizationToken       = "ecr:GetAuthorizationToken"
	GetPublicAuthorizationToken = "ecr-public:GetAuthorizationToken"
	AssumeRole                  = "sts:AssumeRole"
	AssumeRoleWithWebIdentity   = "sts:AssumeRoleWithWebIdentity"
	// MachineIdentity is any call to a service that gives a machine its identity.
	MachineIdentity = "machine identity"
)

// GetServiceBearerToken is the action of STS that ECR Public asks for besides its own.
const GetServiceBearerToken = "sts:GetServiceBearerToken"

// Options configure a Server.
type Options struct {
	Quirks

	// Users have access keys, by access key id.
	Users map[string]User
	// Roles can be assumed, by ARN.
	Roles map[string]Role
	// MachineRole is the ARN of the role that the machine's identity services give
	// keys of; "": none.
	MachineRole string
	// MachineToken is the value of the header Authorization that the identity service
	// of a container asks for.
	MachineToken string
	// ProxyEndpoint is that of each answer, in place of the registry's.
	ProxyEndpoint string
	// Constant makes it hand out what moto's server does: always the same token, which
	// expired in 2015.
	Constant bool
}

// User is an IAM user with one access key.
type User struct {
	ARN    string
	Secret string
	// Denied are the actions that no policy of the user's allows.
	Denied []string
}

// Role is an IAM role.
type Role struct {
	// Trusts are the ARNs of the users and roles that its trust policy names.
	Trusts []string
	// ExternalID is what its trust policy asks for, "": nothing.
	ExternalID string
	// Subject is the subject ("sub") of the web identity tokens that may assume it.
	Subject string
	// Denied are the actions that no policy of the role's allows.
	Denied []string
}

// Request is a request as the fake got it.
type Request struct {
	Method string
	Host   string
	URI    string
	Header http.Header
	Body   string
}

// Server is the fake. It may be used concurrently.
type Server struct {
	*fake.Issuer

	o    Options
	sign func() *rsa.PrivateKey // of web identity tokens

	mu       sync.Mutex
	sessions map[string]principal // by access key id
	requests []Request
}

// New returns a Server.
func New(o Options) *Server {
	return &Server{
		Issuer: fake.New(o.Quirks, Lifetime), o: o, sessions: map[string]principal{},
		sign: sync.OnceValue(func() *rsa.PrivateKey {
			key, err := rsa.GenerateKey(rand.Reader, 2048)
			if err != nil {
				panic("fakeecr: no key: " + err.Error())
			}
			return key
		}),
	}
}

// Requests returns what was asked of the APIs, in order.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// ServeHTTP answers each request by its method, path and headers: the host does not
// say whose API it is where an endpoint is custom.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if isMachine(r) {
		s.machine(w, r)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		http.Error(w, "the body is too large", http.StatusRequestEntityTooLarge)
		return
	}
	s.mu.Lock()
	s.requests = append(s.requests, Request{Method: r.Method, Host: r.Host, URI: r.RequestURI, Header: r.Header.Clone(), Body: string(body)})
	s.mu.Unlock()
	if r.Header.Get("X-Amz-Target") != "" {
		s.json(w, r, body)
		return
	}
	s.query(w, r, body)
}

// session stores the keys of a role's session and returns them.
func (s *Server) session(p principal) principal {
	p.accessKeyID, p.secret, p.token = "ASIA"+rand.Text()[:16], rand.Text(), "session-"+rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions[p.accessKeyID] = p
	return p
}

// find returns who has an access key.
func (s *Server) find(accessKeyID string) (principal, bool) {
	if u, ok := s.o.Users[accessKeyID]; ok {
		return principal{arn: u.ARN, identity: u.ARN, accessKeyID: accessKeyID, secret: u.Secret, denied: u.Denied}, true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.sessions[accessKeyID]
	return p, ok
}
