//go:build integration

package kubernetes_test

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"regcred.dev"
	"regcred.dev/deliver"
	"regcred.dev/deliver/kubernetes"
	"regcred.dev/regcredtest"
	"regcred.dev/regcredtest/kubetest"
)

func TestMain(m *testing.M) { os.Exit(kubetest.Main(m)) }

func TestTarget(t *testing.T) {
	for _, dockercfg := range []bool{false, true} {
		name := "dockerconfigjson"
		if dockercfg {
			name = "dockercfg"
		}
		t.Run(name, func(t *testing.T) {
			c := kubetest.Shared(t)
			regcredtest.TestTarget(t, func(t *testing.T) regcredtest.TargetSystem {
				ns := c.Namespace(t, "suite", nil)
				return regcredtest.TargetSystem{
					New: func(t *testing.T) deliver.Target {
						return newTarget(t, kubernetes.Options{
							Config: c.Config(), DockerCfg: dockercfg, QPS: 1000, Burst: 1000,
							Namespaces: kubernetes.Namespaces{Include: []string{ns}},
							Scopes:     kubernetes.Scopes{Namespaces: map[string]regcred.Scope{ns: regcredtest.TargetScope}},
						})
					},
					Scope:  "by namespace",
					Logins: func(t *testing.T) map[string]string { return readLogins(t, c, ns) },
					Put:    func(t *testing.T, host, login string) { putLogin(t, c, ns, dockercfg, host, login) },
				}
			})
		})
	}
}

func newTarget(t *testing.T, o kubernetes.Options) *kubernetes.Target {
	t.Helper()
	target, err := kubernetes.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return target
}

// secretOf returns the pull secret of a namespace, nil where there is none.
func secretOf(t *testing.T, c *kubetest.Cluster, ns string) *corev1.Secret {
	t.Helper()
	s, err := c.Client(t).CoreV1().Secrets(ns).Get(t.Context(), kubernetes.DefaultSecretName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// auths returns the entries of a pull secret, none where it cannot be understood.
func auths(s *corev1.Secret) map[string]map[string]string {
	var file struct {
		Auths map[string]map[string]string `json:"auths"`
	}
	data := s.Data[corev1.DockerConfigJsonKey]
	var into any = &file
	if s.Type == corev1.SecretTypeDockercfg {
		data, into = s.Data[corev1.DockerConfigKey], &file.Auths
	}
	if json.Unmarshal(data, into) != nil || file.Auths == nil {
		return map[string]map[string]string{}
	}
	return file.Auths
}

// readLogins returns the logins of a namespace's pull secret, "username:password" by
// key, without those for subdomains.
func readLogins(t *testing.T, c *kubetest.Cluster, ns string) map[string]string {
	t.Helper()
	logins := map[string]string{}
	s := secretOf(t, c, ns)
	if s == nil {
		return logins
	}
	for key, entry := range auths(s) {
		login, err := base64.StdEncoding.DecodeString(entry["auth"])
		if err != nil {
			t.Fatalf("the entry %q has %q, which is not base64", key, entry["auth"])
		}
		if len(login) > 0 && !strings.HasPrefix(key, "*.") {
			logins[key] = string(login)
		}
	}
	return logins
}

// putLogin has somebody edit the target's Secret, which a first sync made empty
// where it is not there yet.
func putLogin(t *testing.T, c *kubetest.Cluster, ns string, dockercfg bool, key, login string) {
	t.Helper()
	core := c.Client(t).CoreV1().Secrets(ns)
	s := secretOf(t, c, ns)
	if s == nil {
		s = &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: kubernetes.DefaultSecretName, Labels: map[string]string{
				"app.kubernetes.io/managed-by": "regcred", "regcred.dev/target": kubernetes.DefaultName,
			}},
			Type: corev1.SecretTypeDockerConfigJson, Data: map[string][]byte{corev1.DockerConfigJsonKey: []byte(`{"auths":{}}`)},
		}
		if dockercfg {
			s.Type, s.Data = corev1.SecretTypeDockercfg, map[string][]byte{corev1.DockerConfigKey: []byte(`{}`)}
		}
		if _, err := core.Create(t.Context(), s, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		putLogin(t, c, ns, dockercfg, key, login)
		return
	}
	entries := auths(s)
	if login == "" {
		delete(entries, key)
	} else {
		entries[key] = map[string]string{"auth": basic(login)}
	}
	setAuths(t, s, entries)
	if _, err := core.Update(t.Context(), s, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func basic(login string) string { return base64.StdEncoding.EncodeToString([]byte(login)) }

// setAuths puts entries into a pull secret.
func setAuths(t *testing.T, s *corev1.Secret, entries map[string]map[string]string) {
	t.Helper()
	key, file := corev1.DockerConfigJsonKey, any(map[string]any{"auths": entries})
	if s.Type == corev1.SecretTypeDockercfg {
		key, file = corev1.DockerConfigKey, entries
	}
	text, err := json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	s.Data = map[string][]byte{key: text}
}
