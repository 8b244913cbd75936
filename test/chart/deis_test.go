package chart_test

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	chartv2 "helm.sh/helm/v4/pkg/chart/v2"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// examples are those of Deis Workflow's page on configuring the registry, with a key
// in place of the placeholder that it has for Google's.
var examples = []string{"ecr", "gcr", "acr", "quay"}

func example(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "examples", name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// location is what an example's DEIS_REGISTRY_LOCATION is.
func location(example string) string {
	if example == "acr" || example == "quay" {
		return "off-cluster"
	}
	return example
}

func TestRegistrySecret(t *testing.T) {
	for _, name := range examples {
		t.Run(name, func(t *testing.T) {
			want := registrySecret(t, name)
			got := as[corev1.Secret](t, render(t, example(t, name)), "Secret")
			got.Labels = withoutHelm(got.Labels)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("registry-secret differs from that of the old chart (-want +got):\n%s", diff)
			}
		})
	}
}

// registrySecret is what the Registry Token Refresher's chart rendered.
func registrySecret(t *testing.T, name string) corev1.Secret {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "registry-secret", name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var secret corev1.Secret
	if err := yaml.UnmarshalStrict(text, &secret); err != nil {
		t.Fatal(err)
	}
	return secret
}

// withoutHelm leaves out the labels that each object of our chart has.
func withoutHelm(labels map[string]string) map[string]string {
	labels = maps.Clone(labels)
	maps.DeleteFunc(labels, func(key, _ string) bool {
		return strings.HasPrefix(key, "app.kubernetes.io/") || key == "helm.sh/chart"
	})
	return labels
}

func TestRefresher(t *testing.T) {
	for _, name := range examples {
		t.Run(name, func(t *testing.T) {
			pod := as[appsv1.Deployment](t, render(t, example(t, name)), "Deployment").Spec.Template.Spec
			c := pod.Containers[0]
			if diff := cmp.Diff([]string{"deis", "--log-level=info", "--log-format=text"}, c.Args); diff != "" {
				t.Error(diff)
			}
			want := map[string]string{
				"DEIS_REGISTRY_LOCATION":      location(name),
				"DEIS_REGISTRY_SECRET_PREFIX": "private-registry",
				"DEIS_NAMESPACE_REFRESH_TIME": "5",
				"DEIS_TOKEN_REFRESH_TIME":     "",
				"POD_NAMESPACE":               "<metadata.namespace>",
				"REGCRED_LISTEN":              ":8440",
			}
			if diff := cmp.Diff(want, environment(c)); diff != "" {
				t.Error(diff)
			}
			if got := mounted(pod, "/var/run/secrets/deis/registry/creds"); got != "registry-secret" {
				t.Errorf("%q is mounted where the credentials are read, not registry-secret", got)
			}
		})
	}
}

func TestRefresherSettings(t *testing.T) {
	r := render(t, `
global: {registry_location: ecr, secret_prefix: corp}
registry-token-refresher: {token_refresh_time: 30}
existingSecret: registry-secret
`)
	for _, o := range r.objects {
		if o.GetKind() == "Secret" {
			t.Errorf("%s is rendered although existingSecret names one", o.GetName())
		}
	}
	pod := as[appsv1.Deployment](t, r, "Deployment").Spec.Template.Spec
	env := environment(pod.Containers[0])
	if env["DEIS_TOKEN_REFRESH_TIME"] != "30" || env["DEIS_REGISTRY_SECRET_PREFIX"] != "corp" {
		t.Errorf("the environment is %v", env)
	}
	if got := mounted(pod, "/var/run/secrets/deis/registry/creds"); got != "registry-secret" {
		t.Errorf("%q is mounted, not registry-secret", got)
	}
}

// Google's key may be written as it is, and wrapped, as base64 does by itself.
func TestGoogleKey(t *testing.T) {
	want := registrySecret(t, "gcr").Data
	encoded := values(t, example(t, "gcr"))["registry-token-refresher"].(map[string]any)["gcr"].(map[string]any)["key_json"].(string)
	for name, key := range map[string]string{
		"JSON":           string(want["key.json"]),
		"base64":         encoded,
		"wrapped base64": encoded[:40] + "\n" + encoded[40:] + "\n",
	} {
		vals := values(t, example(t, "gcr"))
		vals["registry-token-refresher"] = map[string]any{"gcr": map[string]any{"key_json": key}}
		r, err := tryRender(load(t), vals)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := as[corev1.Secret](t, r, "Secret").Data
		if strings.TrimSpace(string(got["key.json"])) != strings.TrimSpace(string(want["key.json"])) {
			t.Errorf("%s: the key changed", name)
		}
	}
}

// In Workflow's own chart, ours takes the refresher's place as a dependency of that
// alias: the values stay where they are.
func TestInWorkflow(t *testing.T) {
	for _, name := range examples {
		t.Run(name, func(t *testing.T) {
			workflow := &chartv2.Chart{Metadata: &chartv2.Metadata{
				APIVersion: "v2", Name: "workflow", Version: "2.21.4",
				Dependencies: []*chartv2.Dependency{{Name: "regcred", Version: "*", Alias: "registry-token-refresher"}},
			}}
			workflow.SetDependencies(load(t))
			vals := values(t, example(t, name))
			vals["global"].(map[string]any)["storage"] = "minio" // a key of another chart
			r, err := tryRender(workflow, vals)
			if err != nil {
				t.Fatal(err)
			}
			got := as[corev1.Secret](t, r, "Secret")
			if diff := cmp.Diff(registrySecret(t, name).Data, got.Data); diff != "" {
				t.Error(diff)
			}
			deployment := as[appsv1.Deployment](t, r, "Deployment")
			if want := "regcred-registry-token-refresher"; deployment.Name != want {
				t.Errorf("the Deployment is called %s, not %s", deployment.Name, want)
			}
		})
	}
}

// environment returns a container's variables, with fields of the pod in <>.
func environment(c corev1.Container) map[string]string {
	env := map[string]string{}
	for _, v := range c.Env {
		env[v.Name] = v.Value
		if v.ValueFrom != nil && v.ValueFrom.FieldRef != nil {
			env[v.Name] = "<" + v.ValueFrom.FieldRef.FieldPath + ">"
		}
	}
	return env
}

// mounted returns the Secret that is mounted at a path, "" where none is.
func mounted(pod corev1.PodSpec, path string) string {
	for _, m := range pod.Containers[0].VolumeMounts {
		if m.MountPath != path {
			continue
		}
		for _, v := range pod.Volumes {
			if v.Name == m.Name && v.Secret != nil {
				return v.Secret.SecretName
			}
		}
	}
	return ""
}
