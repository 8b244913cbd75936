package azure

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/go-jose/go-jose/v4"

	"regcred.dev"
	"regcred.dev/provider/internal/bearer"
	"regcred.dev/provider/internal/file"
	"regcred.dev/provider/internal/rsakey"
)

// maxCertificate bounds the setting "client-certificate", in bytes.
const maxCertificate = 64 << 10

// certificate is what a service principal signs assertions with.
type certificate struct {
	thumbprint string // SHA-256 of the certificate, in base64url
	key        *rsa.PrivateKey
}

// readCertificate reads the setting "client-certificate": PEM blocks, or a PFX file
// (PKCS #12) in base64.
func readCertificate(secret regcred.Secret) (*certificate, error) {
	// The parsers' own words are left out: they may quote what they read.
	wrong := regcred.Errorf(regcred.Invalid, "the setting %q has no certificate with its RSA private key: give both in PEM form and unencrypted, or a PFX file without a password in base64", settingCertificate)
	text := secret.Reveal()
	if len(text) > maxCertificate {
		return nil, regcred.Errorf(regcred.Invalid, "the setting %q has %d bytes, at most %d are allowed", settingCertificate, len(text), maxCertificate)
	}
	data := []byte(text)
	if !strings.Contains(text, "-----BEGIN ") {
		var err error
		if data, err = base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), "")); err != nil {
			return nil, wrong
		}
	}
	if tooLarge(data) {
		return nil, regcred.Errorf(regcred.Invalid, "the setting %q has a private key that is too large, or more than one certificate and its key", settingCertificate)
	}
	certs, private, err := azidentity.ParseCertificates(data, nil)
	if err != nil {
		return nil, wrong
	}
	key, ok := private.(*rsa.PrivateKey)
	if !ok {
		return nil, wrong
	}
	for _, cert := range certs {
		if key.PublicKey.Equal(cert.PublicKey) {
			sum := sha256.Sum256(cert.Raw)
			return &certificate{thumbprint: base64.RawURLEncoding.EncodeToString(sum[:]), key: key}, nil
		}
	}
	return nil, regcred.Errorf(regcred.Invalid, "the setting %q has a private key that is not the certificate's", settingCertificate)
}

// maxPFX bounds a PFX file, in bytes: one of a 4096-bit key with its chain has some 8 KB.
const maxPFX = 16 << 10

// tooLarge reports whether what may be a private key is one that it takes long just to
// read. What else PEM blocks have is read in no time.
func tooLarge(data []byte) bool {
	block, rest := pem.Decode(data)
	if block == nil {
		return len(data) > maxPFX
	}
	for ; block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" && len(block.Bytes) > rsakey.MaxDER {
			return true
		}
	}
	return false
}

// assertionMargin is how long before and after the time of signing an assertion is
// valid: Entra ID recommends 5 to 10 minutes in all, and so it is accepted where
// the clocks differ by as much.
const assertionMargin = 5 * time.Minute

// assertion returns a client assertion that is signed at a time, in the form of
// Entra ID's "Microsoft identity platform application authentication certificate
// credentials". audience is the token endpoint.
func (c *certificate) assertion(client, audience string, now time.Time) (regcred.Secret, error) {
	unusable := func(err error) error {
		return regcred.Errorf(regcred.Invalid, "the key in the setting %q cannot sign: %w", settingCertificate, err)
	}
	options := (&jose.SignerOptions{}).WithType("JWT").WithHeader("x5t#S256", c.thumbprint)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.PS256, Key: c.key}, options)
	if err != nil {
		return regcred.Secret{}, unusable(err)
	}
	claims, err := json.Marshal(map[string]any{
		"aud": audience,
		"iss": client,
		"sub": client,
		"jti": rand.Text(),
		"nbf": now.Add(-assertionMargin).Unix(),
		"exp": now.Add(assertionMargin).Unix(),
	})
	if err != nil {
		return regcred.Secret{}, err
	}
	signed, err := signer.Sign(claims)
	if err != nil {
		return regcred.Secret{}, unusable(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		return regcred.Secret{}, err
	}
	return regcred.NewSecret(text), nil
}

// readTokenFile reads a federated token. Errors: Unavailable, since whoever writes
// the file may yet do so.
func readTokenFile(name string) (regcred.Secret, error) {
	text, err := file.Read(name, bearer.MaxLength)
	if text = strings.TrimSpace(text); err == nil && !bearer.IsToken(text) {
		err = errors.New("it has no token in it")
	}
	if err != nil {
		return regcred.Secret{}, regcred.Errorf(regcred.Unavailable, "the federated token file %s cannot be read: %w", name, err)
	}
	return regcred.NewSecret(text), nil
}
