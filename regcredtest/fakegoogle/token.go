package fakegoogle

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"regcred.dev/regcredtest/internal/fake"
)

// maxBody bounds a request, in bytes.
const maxBody = 1 << 20

// note keeps a request for Request, and returns its body.
func (s *Server) note(r *http.Request) string {
	body, _ := io.ReadAll(io.LimitReader(r.Body, maxBody))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last, s.body = r, string(body)
	return string(body)
}

// refuseOAuth answers with an error of RFC 6749, section 5.2.
func (s *Server) refuseOAuth(w http.ResponseWriter, status int, code, description string) {
	s.Write(w, status, map[string]string{"error": code, "error_description": description})
}

// serveToken is the token endpoint (RFC 6749, section 3.2).
func (s *Server) serveToken(w http.ResponseWriter, r *http.Request, form url.Values) {
	switch s.Begin(w, r, CallToken) {
	case fake.Done:
		return
	case fake.Throttle:
		s.refuseOAuth(w, http.StatusTooManyRequests, "rate_limit_exceeded", "Rate Limit Exceeded")
		return
	case fake.Serve:
	}
	switch form.Get("grant_type") {
	case "urn:ietf:params:oauth:grant-type:jwt-bearer":
		c, problem := s.verify("https://"+r.Host+r.URL.Path, form.Get("assertion"))
		if problem.code != "" {
			s.refuseOAuth(w, http.StatusBadRequest, problem.code, problem.description)
			return
		}
		s.give(w, c, nil)
	case "refresh_token":
		s.serveRefresh(w, form)
	default:
		s.refuseOAuth(w, http.StatusBadRequest, "unsupported_grant_type", "Invalid grant_type: "+form.Get("grant_type"))
	}
}

// problem is an error of RFC 6749, section 5.2.
type problem struct{ code, description string }

func invalidGrant(description string) (claim, problem) {
	return claim{}, problem{"invalid_grant", description}
}

// verify checks a service account's JWT, with the messages that Google gives. The
// audience is the endpoint, or one of Google's own where that is behind another.
func (s *Server) verify(endpoint, assertion string) (claim, problem) {
	signed, err := jose.ParseSignedCompact(assertion, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return invalidGrant("Invalid JWT: Failed audience check.")
	}
	var claims struct {
		Issuer   string `json:"iss"`
		Scope    string `json:"scope"`
		Audience string `json:"aud"`
		Expires  int64  `json:"exp"`
		Issued   int64  `json:"iat"`
	}
	if err := json.Unmarshal(signed.UnsafePayloadWithoutVerification(), &claims); err != nil {
		return invalidGrant("Invalid JWT.")
	}
	key, known := s.key(claims.Issuer, signed.Signatures[0].Header.KeyID)
	if !known {
		return invalidGrant("Invalid grant: account not found")
	}
	if key == nil {
		return invalidGrant("Invalid JWT Signature.")
	}
	if _, err := signed.Verify(key); err != nil {
		return invalidGrant("Invalid JWT Signature.")
	}
	if claims.Audience != endpoint && claims.Audience != "https://"+TokenHost+"/token" {
		return invalidGrant("Invalid JWT: Failed audience check.")
	}
	if !s.timely(claims.Issued, claims.Expires) {
		return invalidGrant("Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim.")
	}
	scopes := strings.Fields(claims.Scope)
	if len(scopes) == 0 || slices.ContainsFunc(scopes, func(scope string) bool {
		return !strings.HasPrefix(scope, "https://www.googleapis.com/auth/")
	}) {
		return claim{}, problem{"invalid_scope", "Invalid OAuth scope or ID token audience provided."}
	}
	return claim{claims.Issuer, scopes}, problem{}
}

// timely reports whether a JWT is valid now, and not for more than an hour. A
// minute of difference does not count.
func (s *Server) timely(issued, expires int64) bool {
	const leeway = time.Minute
	iat, exp, now := time.Unix(issued, 0), time.Unix(expires, 0), s.Now()
	return !iat.After(now.Add(leeway)) && exp.After(now.Add(-leeway)) && exp.Sub(iat) <= time.Hour
}

// key returns the key of an account, nil where it has none with this id, and whether
// there is such an account.
func (s *Server) key(account, id string) (publicKey, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys, ok := s.accounts[account]
	return keys[id], ok
}

func (s *Server) serveRefresh(w http.ResponseWriter, form url.Values) {
	s.mu.Lock()
	u, ok := s.users[form.Get("refresh_token")]
	s.mu.Unlock()
	switch {
	case !ok:
		s.refuseOAuth(w, http.StatusBadRequest, "invalid_grant", "Token has been expired or revoked.")
	case form.Get("client_id") != u.ClientID || form.Get("client_secret") != u.ClientSecret:
		s.refuseOAuth(w, http.StatusUnauthorized, "invalid_client", "The OAuth client was not found.")
	default:
		s.give(w, claim{u.Email, []string{ScopeCloud}}, nil)
	}
}

// serveExchange is the Security Token Service's method token.
func (s *Server) serveExchange(w http.ResponseWriter, r *http.Request, form url.Values) {
	switch s.Begin(w, r, CallExchange) {
	case fake.Done:
		return
	case fake.Throttle:
		s.refuseOAuth(w, http.StatusTooManyRequests, "rate_limit_exceeded", "Quota exceeded for quota metric 'Token exchange requests'")
		return
	case fake.Serve:
	}
	s.mu.Lock()
	proof, ok := s.pools[form.Get("subject_token")]
	s.mu.Unlock()
	switch {
	case form.Get("grant_type") != "urn:ietf:params:oauth:grant-type:token-exchange":
		s.refuseOAuth(w, http.StatusBadRequest, "unsupported_grant_type", "Invalid grant type.")
	case form.Get("requested_token_type") != "urn:ietf:params:oauth:token-type:access_token":
		s.refuseOAuth(w, http.StatusBadRequest, "invalid_request", "Invalid requested token type.")
	case !ok || form.Get("subject_token_type") != proof.TokenType:
		s.refuseOAuth(w, http.StatusBadRequest, "invalid_grant", "The given token is not accepted: "+form.Get("subject_token"))
	case form.Get("audience") != proof.Audience:
		s.refuseOAuth(w, http.StatusBadRequest, "invalid_target", "The target service indicated by the \"audience\" parameters is invalid. This might either be because the pool or provider is disabled or deleted or because it doesn't exist.")
	case form.Get("scope") == "":
		s.refuseOAuth(w, http.StatusBadRequest, "invalid_scope", "The scope is missing.")
	default:
		s.give(w, claim{proof.Principal, strings.Fields(form.Get("scope"))}, map[string]any{
			"issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
		})
	}
}

// give answers with an access token (RFC 6749, section 5.1) and more fields.
func (s *Server) give(w http.ResponseWriter, c claim, more map[string]any) {
	t := s.issue(c.principal, c.scopes)
	answer := map[string]any{
		"access_token": t.Value,
		"expires_in":   int(t.Expires.Sub(s.Now()).Seconds()),
		"token_type":   "Bearer",
	}
	maps.Copy(answer, more)
	switch s.Quirks().Garbage {
	case fake.NoToken:
		answer["access_token"] = ""
	case fake.NoExpiry:
		delete(answer, "expires_in")
	case fake.BadExpiry:
		answer["expires_in"] = "soon"
	case fake.HTML, fake.Cut, fake.Void, fake.Huge:
	}
	s.Write(w, http.StatusOK, answer)
}
