// Package kubelet checks what regcred writes for Kubernetes nodes against the kubelet's
// own code. It is a module of its own so that regcred does not depend on Kubernetes
// itself, whose version is that of tools/kube.
package kubelet
