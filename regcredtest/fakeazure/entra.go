package fakeazure

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"regcred.dev/regcredtest/internal/fake"
)

// refusal is an error code of Entra ID with the status and the OAuth 2.0 error that
// it comes with.
type refusal struct {
	code   int
	status int
	name   string
}

// What Entra ID refuses with ("Microsoft Entra authentication and authorization
// error codes").
var (
	noTenant        = refusal{90002, http.StatusBadRequest, "invalid_request"}
	noApplication   = refusal{700016, http.StatusBadRequest, "unauthorized_client"}
	noGrant         = refusal{70003, http.StatusBadRequest, "unsupported_grant_type"}
	noResource      = refusal{500011, http.StatusBadRequest, "invalid_resource"}
	noProof         = refusal{7000218, http.StatusUnauthorized, "invalid_client"}
	wrongSecret     = refusal{7000215, http.StatusUnauthorized, "invalid_client"}
	expiredSecret   = refusal{7000222, http.StatusUnauthorized, "invalid_client"}
	malformed       = refusal{50027, http.StatusUnauthorized, "invalid_client"}
	wrongKey        = refusal{700027, http.StatusUnauthorized, "invalid_client"}
	wrongAudience   = refusal{700023, http.StatusUnauthorized, "invalid_client"}
	wrongTime       = refusal{700024, http.StatusUnauthorized, "invalid_client"}
	unknownIssuer   = refusal{700211, http.StatusUnauthorized, "invalid_client"}
	unknownAudience = refusal{700212, http.StatusUnauthorized, "invalid_client"}
	unknownSubject  = refusal{700213, http.StatusUnauthorized, "invalid_client"}
)

// tolerance is by how much a signer's clock may differ.
const tolerance = 5 * time.Minute

func (s *Server) serveEntra(w http.ResponseWriter, r *http.Request) {
	tenant, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch path {
	case "v2.0/.well-known/openid-configuration":
		if s.begin(w, r, "discovery") {
			s.discover(w, tenant)
		}
	case "oauth2/v2.0/token":
		if s.begin(w, r, "token") {
			s.serveToken(w, r, tenant)
		}
	default:
		http.NotFound(w, r)
	}
}

// begin begins an answer of Entra ID or the metadata service, and reports whether
// there is more to answer.
func (s *Server) begin(w http.ResponseWriter, r *http.Request, call string) bool {
	outcome := s.entra.Begin(w, r, call)
	if outcome == fake.Throttle {
		s.refuse(w, refusal{50196, http.StatusTooManyRequests, "temporarily_unavailable"})
	}
	return outcome == fake.Serve
}

// discover is what Azure's own libraries ask for first (OpenID Connect Discovery).
func (s *Server) discover(w http.ResponseWriter, tenant string) {
	base := "https://" + s.o.Authority + "/" + tenant
	s.entra.Write(w, http.StatusOK, map[string]string{
		"issuer":                 base + "/v2.0",
		"authorization_endpoint": base + "/oauth2/v2.0/authorize",
		"token_endpoint":         base + "/oauth2/v2.0/token",
	})
}

func (s *Server) serveToken(w http.ResponseWriter, r *http.Request, tenant string) {
	if !isForm(r) {
		s.refuse(w, refusal{900144, http.StatusBadRequest, "invalid_request"})
		return
	}
	audience, refused := s.checkToken(r, tenant)
	if refused != nil {
		s.refuse(w, *refused)
		return
	}
	token := s.entraToken(s.o.Client, audience)
	if s.entra.Quirks().Garbage == NoToken {
		token = ""
	}
	s.entra.Write(w, http.StatusOK, map[string]any{
		"token_type": "Bearer", "expires_in": int(entraLifetime.Seconds()) - 1,
		"ext_expires_in": int(entraLifetime.Seconds()) - 1, "access_token": token,
	})
}

// checkToken returns the audience that a request for a token names, or why it is
// refused.
func (s *Server) checkToken(r *http.Request, tenant string) (audience string, refused *refusal) {
	audience, ok := resource(r.PostForm.Get("scope"))
	switch {
	case !strings.EqualFold(tenant, s.o.Tenant):
		return "", &noTenant
	case r.PostForm.Get("grant_type") != "client_credentials":
		return "", &noGrant
	case r.PostForm.Get("client_id") != s.o.Client:
		return "", &noApplication
	case !ok || audience != RegistryAudience && audience != ManagerAudience:
		return "", &noResource
	}
	if secret := r.PostForm.Get("client_secret"); secret != "" {
		return audience, s.checkSecret(secret)
	}
	if r.PostForm.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
		return "", &noProof
	}
	return audience, s.checkAssertion(r.PostForm.Get("client_assertion"), tenant)
}

// resource returns the audience in a list of scopes: of the client credentials flow
// the one that ends in .default. Azure's own libraries ask for some more.
func resource(scopes string) (audience string, ok bool) {
	for scope := range strings.FieldsSeq(scopes) {
		if audience, ok := strings.CutSuffix(scope, "/.default"); ok {
			return audience, true
		}
	}
	return "", false
}

