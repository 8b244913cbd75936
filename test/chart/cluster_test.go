//go:build integration

package chart_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/cli"
	"helm.sh/helm/v4/pkg/kube"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"regcred.dev/regcredtest/kubetest"
)

func TestMain(m *testing.M) { os.Exit(kubetest.Main(m)) }

// cluster is the API server with a namespace for one release.
type cluster struct {
	*kubetest.Cluster

	namespace string
	helm      *action.Configuration
}

// newCluster makes a namespace that admits only pods of the Pod Security Standard
// "restricted".
func newCluster(t *testing.T) cluster {
	t.Helper()
	t.Setenv("KUBECACHEDIR", t.TempDir())
	c := cluster{Cluster: kubetest.Shared(t)}
	c.namespace = c.Namespace(t, "chart", map[string]string{"pod-security.kubernetes.io/enforce": "restricted"})
	settings := cli.New()
	settings.KubeConfig = c.Kubeconfig(t)
	settings.SetNamespace(c.namespace)
	c.helm = action.NewConfiguration(action.ConfigurationSetLogger(slog.DiscardHandler))
	if err := c.helm.Init(settings.RESTClientGetter(), c.namespace, "secret"); err != nil {
		t.Fatal(err)
	}
	return c
}

// install is `helm install regcred charts/regcred`.
func (c cluster) install(t *testing.T, vals string, dry action.DryRunStrategy) {
	t.Helper()
	install := action.NewInstall(c.helm)
	install.ReleaseName, install.Namespace = releaseName, c.namespace
	install.DryRunStrategy = dry
	install.WaitStrategy = kube.HookOnlyStrategy // nobody runs pods here
	if _, err := install.Run(load(t), values(t, vals)); err != nil {
		t.Fatal(err)
	}
}

func (c cluster) upgrade(t *testing.T, vals string) {
	t.Helper()
	upgrade := action.NewUpgrade(c.helm)
	upgrade.Namespace, upgrade.ResetValues = c.namespace, true
	upgrade.WaitStrategy = kube.HookOnlyStrategy
	if _, err := upgrade.Run(releaseName, load(t), values(t, vals)); err != nil {
		t.Fatal(err)
	}
	c.letGo(t)
}

func (c cluster) uninstall(t *testing.T) {
	t.Helper()
	uninstall := action.NewUninstall(c.helm)
	uninstall.WaitStrategy = kube.HookOnlyStrategy
	if _, err := uninstall.Run(releaseName); err != nil {
		t.Fatal(err)
	}
	c.letGo(t)
}

