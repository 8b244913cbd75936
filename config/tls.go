package config

// TLS has the server speak TLS. Its files are read again when they change.
type TLS struct {
	// Certificates are the server's; clients get the one for the name that they ask
	// for, else the first.
	Certificates []Certificate
	// ClientCA is the path of certificates in PEM form which those of clients have to
	// come from; "" asks clients for none.
	ClientCA string
	// RequireClientCertificate turns clients without one away.
	RequireClientCertificate bool
}

// Certificate names the files of a certificate chain and its key, both in PEM form.
type Certificate struct {
	Certificate, Key string
}

type fileTLS struct {
	Certificates  []fileCertificate `yaml:"certificates"`
	ClientCA      text              `yaml:"client_ca"`
	RequireClient bool              `yaml:"require_client_certificate"`
}

type fileCertificate struct {
	Certificate text `yaml:"certificate"`
	Key         text `yaml:"key"`
}

func (f *fileTLS) tls(p *parser) *TLS {
	if f == nil {
		return nil
	}
	t := &TLS{ClientCA: f.ClientCA.value, RequireClientCertificate: f.RequireClient}
	for _, c := range f.Certificates {
		if c.Certificate.value == "" || c.Key.value == "" {
			p.problem(max(c.Certificate.line, c.Key.line, 1), "tls: each of certificates needs the paths certificate and key")
		}
		t.Certificates = append(t.Certificates, Certificate{c.Certificate.value, c.Key.value})
	}
	if len(t.Certificates) == 0 {
		p.problem(max(f.ClientCA.line, 1), "tls: name the server's certificates, each with its key")
	}
	if t.RequireClientCertificate && t.ClientCA == "" {
		p.problem(1, "tls: require_client_certificate needs client_ca, which says whose certificates are good")
	}
	return t
}
