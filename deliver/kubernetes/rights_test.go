//go:build integration

package kubernetes_test

import (
	"bytes"
	"fmt"
	"iter"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientset "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"regcred.dev"
	"regcred.dev/deliver/kubernetes"
	"regcred.dev/regcredtest/kubetest"
)

// readRole reads an object of testdata, which docs/kubernetes.md shows too.
func readRole(t *testing.T, name string, into any) {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	docs, err := os.ReadFile("../../docs/kubernetes.md")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(docs, text) {
		t.Errorf("docs/kubernetes.md does not have testdata/%s as it is", name)
	}
	if err := yaml.UnmarshalStrict(text, into); err != nil {
		t.Fatal(err)
	}
}

// TestClusterRole: with the documented rights everything works, each of them is
// used, and there is no right to anything else.
func TestClusterRole(t *testing.T) {
	c := kubetest.Shared(t)
	var role rbacv1.ClusterRole
	var leader rbacv1.Role
	readRole(t, "clusterrole.yaml", &role)
	readRole(t, "leaderrole.yaml", &leader)
	role.Name = "kubetest-cluster"
	lease := c.Namespace(t, "lease", nil)
	rbac := c.Client(t).RbacV1()
	if _, err := rbac.ClusterRoles().Create(t.Context(), &role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := rbac.ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role.Name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: "cluster-regcred"}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	bindRole(t, c, lease, &leader, "cluster-regcred")
	proxy := c.Proxy(t, kubetest.Faults{})
	o := quick(c, "t=rights")
	o.Config = proxy.Config()
	o.Config.Impersonate = rest.ImpersonationConfig{UserName: "cluster-regcred"}
	o.ServiceAccounts = []string{"default"}
	o.LeaderElection = &kubernetes.LeaderElection{Namespace: lease, Name: "regcred"}
	everything(t, c, o, func() string {
		return c.Namespace(t, "rights", map[string]string{"t": "rights"})
	})
	wantUsed(t, proxy, append(slices.Clone(role.Rules), leader.Rules...))
	wantDenied(t, c, "cluster-regcred", map[string]authorizationv1.ResourceAttributes{
		"another Secret":         {Verb: "get", Resource: "secrets", Name: "other", Namespace: "default"},
		"all Secrets":            {Verb: "list", Resource: "secrets"},
		"all Secrets at once":    {Verb: "deletecollection", Resource: "secrets", Namespace: "default"},
		"another Secret's end":   {Verb: "delete", Resource: "secrets", Name: "other", Namespace: "default"},
		"another ServiceAccount": {Verb: "patch", Resource: "serviceaccounts", Name: "other", Namespace: "default"},
		"tokens":                 {Verb: "create", Resource: "serviceaccounts", Subresource: "token", Name: "default", Namespace: "default"},
		"a namespace's labels":   {Verb: "patch", Resource: "namespaces", Name: "default"},
		"pods":                   {Verb: "list", Resource: "pods"},
		"roles":                  {Verb: "create", Group: rbacv1.GroupName, Resource: "clusterrolebindings"},
		"another Lease":          {Verb: "update", Group: "coordination.k8s.io", Resource: "leases", Name: "other", Namespace: lease},
	})
}

// TestNamespacedRole: without any cluster-wide right, the named namespaces are
// served.
func TestNamespacedRole(t *testing.T) {
	c := kubetest.Shared(t)
	var role rbacv1.Role
	readRole(t, "role.yaml", &role)
	names := []string{c.Namespace(t, "own", nil), c.Namespace(t, "own", nil)}
	for _, ns := range names {
		bindRole(t, c, ns, &role, "namespaced-regcred")
	}
	proxy := c.Proxy(t, kubetest.Faults{})
	o := quick(c, "")
	o.Config = proxy.Config()
	o.Config.Impersonate = rest.ImpersonationConfig{UserName: "namespaced-regcred"}
	o.ServiceAccounts = []string{"default"}
	o.Namespaced, o.Namespaces.Include = true, names
	next, stop := iter.Pull(slices.Values(names))
	defer stop()
	everything(t, c, o, func() string {
		ns, _ := next()
		return ns
	})
	wantUsed(t, proxy, role.Rules)
	wantDenied(t, c, "namespaced-regcred", map[string]authorizationv1.ResourceAttributes{
		"namespaces":                 {Verb: "list", Resource: "namespaces"},
		"the Secret of all":          {Verb: "list", Resource: "secrets", Name: "regcred"},
		"the Secret of another":      {Verb: "get", Resource: "secrets", Name: "regcred", Namespace: "default"},
		"Secrets in another":         {Verb: "create", Resource: "secrets", Namespace: "default"},
		"another Secret":             {Verb: "get", Resource: "secrets", Name: "other", Namespace: names[0]},
		"ServiceAccounts of another": {Verb: "patch", Resource: "serviceaccounts", Name: "default", Namespace: "default"},
	})
}

