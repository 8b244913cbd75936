package rsakey_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	"regcred.dev/provider/internal/rsakey"
)

func inPEM(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func TestParse(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pkcs1, pkcs8, ec := x509.MarshalPKCS1PrivateKey(key), marshal(t, key), marshal(t, other)
	for name, test := range map[string]struct {
		text  string
		least int
		want  string // in the error; "": none
	}{
		"PKCS #1":        {inPEM("RSA PRIVATE KEY", pkcs1), 2048, ""},
		"PKCS #8":        {"text in front\n" + inPEM("PRIVATE KEY", pkcs8), 1024, ""},
		"too small":      {inPEM("PRIVATE KEY", pkcs8), 3072, "from 3072 to 8192 bits"},
		"not RSA":        {inPEM("PRIVATE KEY", ec), 2048, "no RSA key"},
		"cut":            {inPEM("RSA PRIVATE KEY", pkcs1[:len(pkcs1)-9]), 2048, "no RSA key"},
		"no line breaks": {strings.ReplaceAll(inPEM("RSA PRIVATE KEY", pkcs1), "\n", " "), 2048, "PEM form"},
		"empty":          {"", 2048, "PEM form"},
		// It would take seconds to find out that it is none.
		"too large to look at": {inPEM("RSA PRIVATE KEY", make([]byte, rsakey.MaxDER+1)), 2048, "too large"},
	} {
		got, err := rsakey.Parse(test.text, test.least)
		switch {
		case test.want == "" && (err != nil || !got.Equal(key)):
			t.Errorf("%s: %v", name, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: error %v, want one with %q", name, err, test.want)
		}
	}
}

func marshal(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}
