package chart_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"
)

func rule(group, resource string, names []string, verbs ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, ResourceNames: names, Verbs: verbs}
}

// targetRules are the rights of a Kubernetes target in the namespaces that it serves.
func targetRules(secret string) []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		rule("", "secrets", []string{secret}, "get", "list", "watch", "update", "delete"),
		rule("", "secrets", nil, "create"),
	}
}

var (
	namespaceRule = rule("", "namespaces", nil, "list", "watch")
	eventRule     = rule("", "events", nil, "create")
)

func TestRights(t *testing.T) {
	cluster := func(secret string, more ...rbacv1.PolicyRule) []rbacv1.PolicyRule {
		return slices.Concat([]rbacv1.PolicyRule{namespaceRule}, targetRules(secret), more, []rbacv1.PolicyRule{eventRule})
	}
	for name, c := range map[string]struct {
		values string
		want   []rbacv1.PolicyRule
	}{
		"defaults": {"", cluster("regcred")},
		"ecr":      {example(t, "ecr"), cluster("private-registry-ecr")},
		"prefix":   {"global: {registry_location: gcr, secret_prefix: corp}", cluster("corp-gcr")},
		"another name": {
			"config: {targets: [{kubernetes: {secret_name: registry-pull}}]}",
			cluster("registry-pull"),
		},
		"a name of digits": {`config: {targets: [{kubernetes: {secret_name: "2026"}}]}`, cluster("2026")},
		"ServiceAccounts by name": {
			"config: {targets: [{kubernetes: {service_accounts: [default, builder]}}]}",
			cluster("regcred", rule("", "serviceaccounts", []string{"default", "builder"}, "get", "list", "watch", "patch")),
		},
		"all ServiceAccounts": {
			`config: {targets: [{kubernetes: {service_accounts: ["*"]}}]}`,
			cluster("regcred", rule("", "serviceaccounts", nil, "get", "list", "watch", "patch")),
		},
		"tokens": {
			"config: {targets: [], kubernetes_tokens: [{issuer: https://k.example.com, review: {}}]}",
			[]rbacv1.PolicyRule{rule("authentication.k8s.io", "tokenreviews", nil, "create")},
		},
		"tokens and labels": {
			"config: {targets: [], kubernetes_tokens: [{issuer: https://k.example.com, review: {}, scope: {preset: korifi}}]}",
			[]rbacv1.PolicyRule{rule("authentication.k8s.io", "tokenreviews", nil, "create"), rule("", "namespaces", nil, "get")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, as[rbacv1.ClusterRole](t, render(t, c.values), "ClusterRole").Rules); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestLeaseRights: replicas take turns by a Lease, for which there is a Role where it is.
func TestLeaseRights(t *testing.T) {
	var leader rbacv1.Role
	readGolden(t, "leaderrole.yaml", &leader)
	r := render(t, "config: {targets: [{kubernetes: {leader_election: {namespace: infra, name: regcred}}}]}")
	got := as[rbacv1.Role](t, r, "Role")
	if diff := cmp.Diff(leader.Rules, got.Rules); diff != "" || got.Namespace != "infra" || got.Name != "regcred-leader" {
		t.Errorf("%s/%s: %s", got.Namespace, got.Name, diff)
	}
	binding := as[rbacv1.RoleBinding](t, r, "RoleBinding")
	if binding.Namespace != "infra" || binding.RoleRef.Name != "regcred-leader" || binding.Subjects[0].Name != "regcred" || binding.Subjects[0].Namespace != namespace {
		t.Errorf("the binding is %+v", binding)
	}
}

// The rights are those that the target's own tests show to be enough, and all used.
func TestLeastRights(t *testing.T) {
	var cluster rbacv1.ClusterRole
	var role rbacv1.Role
	readGolden(t, "clusterrole.yaml", &cluster)
	readGolden(t, "role.yaml", &role)
	const target = "service_accounts: [default]"
	got := as[rbacv1.ClusterRole](t, render(t, "config: {targets: [{kubernetes: {"+target+"}}]}"), "ClusterRole")
	if diff := cmp.Diff(cluster.Rules, got.Rules); diff != "" {
		t.Error(diff)
	}
	one := as[rbacv1.Role](t, render(t, "config: {targets: [{kubernetes: {namespaced: true, namespaces: {include: [shop]}, "+target+"}}]}"), "Role")
	if diff := cmp.Diff(role.Rules, one.Rules); diff != "" {
		t.Error(diff)
	}
}

// readGolden reads an object that docs/kubernetes.md shows.
func readGolden(t *testing.T, name string, into any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../deliver/kubernetes/testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(text, into); err != nil {
		t.Fatal(err)
	}
}

// Without cluster-wide rights there is a Role in each namespace, and nothing else.
func TestNamespacedRights(t *testing.T) {
	r := render(t, "config: {targets: [{kubernetes: {namespaced: true, namespaces: {include: [shop, tools]}}}]}")
	want := []string{
		"Role/shop/regcred", "Role/tools/regcred", "RoleBinding/shop/regcred", "RoleBinding/tools/regcred",
	}
	got := slices.DeleteFunc(r.names(), func(name string) bool {
		return !slices.Contains(want, name) && name[:4] != "Role" && name[:7] != "Cluster"
	})
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	rules := slices.Concat(targetRules("regcred"), []rbacv1.PolicyRule{eventRule})
	for _, o := range r.objects {
		if o.GetKind() != "Role" {
			continue
		}
		var role rbacv1.Role
		convert(t, o, &role)
		if diff := cmp.Diff(rules, role.Rules); diff != "" {
			t.Errorf("in %s: %s", o.GetNamespace(), diff)
		}
	}
}

// Each target has rights of its own.
func TestTwoTargets(t *testing.T) {
	r := render(t, "config: {targets: [{name: a, kubernetes: {secret_name: a}}, {name: b, kubernetes: {secret_name: b}}]}")
	for _, name := range []string{
		"ClusterRole/deis-regcred", "ClusterRole/deis-regcred-1", "ClusterRoleBinding/deis-regcred", "ClusterRoleBinding/deis-regcred-1",
	} {
		if !slices.Contains(r.names(), name) {
			t.Errorf("there is no %s among %v", name, r.names())
		}
	}
}
