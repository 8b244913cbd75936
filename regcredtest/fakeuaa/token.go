package fakeuaa

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Key is one that signs tokens.
type Key struct {
	ID      string
	Private *rsa.PrivateKey
}

// PEM returns the public key as /token_keys has it in "value".
func (k Key) PEM() string {
	der := must(x509.MarshalPKIXPublicKey(k.Private.Public()))
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// Rotate has the UAA sign with a new key from now on; the keys before stay published.
func (s *Server) Rotate() { s.add(must(rsa.GenerateKey(rand.Reader, 2048))) }

func (s *Server) add(private *rsa.PrivateKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := fmt.Sprint("key-", len(s.keys)+1)
	if s.o.OneKeyID {
		id = "key-1"
	}
	s.keys = append(s.keys, Key{ID: id, Private: private})
}

// Forget has the UAA publish its newest key alone.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = s.keys[len(s.keys)-1:]
}

// Key returns the newest key.
func (s *Server) Key() Key {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys[len(s.keys)-1]
}

// getKeys answers in the form of UAA: JSON Web Keys with the PEM besides, the symmetric
// key of old installations too.
func (s *Server) getKeys(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	keys := slices.Clone(s.keys)
	s.mu.Unlock()
	list := []map[string]string{{"kty": "MAC", "alg": "HS256", "use": "sig", "kid": "legacy", "value": "tokenkey"}}
	for _, k := range keys {
		encode := base64.RawURLEncoding.EncodeToString
		list = append(list, map[string]string{
			"kty": "RSA", "alg": "RS256", "use": "sig", "kid": k.ID, "value": k.PEM(),
			"n": encode(k.Private.N.Bytes()), "e": encode(big.NewInt(int64(k.Private.E)).Bytes()),
		})
	}
	s.Write(w, http.StatusOK, map[string]any{"keys": list})
}

// Claims returns what the UAA signs for a user of the cf CLI.
func (s *Server) Claims(name string) map[string]any {
	user := s.o.Users[name]
	scopes := user.Scopes
	if scopes == nil {
		scopes = UserScopes
	}
	c := s.claims("cf", scopes)
	c["grant_type"], c["user_id"], c["user_name"], c["origin"], c["sub"] = "password", user.GUID, name, "uaa", user.GUID
	c["email"] = name + "@example.com"
	return c
}

// ClientClaims returns what the UAA signs for a client by itself.
func (s *Server) ClientClaims(id string) map[string]any {
	c := s.claims(id, s.o.Clients[id].Authorities)
	c["grant_type"], c["sub"] = "client_credentials", id
	c["authorities"] = s.o.Clients[id].Authorities
	return c
}

func (s *Server) claims(client string, scopes []string) map[string]any {
	now := s.Now()
	return map[string]any{
		"iss": s.o.Issuer, "zid": "uaa", "jti": rand.Text(), "cid": client, "client_id": client, "azp": client,
		"aud": []string{client, "cloud_controller", "openid", "password", "uaa"}, "scope": scopes,
		"iat": now.Unix(), "auth_time": now.Unix(), "exp": now.Add(Lifetime).Unix(), "rev_sig": "4f2c1b6a",
	}
}

// Token returns an access token of a user's.
func (s *Server) Token(name string) string { return s.Sign(s.Claims(name), nil) }

// ClientToken returns an access token of a client's own.
func (s *Server) ClientToken(id string) string { return s.Sign(s.ClientClaims(id), nil) }

// Refresh returns a refresh token of a user's: a JWT too, whose jti ends in -r.
func (s *Server) Refresh(name string) string {
	c := s.Claims(name)
	c["jti"] = fmt.Sprint(c["jti"], "-r")
	c["exp"] = s.Now().AddDate(0, 1, 0).Unix()
	raw := s.Sign(c, nil)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refresh[raw] = name
	return raw
}

// Sign signs claims with the newest key. header is added to that of the token, or
// replaces what is there.
func (s *Server) Sign(claims, header map[string]any) string {
	k := s.Key()
	o := &jose.SignerOptions{ExtraHeaders: map[jose.HeaderKey]any{"kid": k.ID, "typ": "JWT", "jku": s.o.URL + "/token_keys"}}
	for name, value := range header {
		o.ExtraHeaders[jose.HeaderKey(name)] = value
	}
	signer := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: k.Private}, o))
	return must(must(signer.Sign(must(json.Marshal(claims)))).CompactSerialize())
}

// Verify returns the user, or else the client, and the scopes of an access token of
// this UAA; false where it is none that is valid now. It is for fakes of those who
// accept such tokens.
func (s *Server) Verify(raw string) (user string, scopes []string, ok bool) {
	jws, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return "", nil, false
	}
	var c struct {
		UserID   string   `json:"user_id"`
		ClientID string   `json:"client_id"`
		Scopes   []string `json:"scope"`
		Expiry   int64    `json:"exp"`
	}
	s.mu.Lock()
	keys := slices.Clone(s.keys)
	s.mu.Unlock()
	for _, k := range keys {
		content, err := jws.Verify(k.Private.Public())
		if err == nil && json.Unmarshal(content, &c) == nil && s.Now().Before(time.Unix(c.Expiry, 0)) {
			if c.UserID == "" {
				c.UserID = c.ClientID
			}
			return c.UserID, c.Scopes, true
		}
	}
	return "", nil, false
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