// letGo ends the volume claims that are being deleted, as their controller would.
func (c cluster) letGo(t *testing.T) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context()) // clean-up does it too
	claims := c.Client(t).CoreV1().PersistentVolumeClaims(c.namespace)
	all, err := claims.List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, claim := range all.Items {
		if claim.DeletionTimestamp == nil {
			continue
		}
		claim.Finalizers = nil
		if _, err := claims.Update(ctx, &claim, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

// applied lists, as KIND/NAME, all objects of the cluster that Helm installed, with its
// own records.
func (c cluster) applied(t *testing.T) []string {
	t.Helper()
	config := c.Config()
	config.WarningHandler = rest.NoWarnings{}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	lists, err := discovery.NewDiscoveryClientForConfigOrDie(c.Config()).ServerPreferredResources()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	lists = discovery.FilteredBy(discovery.SupportsAllVerbs{Verbs: []string{"list", "delete"}}, lists)
	resources, err := discovery.GroupVersionResources(lists)
	if err != nil {
		t.Fatal(err)
	}
	for resource := range resources {
		for _, selector := range []string{"app.kubernetes.io/instance=" + releaseName, "owner=helm,name=" + releaseName} {
			all, err := client.Resource(resource).List(t.Context(), metav1.ListOptions{LabelSelector: selector})
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range all.Items {
				found[o.GetKind()+"/"+o.GetName()] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// expect compares what is applied with what is rendered.
func (c cluster) expect(t *testing.T, vals string, revision int) {
	t.Helper()
	var want []string
	for _, name := range render(t, vals).names() {
		parts := strings.Split(name, "/")
		want = append(want, parts[0]+"/"+strings.Replace(parts[len(parts)-1], namespace+"-", c.namespace+"-", 1))
	}
	for i := range revision {
		want = append(want, fmt.Sprintf("Secret/sh.helm.release.v1.%s.v%d", releaseName, i+1))
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, c.applied(t)); diff != "" {
		t.Errorf("after revision %d: %s", revision, diff)
	}
}

// onObjectStorage are values of a registry in the cluster that has what it can have.
const onObjectStorage = `
global: {registry_location: on-cluster, storage: s3}
s3: {accesskey: AK, secretkey: SK, region: us-west-2, registry_bucket: images}
registry: {pushFrom: [10.244.0.0/16]}
ingress: {enabled: true, host: regcred.example.com, tls: {secretName: regcred-tls}}
config: {targets: [{kubernetes: {leader_election: {namespace: default, name: regcred}}}]}
`

func TestInstall(t *testing.T) {
	c := newCluster(t)
	c.install(t, "", action.DryRunServer)
	if got := c.applied(t); len(got) > 0 {
		t.Fatalf("a dry run left %v", got)
	}
	c.install(t, "", action.DryRunNone)
	c.expect(t, "", 1)
	for i, name := range examples {
		c.upgrade(t, example(t, name))
		c.expect(t, example(t, name), i+2)
	}
	for i, vals := range []string{onObjectStorage, ""} {
		c.upgrade(t, vals)
		c.expect(t, vals, len(examples)+2+i)
	}
	c.uninstall(t)
	if got := c.applied(t); len(got) > 0 {
		t.Errorf("uninstall left %v", got)
	}
}

// The API server itself reads registry-secret as the old chart's.
func TestAppliedRegistrySecret(t *testing.T) {
	for _, name := range examples {
		c := newCluster(t)
		c.install(t, example(t, name), action.DryRunNone)
		got, err := c.Client(t).CoreV1().Secrets(c.namespace).Get(t.Context(), "registry-secret", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(registrySecret(t, name).Data, got.Data); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		c.uninstall(t)
	}
}

// Where Workflow has made registry-secret, the chart leaves it alone, to the end.
func TestExistingSecret(t *testing.T) {
	c := newCluster(t)
	secrets := c.Client(t).CoreV1().Secrets(c.namespace)
	theirs := registrySecret(t, "ecr")
	if _, err := secrets.Create(t.Context(), &theirs, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	c.install(t, "{global: {registry_location: ecr}, existingSecret: registry-secret}", action.DryRunNone)
	c.uninstall(t)
	got, err := secrets.Get(t.Context(), "registry-secret", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(theirs.Data, got.Data); diff != "" {
		t.Error(diff)
	}
}

// The pod is admitted where only the Pod Security Standard "restricted" is.
func TestRestrictedPod(t *testing.T) {
	for _, vals := range []string{"", example(t, "ecr"), example(t, "acr"), "openshift: {enabled: true, route: {enabled: false}}"} {
		c := newCluster(t)
		c.install(t, vals, action.DryRunNone)
		pods, dry := c.Client(t).CoreV1().Pods(c.namespace), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
		pod := podOf(c.deployment(t))
		if _, err := pods.Create(t.Context(), pod, dry); err != nil {
			t.Error(err)
		}
		pod.Spec.SecurityContext.RunAsNonRoot = new(bool)
		if _, err := pods.Create(t.Context(), pod, dry); !apierrors.IsForbidden(err) {
			t.Errorf("a pod that may run as root was answered with %v: the standard is not enforced", err)
		}
		c.uninstall(t)
	}
}

// podOf is the pod that the Deployment's controller would create.
func podOf(d *appsv1.Deployment) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: d.Name + "-", Labels: d.Spec.Template.Labels},
		Spec:       *d.Spec.Template.Spec.DeepCopy(),
	}
}

// account returns how the API server is reached with the rights of the pod.
func (c cluster) account() *rest.Config {
	return c.As("system:serviceaccount:"+c.namespace+":regcred", "system:serviceaccounts", "system:serviceaccounts:"+c.namespace, "system:authenticated")
}
