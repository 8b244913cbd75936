package token

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"regcred.dev"
)

// What a token may be used for. One made for the one use is refused for the other.
const (
	// UseLogin is a registry login: a password for HTTP Basic authentication.
	UseLogin = "login"
	// UseAccess is a Bearer token, as the registry's token endpoint hands out.
	UseAccess = "access"
)

// MaxSize is the size in bytes above which a token is neither made nor looked at.
const MaxSize = 16 << 10

// leeway is how far in the future a token may have been issued: processes that
// share a store may disagree that much on the time.
const leeway = time.Minute

// Claims are what a token says.
type Claims struct {
	// ID is unique to the token. Sign makes one where it is empty.
	ID string
	// Subject is the guid of the credential, or the id of the API token, that it
	// was made from. A Bearer token has the subject of the login that it was asked
	// for with, so that a revocation of the subject ends both.
	Subject string
	// Name is that of the API token that it was made from, "" where that is none: for
	// the audit log, which says who did something.
	Name string
	// Use is UseLogin or UseAccess.
	Use string
	// Grants say what it allows; none allows nothing.
	Grants []Grant
	// Scope bounds the grants to the repositories that it may have; the foundation
	// may have all.
	Scope regcred.Scope
	// IssuedAt and ExpiresAt bound its life. They are kept in microseconds.
	IssuedAt, ExpiresAt time.Time
}

// Allows reports whether any of the grants allows the action.
func (c Claims) Allows(repository, action string) bool {
	for _, g := range c.Grants {
		if g.Allows(repository, action) {
			return true
		}
	}
	return false
}

// payload is the JSON of a token's claims. All names but "use" and "within" are
// registered: by RFC 7519, "name" by OpenID Connect, and "access" by Docker's registry
// token specification.
type payload struct {
	Issuer    string      `json:"iss"`
	Audience  string      `json:"aud"`
	Subject   string      `json:"sub"`
	Name      string      `json:"name,omitempty"`
	ID        string      `json:"jti"`
	Use       string      `json:"use"`
	IssuedAt  numericDate `json:"iat"`
	ExpiresAt numericDate `json:"exp"`
	Access    []access    `json:"access,omitempty"`
	Within    within      `json:"within,omitzero"`

	grants []Grant // those of Access
}

// within is a scope; the foundation is left out.
type within struct {
	Org   string `json:"org"`
	Space string `json:"space,omitempty"`
	App   string `json:"app,omitempty"`
}

type access struct {
	Type    string   `json:"type"` // "repository"
	Name    string   `json:"name"`
	Actions []string `json:"actions"`
}

// numericDate is a time as RFC 7519 writes it: seconds since 1970, with six
// decimals.
type numericDate struct{ time.Time }

// maxSeconds is in the year 2242: until then a float64 holds the microseconds.
const maxSeconds = 1 << 33

func (d numericDate) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(d.UnixMicro())/1e6, 'f', 6, 64), nil
}

func (d *numericDate) UnmarshalJSON(b []byte) error {
	var seconds float64
	if err := json.Unmarshal(b, &seconds); err != nil {
		return err
	}
	if seconds < 0 || seconds > maxSeconds {
		return errors.New("out of range")
	}
	d.Time = time.UnixMicro(int64(math.Round(seconds * 1e6))).UTC()
	return nil
}

// Sign returns a token with these claims.
//
// Errors: Invalid where a claim is missing or a grant malformed, where it would
// live longer than the service allows, and TooLarge where it would be longer
// than MaxSize.
func (s *Service) Sign(c Claims) (regcred.Secret, error) {
	if err := s.signable(c); err != nil {
		return regcred.Secret{}, err
	}
	p := payload{
		Issuer: s.issuer, Audience: s.issuer, Subject: c.Subject, Name: c.Name, ID: c.ID, Use: c.Use,
		IssuedAt: numericDate{c.IssuedAt}, ExpiresAt: numericDate{c.ExpiresAt}, Within: within(c.Scope),
	}
	if p.ID == "" {
		p.ID = rand.Text()
	}
	for _, g := range c.Grants {
		p.Access = append(p.Access, access{Type: "repository", Name: g.Repository, Actions: g.Actions})
	}
	b, err := json.Marshal(p)
	if err != nil {
		return regcred.Secret{}, err
	}
	signed, err := s.signer.Sign(b)
	if err != nil {
		return regcred.Secret{}, err
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		return regcred.Secret{}, err
	}
	if len(text) > MaxSize {
		return regcred.Secret{}, regcred.Errorf(regcred.TooLarge, "a token for %d repositories would have %d bytes, at most %d are allowed: name fewer, or a common path such as acme/*", len(c.Grants), len(text), MaxSize)
	}
	return regcred.NewSecret(text), nil
}

