package kubernetes

import (
	"errors"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"regcred.dev"
)

// Connect returns how an API server is reached: by a kubeconfig file and one of its
// contexts; where both are "", as a pod of the cluster, or else as kubectl does it,
// by $KUBECONFIG or ~/.kube/config. It sends nothing. Errors: Invalid.
func Connect(kubeconfig, context string) (*rest.Config, error) {
	if kubeconfig == "" && context == "" {
		config, err := rest.InClusterConfig()
		if !errors.Is(err, rest.ErrNotInCluster) {
			return config, unconfigured(err)
		}
	}
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = kubeconfig
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		rules, &clientcmd.ConfigOverrides{CurrentContext: context}).ClientConfig()
	return config, unconfigured(err)
}

func unconfigured(err error) error {
	if err == nil {
		return nil
	}
	return regcred.Errorf(regcred.Invalid, "the way to the Kubernetes API server is not known: %w: set kubeconfig, or KUBECONFIG, or run in a pod of the cluster", err)
}
