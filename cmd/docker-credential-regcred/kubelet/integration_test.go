//go:build integration

package kubelet_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"regcred.dev"
	"regcred.dev/client"
	"regcred.dev/config"
	"regcred.dev/regcredtest/kubetest"
)

// The issuer and the audience of the tokens here; kubetest sets the former.
const (
	issuer   = "https://kubernetes.default.svc"
	audience = "regcred"
	orgLabel = "example.com/org"
)

// kube is a real API server with two tenants' pods, whose tokens it issues.
type kube struct {
	*testing.T
	cluster *kubetest.Cluster
	client  *kubernetes.Clientset
}

func startKube(t *testing.T) kube {
	t.Helper()
	cluster := kubetest.Start(t, kubetest.Options{})
	return kube{t, cluster, cluster.Client(t)}
}

func (k kube) must(err error) {
	k.Helper()
	if err != nil {
		k.Fatal(err)
	}
}

// pod creates a namespace of an organization with a pod in it.
func (k kube) pod(organization string) *corev1.Pod {
	k.Helper()
	ns := k.cluster.Namespace(k.T, organization, map[string]string{orgLabel: organization})
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{
		Name: "default", Annotations: map[string]string{"regcred.dev/organization": "bank", orgLabel: "bank"},
	}}
	_, err := k.client.CoreV1().ServiceAccounts(ns).Create(k.Context(), account, metav1.CreateOptions{})
	k.must(err)
	no := false
	pod, err := k.client.CoreV1().Pods(ns).Create(k.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "web-1"},
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken: &no,
			Containers:                   []corev1.Container{{Name: "web", Image: "registry.example.com/app"}},
		},
	}, metav1.CreateOptions{})
	k.must(err)
	return pod
}

// token asks for a token as the kubelet does (KEP-4412); a pod of nil asks as anybody
// with the right to may.
func (k kube) token(namespace string, pod *corev1.Pod, audiences ...string) string {
	k.Helper()
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: audiences}}
	if pod != nil {
		request.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID}
	}
	answer, err := k.client.CoreV1().ServiceAccounts(namespace).CreateToken(k.Context(), "default", request, metav1.CreateOptions{})
	k.must(err)
	return answer.Status.Token
}

// byKeys trusts the cluster by the keys that it publishes to those who are logged in.
func (k kube) byKeys() config.KubernetesTokens {
	connection := k.cluster.Config()
	file := filepath.Join(k.TempDir(), "token")
	write(k.T, file, connection.BearerToken)
	return config.KubernetesTokens{
		Name: "by its keys", Issuer: issuer, Audience: audience,
		JWKSURL: connection.Host + "/openid/v1/jwks", CA: connection.CAFile, TokenFile: file,
	}
}

// byReview trusts the cluster by asking it, as a user with the least rights for that.
func (k kube) byReview() config.KubernetesTokens {
	k.Helper()
	const user = "regcred"
	roles := k.client.RbacV1()
	_, err := roles.ClusterRoles().Create(k.Context(), &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "regcred-reviews"},
		Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{"authentication.k8s.io"}, Resources: []string{"tokenreviews"}, Verbs: []string{"create"}},
			{APIGroups: []string{""}, Resources: []string{"namespaces"}, Verbs: []string{"get"}},
		},
	}, metav1.CreateOptions{})
	k.must(err)
	_, err = roles.ClusterRoleBindings().Create(k.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "regcred-reviews"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "regcred-reviews"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: user}},
	}, metav1.CreateOptions{})
	k.must(err)
	return config.KubernetesTokens{
		Name: "by review", Issuer: issuer, Audience: audience,
		Review: &config.KubernetesAPI{Kubeconfig: kubetest.WriteKubeconfig(k.T, k.cluster.As(user))},
	}
}

// pull calls the plugin as the kubelet does, and returns the password that it answers,
// or what it says on standard error.
func pull(t *testing.T, n node, image, token string) (password, problem string) {
	t.Helper()
	stdout, stderr, code := run(t, ask(image, token), nil, "--server", n.tls, "--ca", n.ca)
	if code != 0 {
		return "", stderr
	}
	var answer struct {
		Auth map[string]struct{ Password string }
	}
	if err := json.Unmarshal([]byte(stdout), &answer); err != nil {
		t.Fatal(err)
	}
	for _, a := range answer.Auth {
		password = a.Password
	}
	return password, ""
}

