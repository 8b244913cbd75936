package config

import (
	"crypto/x509"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"regcred.dev"
)

// Rancher is a target of registry credentials of Rancher: of an environment of Rancher
// 1.x, or of a project of Rancher 2.x.
type Rancher struct {
	// URL is Rancher's API.
	URL *url.URL
	// AccessKey and SecretKey are the API key.
	AccessKey string
	SecretKey regcred.Secret
	// Project is the id of a project of Rancher 2.x, "c-x:p-y"; "" for 1.x. Namespace
	// is one of its namespaces, "" for all.
	Project, Namespace string
	// AutoCreate creates registries and credentials that are missing.
	AutoCreate bool
	// PublicValue is the user name of the credentials that get logins.
	PublicValue string
	// NoAdopt leaves credentials alone that regcred did not create.
	NoAdopt bool
	// Email is written where the API asks for one.
	Email string
	// Broaden lets a lone path credential stand for its host.
	Broaden bool
	// RootCAs verify Rancher in place of the system's authorities.
	RootCAs *x509.CertPool
}

// The versions of Rancher's API, as "api" names them.
const (
	apiV1     = "v1"
	apiV2Beta = "v2-beta"
	apiV3     = "v3"
)

type fileRancher struct {
	URL         text                   `yaml:"url"`
	AccessKey   text                   `yaml:"access_key"`
	SecretKey   text                   `yaml:"secret_key"`
	API         text                   `yaml:"api"`
	Project     text                   `yaml:"project"`
	Namespace   text                   `yaml:"namespace"`
	AutoCreate  bool                   `yaml:"auto_create"`
	Credentials fileRancherCredentials `yaml:"credentials"`
	Email       text                   `yaml:"email"`
	Broaden     bool                   `yaml:"broaden"`
	CA          text                   `yaml:"ca"`
}

type fileRancherCredentials struct {
	PublicValue text  `yaml:"public_value"`
	Adopt       *bool `yaml:"adopt"`
}

func (f fileTarget) rancher(p *parser) (t Target, line int) {
	line = max(f.Name.line, f.Rancher.URL.line, f.Rancher.AccessKey.line, 1)
	t = Target{Name: f.Name.value, Scope: f.scope(p, line), Rancher: f.Rancher.rancher(p, line)}
	if t.Name == "" && t.Rancher.URL != nil {
		t.Name = strings.TrimSuffix(t.Rancher.URL.Host+t.Rancher.URL.Path, "/")
		if t.Rancher.Project != "" {
			t.Name = t.Rancher.URL.Host + "/" + t.Rancher.Project
		}
		if t.Rancher.Namespace != "" {
			t.Name += "/" + t.Rancher.Namespace
		}
	}
	return t, line
}

func (f *fileRancher) rancher(p *parser, line int) *Rancher {
	r := &Rancher{
		AutoCreate: f.AutoCreate, PublicValue: f.Credentials.PublicValue.value, Email: f.Email.value, Broaden: f.Broaden,
		NoAdopt: f.Credentials.Adopt != nil && !*f.Credentials.Adopt,
		Project: f.Project.value, Namespace: f.Namespace.value,
		AccessKey: f.AccessKey.value,
	}
	if isReference(f.AccessKey.value) {
		r.AccessKey = p.secret("access_key", f.AccessKey).Reveal()
	}
	if f.URL.value == "" {
		p.problem(line, "rancher needs a url, such as http://rancher.example.com:8080/v1/projects/1a5")
	} else if u, err := ParseRancherURL(f.URL.value); err != nil {
		p.problem(f.URL.line, "url: %v", err)
	} else {
		r.URL = u
	}
	if f.AccessKey.value == "" || f.SecretKey.value == "" {
		p.problem(line, "rancher needs access_key and secret_key: an API key of the environment, or of a member of the project")
	} else {
		r.SecretKey = p.secret("secret_key", f.SecretKey)
	}
	f.checkAPI(p, r, line)
	f.checkCredentials(p, r, line)
	if f.CA.value != "" {
		r.RootCAs = p.pool("ca", f.CA)
	}
	return r
}

// projectPattern is what the id of a project looks like: the cluster's, and its own.
var projectPattern = regexp.MustCompile(`^[a-z0-9-]+:p-[a-z0-9]+$`)

// checkAPI looks at the version of the API, and writes it behind a URL of 1.x that
// names none.
func (f *fileRancher) checkAPI(p *parser, r *Rancher, line int) {
	v3 := f.API.value == apiV3 || r.URL != nil && r.URL.Path == "/"+apiV3
	switch api := f.API.value; {
	case api != "" && !slices.Contains([]string{apiV1, apiV2Beta, apiV3}, api):
		p.problem(f.API.line, "api: there are %s and %s of Rancher 1.x, and %s of 2.x", apiV1, apiV2Beta, apiV3)
	case v3 && !projectPattern.MatchString(f.Project.value):
		p.problem(line, "rancher needs a project of Rancher 2.x, such as c-m-abcdefgh:p-ijklm")
	case !v3 && (f.Project.value != "" || f.Namespace.value != ""):
		p.problem(line, "project and namespace are of Rancher 2.x: set api: %s", apiV3)
	case r.URL == nil || api == "":
	case r.URL.Path == "/":
		r.URL = r.URL.JoinPath(api)
	case r.URL.Path != "/"+api && !strings.HasPrefix(r.URL.Path, "/"+api+"/"):
		p.problem(f.API.line, "api: the url names another version")
	}
}

// checkCredentials refuses rules that contradict each other.
func (f *fileRancher) checkCredentials(p *parser, r *Rancher, line int) {
	chooses := r.PublicValue != "" || f.Credentials.Adopt != nil
	switch {
	case r.NoAdopt && r.PublicValue != "":
		p.problem(line, "credentials: public_value says which credentials are taken over, and adopt: false that none are: leave out one")
	case r.NoAdopt && !r.AutoCreate:
		p.problem(line, "credentials: with adopt: false nothing is delivered unless auto_create is true")
	case r.Project != "" && (chooses || r.AutoCreate || r.Email != ""):
		p.problem(line, "auto_create, credentials and email are of Rancher 1.x: in a project of 2.x credentials are created, and those of others left alone")
	}
}

// pool resolves a reference to certificates in PEM form.
func (p *parser) pool(key string, t text) *x509.CertPool {
	pool := x509.NewCertPool()
	pem := p.secret(key, t).Reveal()
	if pem != "" && !pool.AppendCertsFromPEM([]byte(pem)) {
		p.problem(t.line, "%s: there is no certificate in PEM form", key)
	}
	return pool
}

// environment says where a target of Rancher delivers, as far as can be told.
func (r *Rancher) environment() string {
	if r.URL == nil {
		return ""
	}
	_, id, _ := strings.Cut(r.URL.Path, "/projects/")
	return strings.Join([]string{strings.ToLower(r.URL.Host), r.AccessKey, id, r.Project, r.Namespace}, " ")
}
