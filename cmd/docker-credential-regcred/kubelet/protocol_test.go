package kubelet

import (
	"math"
	"strings"
	"testing"
	"time"

	"regcred.dev"
	"regcred.dev/client"
)

func TestCacheFor(t *testing.T) {
	for _, test := range []struct {
		left  time.Duration
		limit time.Duration
		want  time.Duration
	}{
		{12 * time.Hour, 5 * time.Minute, 5 * time.Minute},
		{12 * time.Hour, 24 * time.Hour, 12*time.Hour - 72*time.Minute},
		{10 * time.Minute, time.Hour, 9 * time.Minute},
		{5 * time.Minute, time.Hour, 270 * time.Second},
		{time.Minute, time.Hour, 30 * time.Second},
		{30 * time.Second, time.Hour, 0},
		{time.Second, time.Hour, 0},
		{0, time.Hour, 0},
		{-time.Hour, time.Hour, 0},
		{time.Hour, 0, 0},
	} {
		seconds := int64(test.left / time.Second)
		if got := cacheFor(&seconds, test.limit); got != test.want {
			t.Errorf("%s left, at most %s: %s, want %s", test.left, test.limit, got, test.want)
		}
	}
	for _, seconds := range []int64{math.MaxInt64, math.MinInt64} {
		got := cacheFor(&seconds, time.Minute)
		if want := max(time.Duration(0), min(time.Duration(seconds), time.Minute)); got != want {
			t.Errorf("%d seconds: %s", seconds, got)
		}
	}
	if got := cacheFor(nil, time.Minute); got != time.Minute {
		t.Errorf("for ever: %s", got)
	}
}

func TestMatchKey(t *testing.T) {
	for image, want := range map[string]string{
		"registry.example.com/app":          "registry.example.com/app",
		"Registry.example.com:443/acme/app": "Registry.example.com:443/acme/app",
		"docker.io/library/nginx":           "docker.io/library/nginx",
		"registry.example.com/v2/app":       "registry.example.com/v2/v2/app",
		"registry.example.com/v1/app":       "registry.example.com/v2/v1/app",
		"registry.example.com/v2":           "registry.example.com/v2",
		"registry.example.com/v2-team/app":  "registry.example.com/v2-team/app",
		"[fd00::1]:5000/app":                "[fd00::1]:5000/app",
		"nginx":                             "nginx",
	} {
		host, path, _ := strings.Cut(image, "/")
		if got := matchKey(host, path); got != want {
			t.Errorf("%s: %s, want %s", image, got, want)
		}
	}
}

func TestRespondToIPv6(t *testing.T) {
	found := client.KubeletAnswer{Login: &client.KubeletLogin{Username: "u", Password: "canary"}}
	_, err := respond("[fd00::1]/app", found, time.Minute)
	if regcred.CodeOf(err) != regcred.Invalid || strings.Contains(err.Error(), "canary") {
		t.Error(err)
	}
	if r, err := respond("[fd00::1]/app", client.KubeletAnswer{}, time.Minute); err != nil || r.Auth != nil {
		t.Errorf("without a login: %v, %v", r, err)
	}
}

// FuzzRequest holds that no input crashes the plugin, or is answered without an image.
func FuzzRequest(f *testing.F) {
	f.Add(`{"kind":"CredentialProviderRequest","apiVersion":"credentialprovider.kubelet.k8s.io/v1","image":"registry.example.com/app","serviceAccountToken":"a.b.c"}`)
	f.Add(`{"kind":"CredentialProviderRequest","apiVersion":"credentialprovider.kubelet.k8s.io/v1beta1","image":"x"}`)
	f.Add(`{"image":null}`)
	f.Add(`[`)
	f.Fuzz(func(t *testing.T, input string) {
		r, err := parseRequest([]byte(input))
		if err != nil {
			if regcred.CodeOf(err) != regcred.Invalid {
				t.Error(err)
			}
			return
		}
		if r.Image == "" {
			t.Error("a request without an image")
		}
		found := client.KubeletAnswer{Login: &client.KubeletLogin{}}
		if out, err := respond(r.Image, found, time.Minute); err == nil && len(out.Auth) != 1 {
			t.Errorf("%d logins", len(out.Auth))
		}
	})
}