// TestRealTokens has a real API server issue tokens, which are verified in both ways.
func TestRealTokens(t *testing.T) {
	k := startKube(t)
	acme, bank := k.pod("acme"), k.pod("bank")
	keys, reviewed := k.byKeys(), k.byReview()
	keys.Scope.Namespaces = map[string]regcred.Scope{
		acme.Namespace: regcred.OrgScope("acme"), bank.Namespace: regcred.SpaceScope("bank", bank.Namespace),
	}
	reviewed.Scope.OrganizationLabel, reviewed.Scope.SpaceLabel = orgLabel, "example.com/space"
	for _, tokens := range []config.KubernetesTokens{keys, reviewed} {
		t.Run(tokens.Name, func(t *testing.T) {
			cfg := config.Default()
			cfg.KubernetesTokens = []config.KubernetesTokens{tokens}
			n := startServer(t, cfg)
			for _, org := range []string{"acme", "bank"} {
				n.create(t, "registry.example.com", regcred.OrgScope(org), "of "+org)
			}
			for org, pod := range map[string]*corev1.Pod{"acme": acme, "bank": bank} {
				if got, problem := pull(t, n, "registry.example.com/app", k.token(pod.Namespace, pod, audience)); got != "of "+org {
					t.Errorf("a pod of %s: %q, %s", org, got, problem)
				}
				if got, problem := pull(t, n, "public.example.com/app", k.token(pod.Namespace, pod, audience)); got != "" || problem != "" {
					t.Errorf("a public image, for a pod of %s: %q, %s", org, got, problem)
				}
			}
			for name, raw := range map[string]string{
				"the API server's audience": k.token(acme.Namespace, acme),
				"another audience":          k.token(acme.Namespace, acme, "vault"),
				"no pod":                    k.token(acme.Namespace, nil, audience),
			} {
				if got, problem := pull(t, n, "registry.example.com/app", raw); got != "" || !strings.Contains(problem, "refused") {
					t.Errorf("%s: %q, %s", name, got, problem)
				}
			}
			two := k.token(acme.Namespace, acme, "vault", audience)
			if got, problem := pull(t, n, "registry.example.com/app", two); got != "of acme" {
				t.Errorf("two audiences: %q, %s", got, problem)
			}
		})
	}
}

// TestRealFaults shows what each way does when a pod is gone, when rights are missing,
// and when the API server is down.
func TestRealFaults(t *testing.T) {
	k := startKube(t)
	byKeys, byReview := config.Default(), config.Default()
	keys, reviewed := k.byKeys(), k.byReview()
	keys.Scope.DefaultOrganization, reviewed.Scope.DefaultOrganization = "acme", "acme"
	byKeys.KubernetesTokens, byReview.KubernetesTokens = []config.KubernetesTokens{keys}, []config.KubernetesTokens{reviewed}
	withKeys, withReview := startServer(t, byKeys), startServer(t, byReview)
	powerless := reviewed
	powerless.Review = &config.KubernetesAPI{Kubeconfig: kubetest.WriteKubeconfig(t, k.cluster.As("nobody"))}
	byReview.KubernetesTokens = []config.KubernetesTokens{powerless}
	withoutRights := startServer(t, byReview)
	for _, n := range []node{withKeys, withReview, withoutRights} {
		n.create(t, "registry.example.com", regcred.OrgScope("acme"), "of acme")
	}
	pod := k.pod("shop")
	live, gone := k.token(pod.Namespace, pod, audience), k.pod("gone")
	orphan := k.token(gone.Namespace, gone, audience)
	now := int64(0)
	k.must(k.client.CoreV1().Pods(gone.Namespace).Delete(t.Context(), gone.Name, metav1.DeleteOptions{GracePeriodSeconds: &now}))
	if _, err := k.client.CoreV1().Pods(gone.Namespace).Get(t.Context(), gone.Name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Fatalf("the pod is still there: %v", err)
	}
	check := func(name string, n node, raw, want, problem string) {
		t.Helper()
		got, said := pull(t, n, "registry.example.com/app", raw)
		if got != want || !strings.Contains(said, problem) {
			t.Errorf("%s: %q, %q", name, got, said)
		}
	}
	check("a pod that lives, by keys", withKeys, live, "of acme", "")
	check("a pod that lives, by review", withReview, live, "of acme", "")
	check("a pod that is gone, by keys: until the token expires", withKeys, orphan, "of acme", "")
	check("a pod that is gone, by review", withReview, orphan, "", "refused")
	check("without the right to ask", withoutRights, live, "", "system:auth-delegator")
	k.cluster.Stop()
	check("the API server is down, by keys: they are known", withKeys, live, "of acme", "")
	check("the API server is down, by review", withReview, live, "", "cannot be asked")
	k.must(k.cluster.Restart())
	check("it is back", withReview, live, "of acme", "")
}

// TestRealKeysNeedALogin shows why token_file is there: the API server shows its keys to
// those alone who are logged in.
func TestRealKeysNeedALogin(t *testing.T) {
	k := startKube(t)
	tokens := k.byKeys()
	tokens.TokenFile = ""
	cfg := config.Default()
	cfg.KubernetesTokens = []config.KubernetesTokens{tokens}
	n := startServer(t, cfg)
	pod := k.pod("acme")
	if got, problem := pull(t, n, "registry.example.com/app", k.token(pod.Namespace, pod, audience)); got != "" || !strings.Contains(problem, "status 403") {
		t.Errorf("%q, %s", got, problem)
	}
}

// create stores a user name and password.
func (n node) create(t *testing.T, location string, scope regcred.Scope, password string) {
	t.Helper()
	_, err := client.NewLocal(n.socket).CreateCredential(t.Context(), client.CreateRequest{
		Location: location, Username: "user", Password: password, Relationships: client.RelationshipsOf(scope),
	})
	if err != nil {
		t.Fatal(err)
	}
}
