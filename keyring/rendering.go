package keyring

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"regcred.dev"
	"regcred.dev/imageref"
)

// Dialect is a way to read the auths of a docker config file. Clients differ in
// which images they apply a key to, so a file is written for one kind of client.
//
// In every dialect no client gets to try a login that Book.Lookup would not give
// for the image, with the one exception that Kubelet names. Clients cannot tell
// acme/app from docker.io/acme/app, which Lookup may answer differently: what
// would be wrong for either is left out. A key is written for every host that a
// credential's location or login names; clients do not look at parent domains.
type Dialect string

// The dialects.
const (
	// Docker is read by docker's own library and those built on it, such as
	// go-containerregistry: any key counts for its whole host. So there are keys
	// for hosts alone, and only where the whole host resolves to one credential.
	Docker Dialect = "docker"
	// Containers is read by podman, skopeo and others built on
	// go.podman.io/image: keys have paths, the longest one that is the image's
	// repository or an ancestor of it counts. It says all that Lookup does.
	Containers Dialect = "containers"
	// Kubelet is read by Kubernetes nodes: every key that is a string prefix of
	// the image counts, longer ones are tried first. Paths end in "/", so the
	// repository at the very path is not matched. The exception: an image at or
	// below a path that has a key may also be tried with the key of its host, or
	// of a shorter path.
	Kubelet Dialect = "kubelet"
	// Deis is what Deis Workflow reads: one entry, for https://HOST.
	Deis Dialect = "deis"
)

// Dialects are all dialects.
var Dialects = []Dialect{Docker, Containers, Kubelet, Deis}

// ParseDialect returns the dialect of that name. Errors: Invalid.
func ParseDialect(s string) (Dialect, error) {
	var names []string
	for _, d := range Dialects {
		if s == string(d) {
			return d, nil
		}
		names = append(names, string(d))
	}
	return "", regcred.Errorf(regcred.Invalid, "%q is no dialect of docker config files: use %s", s, strings.Join(names, ", "))
}

// RenderOptions change what Render writes. The zero value is strict.
type RenderOptions struct {
	// Broaden lets a credential with a path stand for its whole host in Docker
	// and Deis, where the keyring has no other one for that host.
	Broaden bool
}

// Rendering is a keyring in a dialect.
type Rendering struct {
	// Auths are the entries of the file, sorted by key.
	Auths []Auth
	// Omitted says what is left out: credentials without an entry, and what of a
	// credential its entries do not say. Nearest scope first.
	Omitted []Omission
}

// Auth is one entry of a docker config file.
type Auth struct {
	Key string
	// GUID is the credential's.
	GUID     string
	Username string
	Password regcred.Secret
	Email    string
	// ExpiresAt is when the login expires, or did; zero means never.
	ExpiresAt time.Time
}

// Blocks reports whether the entry holds no login. It is then written as {}:
// clients go anonymous there instead of using the key of a wider location. GUID
// is that of the credential which has no login to give, if it is just one.
func (a Auth) Blocks() bool { return a.Username == "" }

// Omission says what of a credential is left out, and why.
type Omission struct {
	GUID     string
	Location imageref.Location
	Scope    regcred.Scope
	// Reason is a sentence without a full stop.
	Reason string
}

// DockerConfig returns the docker config file: {"auths": {KEY: {"auth":
// base64(USERNAME:PASSWORD), "email": EMAIL}}}, keys sorted. It has secrets in
// clear. The same rendering always gives the same bytes.
//
// Errors: Invalid where a user name holds a colon. Render returns no such entry.
func (r Rendering) DockerConfig() ([]byte, error) {
	type auth struct {
		Auth  string `json:"auth,omitempty"`
		Email string `json:"email,omitempty"`
	}
	file := struct {
		Auths map[string]auth `json:"auths"`
	}{make(map[string]auth, len(r.Auths))}
	for _, a := range r.Auths {
		entry := auth{Email: a.Email}
		if strings.Contains(a.Username, ":") {
			return nil, regcred.Errorf(regcred.Invalid, "the user name for %s holds a colon, which Basic authentication cannot carry", a.Key)
		}
		if !a.Blocks() {
			entry.Auth = base64.StdEncoding.EncodeToString([]byte(a.Username + ":" + a.Password.Reveal()))
		}
		file.Auths[a.Key] = entry
	}
	data, err := json.MarshalIndent(file, "", "\t")
	if err != nil {
		return nil, err
	}
	return append(data, '\n'), nil
}
