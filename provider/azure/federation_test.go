package azure_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"regcred.dev/regcredtest/fakeazure"
)

// issuer signs tokens as a cluster does for its service accounts.
type issuer struct {
	key   *ecdsa.PrivateKey
	trust fakeazure.Federated
}

var federation = sync.OnceValue(func() issuer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return issuer{key, fakeazure.Federated{
		Issuer: "https://oidc.cluster.example/", Subject: "system:serviceaccount:regcred:regcred", Key: &key.PublicKey,
	}}
})

// token returns a token for Entra ID that expires after a while.
func (i issuer) token(subject string, lifetime time.Duration) string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: i.key}, nil)
	if err != nil {
		panic(err)
	}
	payload, err := json.Marshal(map[string]any{
		"iss": i.trust.Issuer, "sub": subject, "aud": fakeazure.FederatedAudience,
		"nbf": time.Now().Unix(), "exp": time.Now().Add(lifetime).Unix(),
	})
	if err != nil {
		panic(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		panic(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		panic(err)
	}
	return text
}

// federatedToken writes a token that Entra ID trusts to a file, and returns its
// name.
func federatedToken(t *testing.T, i issuer) string {
	t.Helper()
	return writeFile(t, i.token(i.trust.Subject, time.Hour)+"\n")
}

func writeFile(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "azure-identity-token")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}
