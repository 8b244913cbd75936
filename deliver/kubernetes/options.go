package kubernetes

import (
	"log/slog"
	"path"
	"slices"
	"strings"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/rest"

	"regcred.dev"
	"regcred.dev/keyring"
)

// Defaults of Options.
const (
	DefaultName        = "kubernetes"
	DefaultSecretName  = "regcred"
	DefaultQPS         = 50
	DefaultBurst       = 100
	DefaultConcurrency = 16
)

// AllServiceAccounts stands for every ServiceAccount of a namespace.
const AllServiceAccounts = "*"

// Options configure a Target. Only Config is required.
type Options struct {
	// Name is the target's name, and the value of the label regcred.dev/target on
	// what is its own. Default DefaultName.
	Name string
	// Config is how the API server is reached (Connect). Its limits are not used:
	// QPS and Burst are.
	Config *rest.Config
	// SecretName is that of the pull secret in each namespace. Default
	// DefaultSecretName.
	SecretName string
	// Dialect is how it is read: keyring.Kubelet, the default, or keyring.Deis, in
	// which it has exactly one entry, and is not made before there is one.
	Dialect keyring.Dialect
	// DockerCfg makes Secrets of the older type kubernetes.io/dockercfg.
	DockerCfg bool
	// Namespaces says which namespaces are served.
	Namespaces Namespaces
	// Scopes says whose keyring each of them gets.
	Scopes Scopes
	// Annotate returns further annotations for the Secret of a namespace that is to
	// have these entries, as they are when it is written. Nil: there are none.
	Annotate func(namespace string, entries []keyring.Auth) map[string]string
	// ServiceAccounts are those, by name, whose imagePullSecrets are to have the
	// Secret; or just AllServiceAccounts.
	ServiceAccounts []string
	// Adopt says which Secrets of that name are taken over although they are
	// somebody else's.
	Adopt Adoption
	// Namespaced does without cluster-wide rights: Namespaces.Include lists names,
	// each of which is watched apart, and labels of namespaces are not known.
	Namespaced bool
	// QPS and Burst limit the requests to the API server, a second and at once.
	// Defaults DefaultQPS and DefaultBurst.
	QPS   float32
	Burst int
	// Concurrency is how many namespaces are written to at the same time. Default
	// DefaultConcurrency.
	Concurrency int
	// LeaderElection has only one of several replicas write. Nil: there is just one.
	LeaderElection *LeaderElection
	// Log gets what happens to a namespace, at debug level. Nil discards it.
	Log *slog.Logger

	selected    selection    // Namespaces, parsed
	accountList string       // ServiceAccounts, as they are recorded
	selects     *atomic.Bool // a namespace was ever found that is selected
}

// LeaderElection names the Lease that replicas hold in turn.
type LeaderElection struct {
	Namespace, Name string
	// Identity tells the replicas apart. Default: the host's name, which is the
	// pod's, and a random part.
	Identity string
}

// Adoption says which Secrets under the target's name are taken over that do not
// have its label. Their other entries stay, in the dialect Deis too only until the
// first write.
type Adoption string

// The kinds of adoption.
const (
	// AdoptNone takes over nothing.
	AdoptNone Adoption = ""
	// AdoptAny takes over every Secret of the name that is a pull secret.
	AdoptAny Adoption = "any"
	// AdoptDeis takes over what Deis's registry-token-refresher wrote: of type
	// kubernetes.io/dockerconfigjson, with one entry, whose email is none@none.com.
	AdoptDeis Adoption = "deis"
)

// setDefaults fills in what is not set.
func (o *Options) setDefaults() {
	if o.Name == "" {
		o.Name = DefaultName
	}
	if o.SecretName == "" {
		o.SecretName = DefaultSecretName
	}
	if o.Dialect == "" {
		o.Dialect = keyring.Kubelet
	}
	if o.QPS == 0 {
		o.QPS = DefaultQPS
	}
	if o.Burst == 0 {
		o.Burst = DefaultBurst
	}
	if o.Concurrency <= 0 {
		o.Concurrency = DefaultConcurrency
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.accountList = strings.Join(slices.Sorted(slices.Values(o.ServiceAccounts)), ",")
	o.selects = new(atomic.Bool)
}

// check parses what is to be parsed, and reports what makes no sense. All errors are
// Invalid.
func (o *Options) check() error {
	if problems := validation.IsValidLabelValue(o.Name); len(problems) > 0 {
		return regcred.Errorf(regcred.Invalid, "target %q: its name stands in a label: %s", o.Name, problems[0])
	}
	if problems := validation.IsDNS1123Subdomain(o.SecretName); len(problems) > 0 {
		return o.invalid("secret_name %q: %s", o.SecretName, problems[0])
	}
	if o.Dialect != keyring.Kubelet && o.Dialect != keyring.Deis {
		return o.invalid("pull secrets are written in the dialect %s or %s, not %s", keyring.Kubelet, keyring.Deis, o.Dialect)
	}
	if len(o.ServiceAccounts) > 1 {
		for _, name := range o.ServiceAccounts {
			if name == AllServiceAccounts {
				return o.invalid("service_accounts: %q stands for all, with no name beside it", name)
			}
		}
	}
	selector, err := labels.Parse(o.Namespaces.Selector)
	if err != nil {
		return o.invalid("namespaces.selector: %w", err)
	}
	o.selected = selection{o.Namespaces, selector}
	for _, glob := range append(append([]string{}, o.Namespaces.Include...), o.Namespaces.Exclude...) {
		if _, err := path.Match(glob, ""); err != nil {
			return o.invalid("namespaces: %q is no glob: %w", glob, err)
		}
	}
	if err := o.Scopes.check(); err != nil {
		return o.invalid("scope: %w", err)
	}
	if o.Namespaced {
		return o.checkNamespaced()
	}
	return nil
}

func (o *Options) checkNamespaced() error {
	n, s := o.Namespaces, o.Scopes
	if len(n.Also) > 0 || len(n.Exclude) > 0 {
		return o.invalid("namespaced: namespaces.include lists all that are served, with nothing beside it")
	}
	if len(n.Include) == 0 {
		return o.invalid("namespaced: list the namespaces under namespaces.include")
	}
	for _, name := range n.Include {
		if problems := validation.IsDNS1123Label(name); len(problems) > 0 {
			return o.invalid("namespaced: namespaces.include lists names, without globs, and %q is none: %s", name, problems[0])
		}
	}
	if n.Selector != "" || s.OrganizationLabel != "" || s.SpaceLabel != "" || s.Preset != "" {
		return o.invalid("namespaced: labels of namespaces cannot be read without a cluster-wide right: " +
			"leave out namespaces.selector, scope.organization_label, scope.space_label and scope.preset")
	}
	return nil
}

func (o *Options) invalid(format string, args ...any) error {
	args = append([]any{o.Name}, args...)
	return regcred.Errorf(regcred.Invalid, "target %s: "+format, args...)
}
