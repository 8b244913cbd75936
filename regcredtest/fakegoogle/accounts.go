package fakegoogle

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"sync"
)

type publicKey = *rsa.PublicKey

// privateKeys are made once: making one takes its time. Each account has one of
// them, the others are strangers'.
var privateKeys = sync.OnceValue(func() (keys [2]*rsa.PrivateKey) {
	for i := range keys {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic("fakegoogle: " + err.Error())
		}
		keys[i] = key
	}
	return keys
})

// KeyFile is a service account's key file. Its field names are the document's.
type KeyFile struct {
	Type           string `json:"type"`
	ProjectID      string `json:"project_id"`
	PrivateKeyID   string `json:"private_key_id"`
	PrivateKey     string `json:"private_key"`
	ClientEmail    string `json:"client_email"`
	ClientID       string `json:"client_id"`
	AuthURI        string `json:"auth_uri"`
	TokenURI       string `json:"token_uri"`
	UniverseDomain string `json:"universe_domain,omitempty"`
}

// JSON returns the file's content.
func (k KeyFile) JSON() string {
	data, err := json.MarshalIndent(k, "", "  ")
	if err != nil {
		panic("fakegoogle: " + err.Error())
	}
	return string(data)
}

// NewKey makes a service account, where there is none yet, and a key for it.
func (s *Server) NewKey(email string) KeyFile {
	id := make([]byte, 20)
	_, _ = rand.Read(id)
	k := keyFile(email, hex.EncodeToString(id), privateKeys()[0])
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.accounts[email] == nil {
		s.accounts[email] = map[string]publicKey{}
	}
	s.accounts[email][k.PrivateKeyID] = &privateKeys()[0].PublicKey
	return k
}

// ForgedKey returns a key file like k with another private key.
func ForgedKey(k KeyFile) KeyFile {
	return keyFile(k.ClientEmail, k.PrivateKeyID, privateKeys()[1])
}

func keyFile(email, id string, key *rsa.PrivateKey) KeyFile {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic("fakegoogle: " + err.Error())
	}
	return KeyFile{
		Type: "service_account", ProjectID: "project", PrivateKeyID: id,
		PrivateKey:  string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		ClientEmail: email, ClientID: "123456789012345678901",
		AuthURI: "https://accounts.google.com/o/oauth2/auth", TokenURI: "https://" + TokenHost + "/token",
	}
}

// DeleteKey deletes a key: Google then finds its signatures invalid.
func (s *Server) DeleteKey(k KeyFile) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.accounts[k.ClientEmail], k.PrivateKeyID)
}

// DeleteAccount deletes a service account.
func (s *Server) DeleteAccount(email string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.accounts, email)
}

// Grant gives an account roles/iam.serviceAccountTokenCreator on another one.
func (s *Server) Grant(who, on string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.grants[[2]string{who, on}] = true
	if s.accounts[on] == nil {
		s.accounts[on] = map[string]publicKey{}
	}
}

// User is a person who logged in with an OAuth client.
type User struct {
	Email        string
	ClientID     string
	ClientSecret string
	RefreshToken string
}

// AddUser makes a login.
func (s *Server) AddUser(u User) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users[u.RefreshToken] = u
}

// Proof is what a workload identity pool's provider takes as proof of an identity.
type Proof struct {
	Audience  string // the provider's resource name
	TokenType string // a URN of RFC 8693, section 3
	Principal string
}

// AddProof makes a pool's provider accept a subject token.
func (s *Server) AddProof(subjectToken string, p Proof) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pools[subjectToken] = p
}
