package chart_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"

	"regcred.dev/config"
)

func TestKinds(t *testing.T) {
	around := []string{"NetworkPolicy/regcred", "PodDisruptionBudget/regcred", "ServiceAccount/regcred"}
	server := slices.Concat(around, []string{
		"ConfigMap/regcred", "PersistentVolumeClaim/regcred", "ClusterRole/deis-regcred", "ClusterRoleBinding/deis-regcred",
		"Service/regcred", "Deployment/regcred",
	})
	refresher := slices.Concat(around, []string{
		"Secret/registry-secret", "ClusterRole/deis-regcred", "ClusterRoleBinding/deis-regcred", "Deployment/regcred",
	})
	idle := slices.Concat(around, []string{"Secret/registry-secret", "Deployment/regcred"})
	for name, c := range map[string]struct {
		values string
		want   []string
	}{
		"defaults":      {"", server},
		"on-cluster":    {"global: {registry_location: on-cluster}", server},
		"no location":   {"global: {registry_location: null}", server},
		"ecr":           {example(t, "ecr"), refresher},
		"gcr":           {example(t, "gcr"), refresher},
		"acr":           {example(t, "acr"), idle},
		"quay":          {example(t, "quay"), idle},
		"bare":          {"{networkPolicy: {enabled: false}, podDisruptionBudget: {enabled: false}, rbac: {create: false}, serviceAccount: {create: false}, persistence: {existingClaim: mine}}", []string{"ConfigMap/regcred", "Service/regcred", "Deployment/regcred"}},
		"monitored":     {example(t, "quay") + "metrics: {serviceMonitor: {enabled: true}}", slices.Concat(around, []string{"Secret/registry-secret", "Service/regcred", "Deployment/regcred", "ServiceMonitor/regcred"})},
		"other targets": {"config: {targets: []}", slices.DeleteFunc(slices.Clone(server), func(n string) bool { return n == "ClusterRole/deis-regcred" || n == "ClusterRoleBinding/deis-regcred" })},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, render(t, c.values).names()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The pod runs without any right on its node, and with a token only where it needs one.
func TestPod(t *testing.T) {
	for name, c := range map[string]struct {
		values string
		token  bool
	}{
		"server":             {"", true},
		"server, no target":  {"config: {targets: []}", false},
		"another cluster":    {"config: {targets: [{kubernetes: {kubeconfig: /run/secrets/other}}]}", false},
		"server that judges": {"config: {targets: [], kubernetes_tokens: [{issuer: https://k.example.com, review: {}}]}", true},
		"refresher":          {example(t, "ecr"), true},
		"nothing to refresh": {example(t, "acr"), false},
	} {
		t.Run(name, func(t *testing.T) {
			d := as[appsv1.Deployment](t, render(t, c.values), "Deployment")
			pod := d.Spec.Template.Spec
			if *d.Spec.Replicas != 1 || d.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType {
				t.Errorf("%d replicas, strategy %s", *d.Spec.Replicas, d.Spec.Strategy.Type)
			}
			if *pod.AutomountServiceAccountToken != c.token {
				t.Errorf("automountServiceAccountToken is %t", !c.token)
			}
			if s := pod.SecurityContext; !*s.RunAsNonRoot || *s.RunAsUser == 0 || s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
				t.Errorf("the pod's securityContext is %v", s)
			}
			ctr := pod.Containers[0]
			if s := ctr.SecurityContext; *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) {
				t.Errorf("the container's securityContext is %v", s)
			}
			if ctr.LivenessProbe.HTTPGet.Path != "/healthz" || ctr.ReadinessProbe.HTTPGet.Path != "/readyz" {
				t.Error("the probes do not ask /healthz and /readyz")
			}
		})
	}
}

