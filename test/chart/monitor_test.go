package chart_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A ServiceMonitor sends the token of the Secret that it is told, and none without one.
func TestMonitorToken(t *testing.T) {
	for values, want := range map[string]any{
		"": nil,
		", tokenSecret: {name: prometheus}": map[string]any{
			"credentials": map[string]any{"name": "prometheus", "key": "token"},
		},
		", tokenSecret: {name: prometheus, key: auditor}": map[string]any{
			"credentials": map[string]any{"name": "prometheus", "key": "auditor"},
		},
	} {
		monitor := as[struct {
			APIVersion string         `json:"apiVersion"`
			Kind       string         `json:"kind"`
			Metadata   map[string]any `json:"metadata"`
			Spec       struct {
				Selector  map[string]any   `json:"selector"`
				Endpoints []map[string]any `json:"endpoints"`
			} `json:"spec"`
		}](t, render(t, "metrics: {serviceMonitor: {enabled: true"+values+"}}"), "ServiceMonitor")
		if diff := cmp.Diff(want, monitor.Spec.Endpoints[0]["authorization"]); diff != "" {
			t.Errorf("with %q (-want +got):\n%s", values, diff)
		}
	}
}