func (s *Service) signable(c Claims) error {
	lifetime := c.ExpiresAt.Sub(c.IssuedAt)
	switch {
	case c.Subject == "":
		return regcred.Errorf(regcred.Invalid, "a token needs a subject")
	case c.Use != UseLogin && c.Use != UseAccess:
		return regcred.Errorf(regcred.Invalid, "a token is for %q or %q, not for %q", UseLogin, UseAccess, c.Use)
	case c.IssuedAt.IsZero() || lifetime <= 0:
		return regcred.Errorf(regcred.Invalid, "a token needs a time of issue and a later one when it expires")
	case lifetime > s.maxLifetime:
		return regcred.Errorf(regcred.Invalid, "a token may live for %s, not for %s", s.maxLifetime, lifetime)
	}
	for _, g := range c.Grants {
		if err := g.Validate(); err != nil {
			return err
		}
	}
	return c.Scope.Validate()
}

// Verify returns the claims of a token that this service's key signed, and that
// at now is valid for the use. The grants are shared: they are not to be changed.
//
// Errors: a *regcred.BadToken, with a reason that may be shown.
func (s *Service) Verify(now time.Time, raw, use string) (Claims, error) {
	p, reason := s.recall(now, raw)
	if reason != "" {
		return Claims{}, regcred.NewBadToken(regcred.TokenUnknown, "", "the token is refused: %s", reason)
	}
	if fault, reason := s.refusal(now, p, use); reason != "" {
		return Claims{}, regcred.NewBadToken(fault, p.Subject, "the token is refused: %s", reason)
	}
	return Claims{
		ID: p.ID, Subject: p.Subject, Name: p.Name, Use: p.Use, Grants: p.grants, Scope: regcred.Scope(p.Within),
		IssuedAt: p.IssuedAt.Time, ExpiresAt: p.ExpiresAt.Time,
	}, nil
}

// openedLifetime is for how long it is remembered what a token says and that our key
// signed it, and openedBound how many bytes that may take. A client sends the same
// token with each request, and checking a signature takes longer than all else that a
// manifest takes. What may change meanwhile is not remembered: see refusal.
const (
	openedLifetime = 10 * time.Second
	openedBound    = 4 << 20
)

// recall is open, which it spares for a token that was opened shortly before.
func (s *Service) recall(now time.Time, raw string) (p payload, reason string) {
	if len(raw) > MaxSize {
		return p, "it is longer than 16 KiB"
	}
	key := sha256.Sum256([]byte(raw))
	if p, ok := s.opened.get(now, key); ok {
		return p, ""
	}
	p, reason = s.open(raw)
	if reason != "" {
		return p, reason
	}
	for _, a := range p.Access {
		p.grants = append(p.grants, Grant{Repository: a.Name, Actions: a.Actions})
	}
	s.opened.add(now, key, p, openedSize(raw))
	return p, ""
}

// openedSize is about what it takes to remember a token: its claims are shorter than
// itself, but in many pieces.
func openedSize(raw string) int64 { return 512 + 4*int64(len(raw)) }

// open returns what a token says if our key signed it, else the reason in words.
// Nothing that it says is looked at before: of its header only the algorithm and
// the key's id, and a key that it brings along is a reason to refuse it.
func (s *Service) open(raw string) (p payload, reason string) {
	if strings.ContainsAny(raw, "\r\n") { // which base64 would pass over
		return p, "it holds a line break"
	}
	if strings.HasPrefix(raw, apiTokenPrefix) {
		return p, "it is an API token, which the registry takes as a password alone, by Basic authentication with any user name"
	}
	jws, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil {
		return p, "it is not a token signed with EdDSA"
	}
	header := jws.Signatures[0].Protected
	if header.JSONWebKey != nil || header.KeyID != s.keyID {
		return p, "it was not signed with this server's key"
	}
	content, err := jws.Verify(s.public)
	if err != nil {
		return p, "its signature is not valid"
	}
	if err := json.Unmarshal(content, &p); err != nil {
		return p, "its claims are malformed"
	}
	return p, ""
}

// refusal says in words why a token of our own is not valid, "" where it is.
func (s *Service) refusal(now time.Time, p payload, use string) (fault regcred.TokenFault, reason string) {
	switch {
	case p.Issuer != s.issuer:
		return regcred.TokenMisused, "another server issued it"
	case p.Audience != s.issuer:
		return regcred.TokenMisused, "it is for another server"
	case p.Use != use:
		return regcred.TokenMisused, "it is for another use"
	case p.Subject == "" || p.ID == "" || p.IssuedAt.IsZero() || p.ExpiresAt.IsZero():
		return regcred.TokenMalformed, "it lacks a claim"
	case p.IssuedAt.After(now.Add(leeway)):
		return regcred.TokenMisused, "it was issued in the future: compare the clocks"
	case !now.Before(p.ExpiresAt.Time):
		return regcred.TokenExpired, "it expired at " + p.ExpiresAt.Format(time.RFC3339)
	case s.revoked.covers(p.Subject, p.IssuedAt.Time), s.revoked.covers(p.ID, p.IssuedAt.Time):
		return regcred.TokenRevoked, "it was revoked"
	}
	return "", ""
}
