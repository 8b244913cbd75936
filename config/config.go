// Package config reads regcred.yaml into a Config.
//
// It is strict: an unknown key, a wrong type or a value that makes no sense is an
// error that names the file and the line. Secrets never stand in the file: they
// are references, "file:PATH" or "env:NAME", which Load resolves.
package config

import (
	"net/url"
	"time"

	"regcred.dev"
	"regcred.dev/imageref"
	"regcred.dev/keyring"
)

// Defaults of a Config.
const (
	DefaultListen        = "127.0.0.1:8440"
	DefaultLoginLifetime = 12 * time.Hour
	DefaultAuditKeep     = 365 * 24 * time.Hour
)

// Config is what a server runs with. Default returns that of a server without a
// file; Load fills every default in.
type Config struct {
	// DataDir holds the database, the sealing key, the registry's storage, the
	// admin token and the local socket. It is "" where the file names none: whoever
	// starts the server knows the default.
	DataDir string
	// Listen is the TCP address of the API and the registry, HOST:PORT. Port 0
	// picks a free one.
	Listen string
	// PublicURL is how clients reach the server; nil means http:// and the
	// address that it listens on.
	PublicURL *url.URL
	// TLS has the server speak TLS; nil means plain HTTP.
	TLS *TLS
	// CloudFoundry is whose users may call; nil: no such.
	CloudFoundry *CloudFoundry
	// OIDC are the issuers whose tokens callers may have.
	OIDC []OIDC
	// AuditKeep is how long the audit log is kept; 0 means for ever.
	AuditKeep time.Duration
	// Registry is the image service.
	Registry Registry
	// Profiles are what chosen scopes may have logins minted from. Nil means that the file
	// has no such list; an empty one has none.
	Profiles []Profile
	// Credentials are declared here beside those of the API, and read-only there.
	// Nil means that the file has no such list; an empty one declares none.
	Credentials []Credential
	// Targets are where keyrings are delivered.
	Targets []Target
	// KubernetesTokens are whose service account tokens kubelets may ask with.
	KubernetesTokens []KubernetesTokens
}

// Credential is one that the configuration declares.
type Credential struct {
	// Where is the file and line where it stands, "regcred.yaml:8".
	Where    string
	Scope    regcred.Scope
	Location imageref.Location
	Spelling string
	Provider string
	Username string
	Password regcred.Secret
	// Settings are plain values, References those that a reference was resolved
	// to. The provider says which of them are secret.
	Settings   map[string]string
	References map[string]regcred.Secret
}

// Target is one place where a keyring is delivered.
type Target struct {
	// Name identifies the target in status, metrics and logs.
	Name string
	// Scope is whose keyring it gets.
	Scope regcred.Scope
	// DockerConfig is set where the target is docker config files.
	DockerConfig *DockerConfig
	// Kubernetes is set where it is a cluster. Scope is then the foundation: the
	// cluster's namespaces have scopes of their own.
	Kubernetes *Kubernetes
	// Rancher is set where it is an environment or a project of Rancher.
	Rancher *Rancher
}

// DockerConfig is a target of docker config files.
type DockerConfig struct {
	// Paths are the files.
	Paths []string
	// For is the dialect, keyring.Docker by default.
	For keyring.Dialect
	// Broaden lets a lone path credential stand for its host.
	Broaden bool
	// Adopt takes over entries under regcred's keys that others wrote.
	Adopt bool
}

// Default returns the Config of a server without a file.
func Default() Config {
	return Config{
		Listen:    DefaultListen,
		AuditKeep: DefaultAuditKeep,
		Registry:  Registry{LoginLifetime: DefaultLoginLifetime},
	}
}
