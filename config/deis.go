package config

import (
	"cmp"
	"errors"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"regcred.dev"
)

// DeisLocationVariable is the environment variable that a Registry Token Refresher
// cannot do without.
const DeisLocationVariable = "DEIS_REGISTRY_LOCATION"

// The rest of its environment, and what Deis Workflow had as the prefix.
const (
	deisSecretPrefix     = "DEIS_REGISTRY_SECRET_PREFIX"
	deisNamespaceRefresh = "DEIS_NAMESPACE_REFRESH_TIME"
	deisTokenRefresh     = "DEIS_TOKEN_REFRESH_TIME"

	defaultDeisSecretPrefix = "private-registry"
)

// What regcred deis takes besides.
const (
	podNamespace = "POD_NAMESPACE"
	deisListen   = "REGCRED_LISTEN"

	// DefaultDeisListen is every address: probes come from the node.
	DefaultDeisListen = ":8440"
	// serviceAccountNamespace is the file in which a pod finds its namespace.
	serviceAccountNamespace = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"
)

// DeisCredentials is where Deis Workflow's chart mounts the Secret registry-secret.
const DeisCredentials = "/var/run/secrets/deis/registry/creds"

// Values of DEIS_REGISTRY_LOCATION.
const (
	DeisECR        = "ecr"
	DeisGCR        = "gcr"
	DeisOffCluster = "off-cluster"
	DeisOnCluster  = "on-cluster"
)

var deisLocations = []string{DeisECR, DeisGCR, DeisOffCluster, DeisOnCluster}

// Deis is what the environment of a Registry Token Refresher's pod says.
type Deis struct {
	// Location is DeisECR, DeisGCR, DeisOffCluster or DeisOnCluster.
	Location string
	// SecretPrefix and Location make the name of the pull secrets.
	SecretPrefix string
	// TokenRefresh is the longest that a login is used before it is renewed; zero: as
	// long as its expiry allows.
	TokenRefresh time.Duration
	// Namespace is the release's own.
	Namespace string
	// Listen is the address of health and metrics, HOST:PORT.
	Listen string
	// Notes say what was set and has no effect.
	Notes []string
}

// LoadDeis is ParseDeis of an environment on this machine.
func LoadDeis(getenv func(string) string) (Deis, error) {
	return ParseDeis(Sources{
		Getenv:   func(name string) (string, bool) { value := getenv(name); return value, value != "" },
		ReadFile: readFile,
	})
}

// ParseDeis reads the environment, and from a file in which namespace the pod runs
// where that is not in it. All errors are Invalid and name the variable.
func ParseDeis(s Sources) (Deis, error) {
	get := func(name string) string {
		value, _ := s.Getenv(name)
		return strings.TrimSpace(value)
	}
	d := Deis{
		Location:     get(DeisLocationVariable),
		SecretPrefix: cmp.Or(get(deisSecretPrefix), defaultDeisSecretPrefix),
		Listen:       cmp.Or(get(deisListen), DefaultDeisListen),
	}
	if err := d.checkLocation(); err != nil {
		return Deis{}, err
	}
	if get(deisNamespaceRefresh) != "" {
		d.Notes = append(d.Notes, deisNamespaceRefresh+" has no effect: namespaces are watched, and get their secret at once")
	}
	var err error
	if d.TokenRefresh, err = deisMinutes(get(deisTokenRefresh)); err != nil {
		return Deis{}, err
	}
	if d.Idle() != "" {
		return d, nil
	}
	d.Namespace, err = deisNamespace(s, get(podNamespace))
	return d, err
}

func (d Deis) checkLocation() error {
	switch {
	case d.Location == "":
		return regcred.Errorf(regcred.Invalid, "%s is not set: it is one of %s", DeisLocationVariable, strings.Join(deisLocations, ", "))
	case !slices.Contains(deisLocations, d.Location):
		return regcred.Errorf(regcred.Invalid, "%s is %q: it must be one of %s", DeisLocationVariable, d.Location, strings.Join(deisLocations, ", "))
	case !objectName.MatchString(d.SecretName()) || len(d.SecretName()) > maxObjectName:
		return regcred.Errorf(regcred.Invalid, "%s is %q: with it the secrets would be called %q, which is no name that Kubernetes allows: use lower case letters, digits and -", deisSecretPrefix, d.SecretPrefix, d.SecretName())
	}
	return nil
}

// Names of objects in Kubernetes are names of the DNS (RFC 1123, section 2.1), and
// those of namespaces labels of it.
var (
	objectName    = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)
	namespaceName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
)

const maxObjectName = 253

// maxDeisMinutes is a year: more is a mistake.
const maxDeisMinutes = 366 * 24 * 60

func deisMinutes(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	minutes, err := strconv.Atoi(text)
	if err != nil || minutes < 1 || minutes > maxDeisMinutes {
		return 0, regcred.Errorf(regcred.Invalid, "%s is %q: write a number of minutes from 1 on, or leave it empty for renewal by each login's expiry", deisTokenRefresh, text)
	}
	return time.Duration(minutes) * time.Minute, nil
}

// deisNamespace returns the release's namespace: named, or the one that the pod's
// ServiceAccount is in.
func deisNamespace(s Sources, named string) (string, error) {
	where := podNamespace
	if named == "" {
		where = serviceAccountNamespace
		data, err := s.ReadFile(where)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", regcred.Errorf(regcred.Invalid, "the release's namespace: %w", err)
		}
		named = strings.TrimSpace(string(data))
	}
	switch {
	case named == "":
		return "", regcred.Errorf(regcred.Invalid, "in which namespace Deis Workflow runs is not known: outside a pod set %s", podNamespace)
	case !namespaceName.MatchString(named):
		return "", regcred.Errorf(regcred.Invalid, "%s: %q is no name of a namespace", where, named)
	}
	return named, nil
}

// Idle returns why nothing is to be refreshed, "" where something is.
func (d Deis) Idle() string {
	switch d.Location {
	case DeisOffCluster:
		return d.Location + ": the registry's user name and password are long-lived, and Deis's controller itself writes the secrets " + d.SecretName()
	case DeisOnCluster:
		return d.Location + ": apps are pulled from the registry in the cluster, which asks for no login"
	}
	return ""
}

// SecretName is that of the pull secret in each namespace.
func (d Deis) SecretName() string { return d.SecretPrefix + "-" + d.Location }
