// Package rsakey reads the RSA private keys that vendors hand out in PEM form.
package rsakey

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// maxBits is the size of a key that is not used: the vendors' keys have 2048 or 4096
// bits, and the time that it takes to read and to sign with one grows with the third
// power of its size.
const maxBits = 8192

// MaxDER bounds what may be a key, in bytes: one of 8192 bits has 4.7 KB. To read a
// longer one takes seconds, even where it is then refused.
const MaxDER = 6 << 10

// Parse reads a key in PEM form, of PKCS #1 (RFC 8017) or PKCS #8 (RFC 5958), that has
// from leastBits to 8192 bits.
//
// The error says what is wrong as what the text holds, and quotes nothing. It
// has no code: the caller knows which setting it is.
func Parse(text string, leastBits int) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("no private key in PEM form: it was cut, or its line breaks were lost")
	}
	if len(block.Bytes) > MaxDER {
		return nil, wrongSize(leastBits)
	}
	key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		parsed, _ := x509.ParsePKCS8PrivateKey(block.Bytes)
		key, _ = parsed.(*rsa.PrivateKey)
	}
	if key == nil {
		return nil, errors.New("a private key that is no RSA key, or that was cut or damaged")
	}
	if bits := key.N.BitLen(); bits < leastBits || bits > maxBits {
		return nil, wrongSize(leastBits)
	}
	return key, nil
}

func wrongSize(leastBits int) error {
	return fmt.Errorf("a private key that is too small or too large: it must have from %d to %d bits", leastBits, maxBits)
}