func TestPodSettings(t *testing.T) {
	r := render(t, `
image: {repository: registry.example.com/regcred, digest: "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", pullSecrets: [pull]}
serviceAccount: {name: identity, annotations: {eks.amazonaws.com/role-arn: "arn:aws:iam::123456789012:role/regcred"}}
podLabels: {azure.workload.identity/use: "true"}
metrics: {annotations: true}
priorityClassName: system-cluster-critical
nodeSelector: {disk: ssd}
tolerations: [{key: dedicated, operator: Exists}]
extraEnv: [{name: HTTPS_PROXY, value: "http://proxy:3128"}]
extraEnvFrom: [{secretRef: {name: logins}}]
extraSecretMounts: [{secretName: robot, mountPath: /run/secrets/robot}]
log: {level: debug, format: json}
`)
	template := as[appsv1.Deployment](t, r, "Deployment").Spec.Template
	pod, ctr := template.Spec, template.Spec.Containers[0]
	got := map[string]any{
		"image":          ctr.Image,
		"pull secret":    pod.ImagePullSecrets[0].Name,
		"account":        pod.ServiceAccountName,
		"role":           as[corev1.ServiceAccount](t, r, "ServiceAccount").Annotations["eks.amazonaws.com/role-arn"],
		"label":          template.Labels["azure.workload.identity/use"],
		"scrape":         template.Annotations["prometheus.io/scrape"],
		"priority":       pod.PriorityClassName,
		"node":           pod.NodeSelector["disk"],
		"toleration":     pod.Tolerations[0].Key,
		"proxy":          environment(ctr)["HTTPS_PROXY"],
		"environment of": ctr.EnvFrom[0].SecretRef.Name,
		"mounted":        mounted(pod, "/run/secrets/robot"),
		"arguments":      ctr.Args,
	}
	want := map[string]any{
		"image":          "registry.example.com/regcred@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
		"pull secret":    "pull",
		"account":        "identity",
		"role":           "arn:aws:iam::123456789012:role/regcred",
		"label":          "true",
		"scrape":         "true",
		"priority":       "system-cluster-critical",
		"node":           "ssd",
		"toleration":     "dedicated",
		"proxy":          "http://proxy:3128",
		"environment of": "logins",
		"mounted":        "robot",
		"arguments":      []string{"serve", "--config=/etc/regcred/regcred.yaml", "--log-level=debug", "--log-format=json"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// What the chart writes is what the server reads.
func TestConfig(t *testing.T) {
	text := as[corev1.ConfigMap](t, render(t, `
service: {port: 80}
config:
  registry: {login_lifetime: 1h}
  credentials:
  - {location: quay.io/acme, organization: acme, username: robot, password: "env:PASSWORD"}
`), "ConfigMap").Data["regcred.yaml"]
	cfg, err := config.Parse("regcred.yaml", []byte(text), config.Sources{
		Getenv: func(string) (string, bool) { return "hunter2", true },
	})
	if err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	if cfg.DataDir != "/var/lib/regcred/data" || cfg.Listen != ":8440" || cfg.PublicURL.String() != "http://regcred.deis.svc:80" {
		t.Errorf("data directory %s, listen %s, public URL %s", cfg.DataDir, cfg.Listen, cfg.PublicURL)
	}
	if len(cfg.Credentials) != 1 || cfg.Credentials[0].Spelling != "quay.io/acme" || cfg.Registry.LoginLifetime.Hours() != 1 {
		t.Errorf("it reads as %+v", cfg)
	}
	if len(cfg.Targets) != 1 || cfg.Targets[0].Kubernetes == nil || cfg.Targets[0].Kubernetes.Scope.DefaultOrganization != "cluster" {
		t.Errorf("the targets are %+v", cfg.Targets)
	}
}

// A pod starts anew where its configuration has changed, for it reads that once.
func TestConfigChange(t *testing.T) {
	sum := func(vals string) string {
		return as[appsv1.Deployment](t, render(t, vals), "Deployment").Spec.Template.Annotations["checksum/config"]
	}
	if a, b := sum(""), sum("config: {public_url: https://regcred.example.com}"); a == b || a == "" {
		t.Errorf("the checksums are %q and %q", a, b)
	}
}

func TestVolume(t *testing.T) {
	r := render(t, "persistence: {size: 50Gi, storageClassName: fast, keep: true, annotations: {backup: daily}}")
	pvc := as[corev1.PersistentVolumeClaim](t, r, "PersistentVolumeClaim")
	if diff := cmp.Diff(map[string]string{"helm.sh/resource-policy": "keep", "backup": "daily"}, pvc.Annotations); diff != "" {
		t.Error(diff)
	}
	if size := pvc.Spec.Resources.Requests.Storage().String(); size != "50Gi" || *pvc.Spec.StorageClassName != "fast" {
		t.Errorf("size %s, class %s", size, *pvc.Spec.StorageClassName)
	}
	for vals, want := range map[string]corev1.VolumeSource{
		"":                                   {PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "regcred"}},
		"persistence: {existingClaim: mine}": {PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "mine"}},
		"persistence: {enabled: false}":      {EmptyDir: &corev1.EmptyDirVolumeSource{}},
	} {
		volumes := as[appsv1.Deployment](t, render(t, vals), "Deployment").Spec.Template.Spec.Volumes
		i := slices.IndexFunc(volumes, func(v corev1.Volume) bool { return v.Name == "data" })
		if diff := cmp.Diff(want, volumes[i].VolumeSource); diff != "" {
			t.Errorf("values %q: %s", vals, diff)
		}
	}
}

func TestNetworkPolicy(t *testing.T) {
	p := as[networkingv1.NetworkPolicy](t, render(t, ""), "NetworkPolicy")
	if len(p.Spec.PolicyTypes) != 1 || len(p.Spec.Ingress) != 1 || p.Spec.Ingress[0].Ports[0].Port.StrVal != "http" || p.Spec.Ingress[0].From != nil {
		t.Errorf("by default it is %+v", p.Spec)
	}
	p = as[networkingv1.NetworkPolicy](t, render(t, `
networkPolicy:
  from: [{namespaceSelector: {matchLabels: {team: a}}}]
  egress: [{ports: [{port: 443}]}]
`), "NetworkPolicy")
	if len(p.Spec.PolicyTypes) != 2 || p.Spec.Ingress[0].From[0].NamespaceSelector.MatchLabels["team"] != "a" || p.Spec.Egress[0].Ports[0].Port.IntVal != 443 {
		t.Errorf("limited, it is %+v", p.Spec)
	}
}

// A drain is never held up by the one replica.
func TestPodDisruptionBudget(t *testing.T) {
	b := as[policyv1.PodDisruptionBudget](t, render(t, ""), "PodDisruptionBudget")
	if b.Spec.MinAvailable != nil || b.Spec.MaxUnavailable.IntVal != 1 {
		t.Errorf("it is %+v", b.Spec)
	}
}