// everything has a target do all that it does, in two namespaces.
func everything(t *testing.T, c *kubetest.Cluster, o kubernetes.Options, namespace func() string) {
	t.Helper()
	ns, other := namespace(), namespace()
	serviceAccount(t, c, ns, "default")
	put(t, c, other, pullSecret(t, "theirs.example.com", "theirs"))
	target := newTarget(t, o)
	p := newPlant(t, target)
	guid := p.credential(regcred.Foundation, "registry.example.com", "1", time.Time{})
	awaitLogins(t, c, ns, map[string]string{"registry.example.com": "1"})
	awaitPullSecrets(t, c, ns, "default", "regcred")
	p.renew(guid, "2", time.Time{})
	awaitLogins(t, c, ns, map[string]string{"registry.example.com": "2"})
	putLogin(t, c, ns, false, "theirs.example.com", "robot:theirs") // it is read from now on
	p.renew(guid, "3", time.Time{})
	awaitLogins(t, c, ns, map[string]string{"registry.example.com": "3", "theirs.example.com": "theirs"})
	putLogin(t, c, ns, false, "theirs.example.com", "")
	await(t, "conflict", func() string {
		if all := strings.Join(p.status().Warnings, " "); !strings.Contains(all, other) {
			return "it warns: " + all + p.status().Error
		}
		return ""
	})
	await(t, "event", func() string {
		list, err := c.Client(t).CoreV1().Events(other).List(t.Context(), metav1.ListOptions{})
		if err != nil || len(list.Items) == 0 {
			return "there is none"
		}
		return ""
	})
	// It is deleted, made anew as ours, and taken from us twice.
	if err := c.Client(t).CoreV1().Secrets(other).Delete(t.Context(), "regcred", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitLogins(t, c, other, map[string]string{"registry.example.com": "3"})
	ours := secretOf(t, c, other).Labels
	for _, labels := range []map[string]string{nil, ours, nil} {
		s := secretOf(t, c, other)
		s.Labels = labels
		if _, err := c.Client(t).CoreV1().Secrets(other).Update(t.Context(), s, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		await(t, "conflict", func() string {
			all := strings.Join(p.status().Warnings, " ")
			if strings.Contains(all, other) != (labels == nil) {
				return "it warns: " + all + p.status().Error
			}
			return ""
		})
	}
	// A ServiceAccount that somebody else changed meanwhile is read again.
	for i := range 20 {
		patchAccount(t, c, ns, "default", `{"imagePullSecrets":null,"metadata":{"labels":{"n":"`+string(rune('a'+i))+`"}}}`)
		patchAccount(t, c, ns, "default", `{"metadata":{"labels":{"m":"`+string(rune('a'+i))+`"}}}`)
	}
	awaitPullSecrets(t, c, ns, "default", "regcred")
	p.stop()
	if err := target.Uninstall(t.Context(), p.store.ID()); err != nil {
		t.Fatal(err)
	}
	awaitGone(t, c, ns)
}

// bindRole creates a Role and gives it to a user.
func bindRole(t *testing.T, c *kubetest.Cluster, ns string, role *rbacv1.Role, user string) {
	t.Helper()
	rbac := c.Client(t).RbacV1()
	if _, err := rbac.Roles(ns).Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := rbac.RoleBindings(ns).Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role.Name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: user}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// wantUsed checks that each right is used. A list may come as a watch that begins with
// all there is.
func wantUsed(t *testing.T, proxy *kubetest.Proxy, rules []rbacv1.PolicyRule) {
	t.Helper()
	await(t, "rights", func() string {
		used := proxy.Calls()
		for _, r := range rules {
			for _, verb := range r.Verbs {
				for _, resource := range r.Resources {
					if used[verb+" "+resource] == 0 && verb != "list" {
						return fmt.Sprintf("to %s %s is not used; these are: %v", verb, resource, slices.Sorted(maps.Keys(used)))
					}
				}
			}
		}
		return ""
	})
}

// wantDenied checks that a user may not do what nobody has to.
func wantDenied(t *testing.T, c *kubetest.Cluster, user string, all map[string]authorizationv1.ResourceAttributes) {
	t.Helper()
	client, err := clientset.NewForConfig(c.As(user, "system:authenticated"))
	if err != nil {
		t.Fatal(err)
	}
	for what, attributes := range all {
		review := &authorizationv1.SelfSubjectAccessReview{
			Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &attributes},
		}
		answer, err := client.AuthorizationV1().SelfSubjectAccessReviews().Create(t.Context(), review, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if answer.Status.Allowed {
			t.Errorf("%s: it is allowed", what)
		}
	}
}

// TestDenied: a right that lacks is told in words, at once.
func TestDenied(t *testing.T) {
	c := kubetest.Shared(t)
	o := quick(c, "t=denied")
	o.Config = c.As("nobody")
	p := newPlant(t, newTarget(t, o))
	awaitError(t, p, "the namespaces cannot be listed", "docs/kubernetes.md lists the rights")
}
