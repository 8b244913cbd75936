package config

import (
	"slices"

	"regcred.dev/keyring"
)

// DefaultKubernetesSecret is the name of the pull secret in each namespace, and
// DefaultKubernetesTarget that of a target which has no other.
const (
	DefaultKubernetesSecret = "regcred"
	DefaultKubernetesTarget = "kubernetes"
)

// Kubernetes is a target of pull secrets in the namespaces of a cluster. Zero values
// are the defaults of package deliver/kubernetes.
type Kubernetes struct {
	// API is how the API server is reached.
	API KubernetesAPI
	// SecretName is that of the pull secret in each namespace.
	SecretName string
	// Dialect is keyring.Kubelet or keyring.Deis.
	Dialect keyring.Dialect
	// DockerCfg makes Secrets of the type kubernetes.io/dockercfg.
	DockerCfg bool
	// Namespaces says which namespaces are served.
	Namespaces KubernetesNamespaces
	// Scope says whose keyring each of them gets.
	Scope KubernetesScope
	// ServiceAccounts are to name the Secret; "*" alone means all.
	ServiceAccounts []string
	// Adopt has Secrets of SecretName taken over that are not regcred's.
	Adopt bool
	// Namespaced does without cluster-wide rights.
	Namespaced bool
	// QPS and Burst limit the requests, a second and at once; Concurrency is how many
	// namespaces are written to at the same time.
	QPS                float32
	Burst, Concurrency int
	// LeaderElection names the Lease that replicas hold in turn; nil: there is one.
	LeaderElection *LeaderElection
}

// KubernetesNamespaces selects namespaces: by a label selector and by name globs.
type KubernetesNamespaces struct {
	Selector         string
	Include, Exclude []string
}

// LeaderElection names a Lease.
type LeaderElection struct {
	Namespace, Name string
}

type fileKubernetes struct {
	Kubeconfig      text                     `yaml:"kubeconfig"`
	Context         text                     `yaml:"context"`
	SecretName      text                     `yaml:"secret_name"`
	Dialect         text                     `yaml:"dialect"`
	DockerCfg       bool                     `yaml:"dockercfg"`
	Namespaces      fileKubernetesNamespaces `yaml:"namespaces"`
	Scope           fileKubernetesScope      `yaml:"scope"`
	ServiceAccounts []string                 `yaml:"service_accounts"`
	Adopt           []text                   `yaml:"adopt"`
	Namespaced      bool                     `yaml:"namespaced"`
	QPS             float32                  `yaml:"qps"`
	Burst           int                      `yaml:"burst"`
	Concurrency     int                      `yaml:"concurrency"`
	LeaderElection  *fileLeaderElection      `yaml:"leader_election"`
}

type fileKubernetesNamespaces struct {
	Selector text     `yaml:"selector"`
	Include  []string `yaml:"include"`
	Exclude  []string `yaml:"exclude"`
}

type fileLeaderElection struct {
	Namespace text `yaml:"namespace"`
	Name      text `yaml:"name"`
}

// kubernetes reads the target; line is where it stands, more or less.
func (f *fileKubernetes) kubernetes(p *parser, line int) *Kubernetes {
	k := &Kubernetes{
		API:        KubernetesAPI{Kubeconfig: f.Kubeconfig.value, Context: f.Context.value},
		SecretName: f.SecretName.value, Dialect: keyring.Kubelet, DockerCfg: f.DockerCfg,
		Namespaces:      KubernetesNamespaces{f.Namespaces.Selector.value, f.Namespaces.Include, f.Namespaces.Exclude},
		Scope:           f.Scope.scope(p, line),
		ServiceAccounts: f.ServiceAccounts, Namespaced: f.Namespaced,
		QPS: f.QPS, Burst: f.Burst, Concurrency: f.Concurrency,
	}
	if k.SecretName == "" {
		k.SecretName = DefaultKubernetesSecret
	}
	if f.Dialect.value != "" {
		k.Dialect = keyring.Dialect(f.Dialect.value)
	}
	if !slices.Contains([]keyring.Dialect{keyring.Kubelet, keyring.Deis}, k.Dialect) {
		p.problem(f.Dialect.line, "dialect: pull secrets are written in the dialect kubelet or deis")
	}
	for _, name := range f.Adopt {
		k.Adopt = true
		if name.value != k.SecretName {
			p.problem(name.line, "adopt: this target's Secrets are called %q, so none called %q is taken over: set secret_name: %[2]s", k.SecretName, name.value)
		}
	}
	if k.QPS < 0 || k.Burst < 0 || k.Concurrency < 0 {
		p.problem(line, "qps, burst and concurrency are numbers above 0")
	}
	if f.LeaderElection != nil {
		k.LeaderElection = &LeaderElection{f.LeaderElection.Namespace.value, f.LeaderElection.Name.value}
		if k.LeaderElection.Namespace == "" || k.LeaderElection.Name == "" {
			p.problem(line, "leader_election: name the Lease: namespace and name")
		}
	}
	return k
}
