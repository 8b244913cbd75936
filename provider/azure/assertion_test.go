package azure_test

import (
	"crypto/rsa"
	"crypto/x509"
	_ "embed"
	"encoding/base64"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"regcred.dev"
	"regcred.dev/regcredtest/fakeazure"
)

// principalPFX is a certificate and its key as Windows and Key Vault export them,
// without a password: made by openssl pkcs12 -export -legacy.
//
//go:embed testdata/principal.pfx
var principalPFX []byte

// TestCertificateForms mints with a certificate in each form that it may be given in.
func TestCertificateForms(t *testing.T) {
	certs, private, err := azidentity.ParseCertificates(principalPFX, nil)
	if err != nil {
		t.Fatal(err)
	}
	key := private.(*rsa.PrivateKey)
	_, other := principal()
	cert, chain := pemOf(certs[0]), pemOf(other)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	key8 := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
	key1 := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	pfx := base64.StdEncoding.EncodeToString(principalPFX)
	for name, text := range map[string]string{
		"PEM":                    cert + key8,
		"PEM, key first":         key8 + cert,
		"PEM, PKCS #1":           cert + key1,
		"PEM, with a chain":      chain + cert + key8,
		"PEM, with text between": "Bag Attributes\n" + cert + "\r\nKey Attributes: <No Attributes>\r\n" + key8,
		"PFX":                    pfx,
		"PFX, in lines":          pfx[:76] + "\n" + pfx[76:] + "\n",
	} {
		o := options()
		o.Certificate = certs[0]
		_, err := newProvider(fakeazure.New(o)).Mint(t.Context(), credential("client-secret", "", "client-certificate", text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, text := range map[string]string{
		"two keys":          cert + key8 + key1,
		"an encrypted key":  cert + strings.ReplaceAll(key8, "PRIVATE KEY", "ENCRYPTED PRIVATE KEY"),
		"half a PFX":        pfx[:len(pfx)/2],
		"PFX in base64 url": strings.NewReplacer("+", "-", "/", "_").Replace(pfx),
		"a space":           " ",
	} {
		t.Run(name, func(t *testing.T) {
			err := newProvider(nil).Check(credential("client-secret", "", "client-certificate", text))
			wantError(t, err, regcred.Invalid, "client-certificate", key8, pfx)
		})
	}
}

// TestCertificateTooLarge: what it would take seconds to read is not read.
func TestCertificateTooLarge(t *testing.T) {
	large := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: make([]byte, 8<<10)})
	for name, text := range map[string]string{
		"PEM":           string(large),
		"PEM in base64": base64.StdEncoding.EncodeToString(large),
		"PFX":           base64.StdEncoding.EncodeToString(make([]byte, 20<<10)),
	} {
		err := newProvider(nil).Check(credential("client-secret", "", "client-certificate", text))
		if regcred.CodeOf(err) != regcred.Invalid || !strings.Contains(err.Error(), "too large") {
			t.Errorf("%s: error %v, want that it is too large", name, err)
		}
	}
}
