package tlsfiles

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"os"

	"regcred.dev"
)

// maxFile bounds what is read of a file, in bytes.
const maxFile = 1 << 20

// paths are the files: certificate and key of each pair, then the clients' authorities.
func (o Options) paths() []string {
	var list []string
	for _, p := range o.Certificates {
		list = append(list, p.Certificate, p.Key)
	}
	if o.ClientCA != "" {
		list = append(list, o.ClientCA)
	}
	return list
}

// contents reads the files, in the order of paths. Errors: Invalid.
func (o Options) contents() ([][]byte, error) {
	var list [][]byte
	for _, path := range o.paths() {
		content, err := readFile(path)
		if err != nil {
			return nil, regcred.Errorf(regcred.Invalid, "TLS: %w", err)
		}
		list = append(list, content)
	}
	return list, nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile))
}

// parse makes the configuration of what the files hold. Errors: Invalid, naming the
// file; never what is in it.
func (o Options) parse(content [][]byte) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	for i, p := range o.Certificates {
		pair, err := tls.X509KeyPair(content[2*i], content[2*i+1])
		if err != nil {
			return nil, regcred.Errorf(regcred.Invalid, "TLS: certificate %s with key %s: %w", p.Certificate, p.Key, err)
		}
		c.Certificates = append(c.Certificates, pair)
	}
	if o.ClientCA != "" {
		c.ClientCAs = x509.NewCertPool()
		if !c.ClientCAs.AppendCertsFromPEM(content[len(content)-1]) {
			return nil, regcred.Errorf(regcred.Invalid, "TLS: %s has no certificate in PEM form", o.ClientCA)
		}
	}
	c.ClientAuth = o.clientAuth()
	if c.ClientAuth == tls.RequestClientCert {
		c.ClientCAs = nil // named to clients, these would have those with others send none
	}
	// Who resumes a session is not verified anew: not by an authority that has changed.
	c.SessionTicketsDisabled = c.ClientAuth != tls.NoClientCert
	return c, nil
}

// clientAuth says which certificates the handshake asks for, and which it verifies. One
// that may be meant for somebody else cannot be refused there, unless a good one is
// required.
func (o Options) clientAuth() tls.ClientAuthType {
	switch {
	case o.RequireClient:
		return tls.RequireAndVerifyClientCert
	case o.RequestClient:
		return tls.RequestClientCert
	case o.ClientCA != "":
		return tls.VerifyClientCertIfGiven
	}
	return tls.NoClientCert
}
