package fakegoogle

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"regcred.dev/regcredtest/internal/fake"
)

// refuseAPI answers with an error as Google's APIs do (AIP-193).
func (s *Server) refuseAPI(w http.ResponseWriter, status int, code, why, message string) {
	body := map[string]any{"code": status, "message": message, "status": code}
	if why != "" {
		body["details"] = []map[string]string{{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": why}}
	}
	s.Write(w, status, map[string]any{"error": body})
}

// impersonation is the body of generateAccessToken.
type impersonation struct {
	Delegates []string `json:"delegates"`
	Scope     []string `json:"scope"`
	Lifetime  string   `json:"lifetime"`
}

// serveImpersonate is generateAccessToken of the IAM Service Account Credentials API.
func (s *Server) serveImpersonate(w http.ResponseWriter, r *http.Request, body string) {
	switch s.Begin(w, r, CallImpersonate) {
	case fake.Done:
		return
	case fake.Throttle:
		s.refuseAPI(w, http.StatusTooManyRequests, "RESOURCE_EXHAUSTED", "RATE_LIMIT_EXCEEDED", "Quota exceeded for quota metric 'Generate credential requests'")
		return
	case fake.Serve:
	}
	const prefix = "/v1/projects/-/serviceAccounts/"
	account, ok := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, prefix), ":generateAccessToken")
	if !ok || !strings.HasPrefix(r.URL.Path, prefix) {
		s.refuseAPI(w, http.StatusNotFound, "NOT_FOUND", "", "Requested entity was not found.")
		return
	}
	bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	caller, scopes := s.Principal(bearer)
	if !ok || caller == "" {
		s.refuseAPI(w, http.StatusUnauthorized, "UNAUTHENTICATED", "ACCESS_TOKEN_EXPIRED", "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential.")
		return
	}
	var req impersonation
	if err := json.Unmarshal([]byte(body), &req); err != nil || len(req.Scope) == 0 {
		s.refuseAPI(w, http.StatusBadRequest, "INVALID_ARGUMENT", "", "Request contains an invalid argument.")
		return
	}
	switch {
	case !slices.Contains(scopes, ScopeCloud):
		s.refuseAPI(w, http.StatusForbidden, "PERMISSION_DENIED", "ACCESS_TOKEN_SCOPE_INSUFFICIENT", "Request had insufficient authentication scopes.")
	case s.o.IAMDisabled:
		s.refuseAPI(w, http.StatusForbidden, "PERMISSION_DENIED", "SERVICE_DISABLED", "IAM Service Account Credentials API has not been used in project 1234 before or it is disabled.")
	case !s.exists(account):
		s.refuseAPI(w, http.StatusNotFound, "NOT_FOUND", "", "Not found; Gaia id not found for email "+account)
	case !s.granted(caller, req.Delegates, account):
		s.refuseAPI(w, http.StatusForbidden, "PERMISSION_DENIED", "IAM_PERMISSION_DENIED", "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist).")
	default:
		s.giveImpersonated(w, account, req)
	}
}

func (s *Server) exists(account string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accounts[account] != nil
}

// granted reports whether each of a chain of accounts may impersonate the next.
func (s *Server) granted(caller string, delegates []string, account string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	chain := append([]string{caller}, delegates...)
	for _, next := range append(chain[1:], "projects/-/serviceAccounts/"+account) {
		name, ok := strings.CutPrefix(next, "projects/-/serviceAccounts/")
		if !ok || !s.grants[[2]string{caller, name}] {
			return false
		}
		caller = name
	}
	return true
}

func (s *Server) giveImpersonated(w http.ResponseWriter, account string, req impersonation) {
	lifetime, err := strconv.Atoi(strings.TrimSuffix(req.Lifetime, "s"))
	if err != nil || lifetime <= 0 || lifetime > int((12*time.Hour).Seconds()) {
		s.refuseAPI(w, http.StatusBadRequest, "INVALID_ARGUMENT", "", "The lifetime is invalid.")
		return
	}
	t := s.issue(account, req.Scope)
	expires := t.Expires
	if asked := t.Issued.Add(time.Duration(lifetime) * time.Second); asked.Before(expires) {
		expires = asked
	}
	answer := map[string]any{"accessToken": t.Value, "expireTime": expires.UTC().Format(time.RFC3339)}
	switch s.Quirks().Garbage {
	case fake.NoToken:
		answer["accessToken"] = ""
	case fake.NoExpiry:
		delete(answer, "expireTime")
	case fake.BadExpiry:
		answer["expireTime"] = "soon"
	case fake.HTML, fake.Cut, fake.Void, fake.Huge:
	}
	s.Write(w, http.StatusOK, answer)
}

const metadataPath = "/computeMetadata/v1/instance/service-accounts/default/token"

// serveMetadata is the metadata server's token of the machine's service account.
func (s *Server) serveMetadata(w http.ResponseWriter, r *http.Request) {
	switch s.Begin(w, r, CallMetadata) {
	case fake.Done:
		return
	case fake.Throttle:
		http.Error(w, "Too Many Requests", http.StatusTooManyRequests)
		return
	case fake.Serve:
	}
	w.Header().Set("Metadata-Flavor", "Google")
	scopes := strings.Split(r.URL.Query().Get("scopes"), ",")
	if scopes[0] == "" {
		scopes = s.o.MachineScopes
	}
	outside := slices.ContainsFunc(scopes, func(scope string) bool {
		return !slices.Contains(s.o.MachineScopes, scope) && !slices.Contains(s.o.MachineScopes, ScopeCloud)
	})
	switch {
	case r.Method != http.MethodGet || r.Header.Get("Metadata-Flavor") != "Google" || r.Header.Get("X-Forwarded-For") != "":
		http.Error(w, "Missing Metadata-Flavor:Google header.", http.StatusForbidden)
	case s.o.Machine == "":
		http.Error(w, "Not Found", http.StatusNotFound)
	case outside:
		http.Error(w, "Invalid scopes requested", http.StatusForbidden)
	default:
		s.give(w, claim{s.o.Machine, scopes}, nil)
	}
}

// serveRegistry is the base of the registry API ("API Version Check" of the
// distribution specification), which takes a valid access token as a password.
func (s *Server) serveRegistry(w http.ResponseWriter, r *http.Request) {
	if s.Begin(w, r, CallRegistry) == fake.Done {
		return
	}
	user, password, _ := r.BasicAuth()
	_, scopes := s.Principal(password)
	allowed := slices.Contains(scopes, ScopeCloud) || slices.Contains(scopes, ScopeReadOnly)
	if user != "oauth2accesstoken" || !allowed {
		w.Header().Set("WWW-Authenticate", `Bearer realm="https://`+r.Host+`/v2/token",service="`+r.Host+`"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	w.WriteHeader(http.StatusOK)
}