func (s *Server) checkSecret(secret string) *refusal {
	switch {
	case s.o.Secret == "" || subtle.ConstantTimeCompare([]byte(secret), []byte(s.o.Secret)) != 1:
		return &wrongSecret
	case s.o.SecretExpired:
		return &expiredSecret
	}
	return nil
}

// checkAssertion checks an assertion that is signed with the application's
// certificate, or by the issuer that it trusts.
func (s *Server) checkAssertion(text, tenant string) *refusal {
	signed, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.PS256, jose.RS256, jose.ES256})
	if err != nil {
		return &malformed
	}
	var c claims
	if json.Unmarshal(signed.UnsafePayloadWithoutVerification(), &c) != nil || c.ID == "" && c.Issuer == s.o.Client {
		return &malformed
	}
	if c.Issuer == s.o.Client {
		return s.checkCertificate(signed, c, tenant)
	}
	switch f := s.o.Federated; {
	case f.Key == nil || c.Issuer != f.Issuer:
		return &unknownIssuer
	case c.Audience != FederatedAudience:
		return &unknownAudience
	case c.Subject != f.Subject:
		return &unknownSubject
	}
	if _, err := signed.Verify(s.o.Federated.Key); err != nil {
		return &malformed
	}
	return s.checkTime(c)
}

func (s *Server) checkCertificate(signed *jose.JSONWebSignature, c claims, tenant string) *refusal {
	if s.o.Certificate == nil {
		return &wrongKey
	}
	sum := sha256.Sum256(s.o.Certificate.Raw)
	thumbprint, _ := signed.Signatures[0].Protected.ExtraHeaders["x5t#S256"].(string)
	// Azure's library for Go writes it in plain base64, and is understood.
	if thumbprint != base64.RawURLEncoding.EncodeToString(sum[:]) && thumbprint != base64.StdEncoding.EncodeToString(sum[:]) {
		return &wrongKey
	}
	if _, err := signed.Verify(s.o.Certificate.PublicKey); err != nil {
		return &wrongKey
	}
	if c.Subject != s.o.Client || c.Audience != fmt.Sprintf("https://%s/%s/oauth2/v2.0/token", s.o.Authority, tenant) {
		return &wrongAudience
	}
	return s.checkTime(c)
}

func (s *Server) checkTime(c claims) *refusal {
	now := s.entra.Now()
	if now.Add(tolerance).Before(time.Unix(c.NotBefore, 0)) || now.Add(-tolerance).After(c.expires()) {
		return &wrongTime
	}
	return nil
}

// entraToken returns an access token for an application or managed identity.
func (s *Server) entraToken(client, audience string) string {
	t := s.entra.Issue(client+" "+audience, "")
	return s.sign(claims{
		Audience: audience, Issuer: "https://sts.windows.net/" + s.o.Tenant + "/", Subject: client, ID: t.Value,
		NotBefore: t.Issued.Unix(), Expires: t.Issued.Add(entraLifetime).Unix(), Tenant: s.o.Tenant, Client: client,
	})
}

// refuse answers as Entra ID does.
func (s *Server) refuse(w http.ResponseWriter, f refusal) {
	now := s.entra.Now().UTC().Format("2006-01-02 15:04:05Z")
	s.entra.Write(w, f.status, map[string]any{
		"error": f.name, "error_codes": []int{f.code}, "timestamp": now,
		"error_description": fmt.Sprintf("AADSTS%d: Refused. Trace ID: 0 Correlation ID: 0 Timestamp: %s", f.code, now),
		"error_uri":         fmt.Sprintf("https://%s/error?code=%d", s.o.Authority, f.code),
	})
}

// serveMetadata is the metadata service of a machine.
func (s *Server) serveMetadata(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/metadata/identity/oauth2/token" || r.Method != http.MethodGet {
		http.NotFound(w, r)
		return
	}
	if !s.begin(w, r, "managed") {
		return
	}
	q := r.URL.Query()
	client, resource := q.Get("client_id"), q.Get("resource")
	known := client == "" && s.o.SystemAssigned || slices.Contains(s.o.UserAssigned, client)
	if client == "" {
		client = "system-assigned"
	}
	reason := ""
	switch {
	case r.Header.Get("Metadata") != "true":
		reason = "Required metadata header not specified"
	case q.Get("api-version") != "2018-02-01":
		reason = "Required query variable 'api-version' is missing or not supported"
	case resource != RegistryAudience && resource != ManagerAudience:
		reason = "Required query variable 'resource' is missing or not known"
	case !known:
		reason = "Identity not found"
	}
	if reason != "" {
		s.entra.Write(w, http.StatusBadRequest, map[string]string{"error": "invalid_request", "error_description": reason})
		return
	}
	token := s.entraToken(client, resource)
	if s.entra.Quirks().Garbage == NoToken {
		token = ""
	}
	now := s.entra.Now()
	s.entra.Write(w, http.StatusOK, map[string]string{
		"access_token": token, "client_id": client, "resource": resource, "token_type": "Bearer",
		"expires_in": strconv.Itoa(int(entraLifetime.Seconds())), "ext_expires_in": strconv.Itoa(int(entraLifetime.Seconds())),
		"expires_on": strconv.FormatInt(now.Add(entraLifetime).Unix(), 10), "not_before": strconv.FormatInt(now.Unix(), 10),
	})
}
