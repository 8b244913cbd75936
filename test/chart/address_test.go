package chart_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// TestPublicURL: clients are sent to where they can reach the server.
func TestPublicURL(t *testing.T) {
	const ingress = "ingress: {enabled: true, host: regcred.example.com}\n"
	for name, c := range map[string]struct{ values, want string }{
		"the Service":            {"", "http://regcred.deis.svc:8440"},
		"an Ingress":             {ingress, "https://regcred.example.com"},
		"an Ingress without TLS": {"ingress: {enabled: true, host: regcred.example.com, tls: {enabled: false}}", "http://regcred.example.com"},
		"another port":           {ingress + "config: {public_url: 'https://regcred.example.com:8443'}", "https://regcred.example.com:8443"},
		"a Route":                {"openshift: {enabled: true, route: {host: regcred.apps.example.com}}", "https://regcred.apps.example.com"},
		"OpenShift's choice":     {"openshift: {enabled: true}", "http://regcred.deis.svc:8440"},
		"its own certificate":    {"config: {tls: {certificates: [{certificate: /run/secrets/tls/tls.crt, key: /run/secrets/tls/tls.key}]}}", "https://regcred.deis.svc:8440"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := serverConfig(t, render(t, c.values)).PublicURL.String(); got != c.want {
				t.Errorf("it is %s, want %s", got, c.want)
			}
		})
	}
}

func TestIngress(t *testing.T) {
	r := render(t, `
ingress:
  enabled: true
  className: nginx
  host: regcred.example.com
  tls: {secretName: regcred-tls}
  annotations: {nginx.ingress.kubernetes.io/proxy-body-size: "0"}
`)
	got := as[networkingv1.Ingress](t, r, "Ingress")
	class, prefix := "nginx", networkingv1.PathTypePrefix
	want := networkingv1.IngressSpec{
		IngressClassName: &class,
		TLS:              []networkingv1.IngressTLS{{Hosts: []string{"regcred.example.com"}, SecretName: "regcred-tls"}},
		Rules: []networkingv1.IngressRule{{Host: "regcred.example.com", IngressRuleValue: networkingv1.IngressRuleValue{
			HTTP: &networkingv1.HTTPIngressRuleValue{Paths: []networkingv1.HTTPIngressPath{{
				Path: "/", PathType: &prefix, Backend: networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{
					Name: "regcred", Port: networkingv1.ServiceBackendPort{Name: "http"},
				}},
			}}},
		}}},
	}
	if diff := cmp.Diff(want, got.Spec); diff != "" {
		t.Error(diff)
	}
	if got.Annotations["nginx.ingress.kubernetes.io/proxy-body-size"] != "0" {
		t.Errorf("its annotations are %v", got.Annotations)
	}
	for _, vals := range []string{"", example(t, "ecr") + "ingress: {enabled: true, host: a.example.com}\nopenshift: {enabled: true}"} {
		if names := render(t, vals).names(); slices.Contains(names, "Ingress/regcred") || slices.Contains(names, "Route/regcred") {
			t.Errorf("there are %v", names)
		}
	}
}

// TestRoute: TLS ends at the router, or where the server has certificates of its own,
// there.
func TestRoute(t *testing.T) {
	for vals, termination := range map[string]string{
		"openshift: {enabled: true, route: {host: regcred.apps.example.com}}":                                                                                  "edge",
		"openshift: {enabled: true, route: {host: regcred.apps.example.com}}\nconfig: {tls: {certificates: [{certificate: /run/tls.crt, key: /run/tls.key}]}}": "passthrough",
	} {
		got := render(t, vals).find(t, "Route")
		want := map[string]any{
			"host": "regcred.apps.example.com",
			"to":   map[string]any{"kind": "Service", "name": "regcred", "weight": int64(100)},
			"port": map[string]any{"targetPort": "http"},
			"tls":  map[string]any{"termination": termination, "insecureEdgeTerminationPolicy": "Redirect"},
		}
		spec, _ := got.Object["spec"].(map[string]any)
		normalize(spec)
		if diff := cmp.Diff(want, spec); diff != "" || got.GetAPIVersion() != "route.openshift.io/v1" {
			t.Errorf("%s: %s", got.GetAPIVersion(), diff)
		}
	}
	if names := render(t, "openshift: {enabled: true, route: {enabled: false}}").names(); slices.Contains(names, "Route/regcred") {
		t.Errorf("there are %v", names)
	}
}

// normalize makes whole numbers of YAML's floats.
func normalize(object map[string]any) {
	for key, value := range object {
		switch v := value.(type) {
		case float64:
			object[key] = int64(v)
		case map[string]any:
			normalize(v)
		}
	}
}

// TestRestrictedSCC: OpenShift chooses the user and the groups of a pod, and refuses one
// that names others.
func TestRestrictedSCC(t *testing.T) {
	for _, vals := range []string{"", example(t, "ecr")} {
		s := as[appsv1.Deployment](t, render(t, vals+"\nopenshift: {enabled: true}"), "Deployment").Spec.Template.Spec.SecurityContext
		if s.RunAsUser != nil || s.RunAsGroup != nil || s.FSGroup != nil || !*s.RunAsNonRoot || s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
			t.Errorf("the pod's securityContext is %v", s)
		}
	}
}

// TestProbes: the kubelet asks as the server answers.
func TestProbes(t *testing.T) {
	for vals, want := range map[string]corev1.URIScheme{
		"": corev1.URISchemeHTTP,
		"config: {tls: {certificates: [{certificate: /run/tls.crt, key: /run/tls.key}]}}": corev1.URISchemeHTTPS,
	} {
		c := as[appsv1.Deployment](t, render(t, vals), "Deployment").Spec.Template.Spec.Containers[0]
		for _, probe := range []*corev1.Probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
			if probe.HTTPGet.Scheme != want {
				t.Errorf("values %q: a probe asks by %s", vals, probe.HTTPGet.Scheme)
			}
		}
	}
}
