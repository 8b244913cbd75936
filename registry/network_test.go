package registry_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/registry"
)

func prefixes(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range list {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

// from sends a request that comes from an address, and returns the answer's status.
func (h *harness) from(addr string, c call) int {
	r := httptest.NewRequest(c.method, c.path, strings.NewReader(c.body))
	r.RemoteAddr = addr
	for name, value := range c.header {
		r.Header[name] = strings.Split(value, "|")
	}
	w := httptest.NewRecorder()
	h.Config.Handler.ServeHTTP(w, r)
	return w.Code
}

// TestPushFrom holds from where a push needs no login, as Deis's builder has it: by
// the peer's address, which nobody writes into a header.
func TestPushFrom(t *testing.T) {
	h := newPolicyHarness(t, registry.Policy{
		{Pattern: "deis/*", PushFrom: prefixes("10.2.0.0/16", "fd00::/8", "203.0.113.0/24")},
	}, prefixes("10.1.0.0/24", "fd01::/64")...)
	push := func(header map[string]string) call {
		return call{method: "POST", path: "/v2/deis/app/blobs/uploads/", header: header}
	}
	forwarded := func(list string) map[string]string { return map[string]string{"X-Forwarded-For": list} }
	for _, test := range []struct {
		name, from string
		header     map[string]string
		status     int
	}{
		{"the network", "10.2.3.4:5000", nil, 202},
		{"IPv6", "[fd00::1]:5000", nil, 202},
		{"IPv6 with a zone", "[fd00::1%eth0]:5000", nil, 202},
		{"IPv4 in IPv6", "[::ffff:10.2.3.4]:5000", nil, 202},
		{"elsewhere", "10.3.0.1:5000", nil, 401},
		{"loopback", "127.0.0.1:5000", nil, 401},
		{"the local socket", "@", nil, 401},
		{"no address", "", nil, 401},

		{"a header that lies", "198.51.100.1:5000", forwarded("10.2.3.4"), 401},
		{"other headers that lie", "198.51.100.1:5000", map[string]string{"X-Real-Ip": "10.2.3.4", "Forwarded": "for=10.2.3.4"}, 401},
		{"a proxy that is not trusted, in the network", "10.2.3.4:5000", forwarded("198.51.100.1"), 401},
		{"the same, with an empty header", "10.2.3.4:5000", forwarded(""), 401},
		{"the same, with Forwarded", "10.2.3.4:5000", map[string]string{"Forwarded": "for=10.2.3.4"}, 401},
		{"the same, with the scheme alone", "10.2.3.4:5000", map[string]string{"X-Forwarded-Proto": "https"}, 401},
		{"the same, with the host alone", "10.2.3.4:5000", map[string]string{"X-Forwarded-Host": "registry.example.com"}, 401},
		{"the same, with Via", "10.2.3.4:5000", map[string]string{"Via": "1.1 proxy"}, 401},
		{"the same, Envoy", "10.2.3.4:5000", map[string]string{"X-Envoy-Expected-Rq-Timeout-Ms": "15000"}, 401},
		{"a browser in the network, whatever its page is called", "10.2.3.4:5000", map[string]string{"Accept-Language": "en"}, 401},
		{"a web page in the network", "10.2.3.4:5000", map[string]string{"Origin": "https://evil.example"}, 401},

		{"a trusted proxy", "10.1.0.9:5000", forwarded("10.2.3.4"), 202},
		{"a trusted proxy, for elsewhere", "10.1.0.9:5000", forwarded("198.51.100.1"), 401},
		{"a trusted proxy that names nobody", "10.1.0.9:5000", nil, 401},
		{"what the client wrote itself", "10.1.0.9:5000", forwarded("10.2.3.4, 198.51.100.1"), 401},
		{"the same in two headers", "10.1.0.9:5000", forwarded("10.2.3.4|198.51.100.1"), 401},
		{"two trusted proxies", "10.1.0.9:5000", forwarded("198.51.100.1, 10.2.3.4, 10.1.0.7"), 202},
		{"two trusted proxies in two headers", "10.1.0.9:5000", forwarded("10.2.3.4|10.1.0.7"), 202},
		{"proxies alone", "10.1.0.9:5000", forwarded("10.1.0.8, 10.1.0.7"), 401},
		{"garbage at the end", "10.1.0.9:5000", forwarded("10.2.3.4, unknown"), 401},
		{"an empty end", "10.1.0.9:5000", forwarded("10.2.3.4,"), 401},
		{"with a port", "10.1.0.9:5000", forwarded("10.2.3.4:1234"), 202},
		{"IPv6 by a proxy", "[fd01::1]:5000", forwarded("fd00::2"), 202},
		{"IPv6 with a port by a proxy", "[fd01::1]:5000", forwarded("[fd00::2]:99"), 202},
		{"IPv4 in IPv6 by a proxy", "10.1.0.9:5000", forwarded("::ffff:10.2.3.4"), 202},
		{"a browser behind a proxy", "10.1.0.9:5000", map[string]string{"X-Forwarded-For": "10.2.3.4", "Accept-Language": "en"}, 401},
		{"a web page behind a proxy", "10.1.0.9:5000", map[string]string{"X-Forwarded-For": "10.2.3.4", "Origin": "https://evil.example"}, 401},
	} {
		if got := h.from(test.from, push(test.header)); got != test.status {
			t.Errorf("%s: %d, want %d", test.name, got, test.status)
		}
	}
}

// TestPushFromIsForThat holds what the network opens: push and pull of those
// repositories, nothing else.
func TestPushFromIsForThat(t *testing.T) {
	h := newPolicyHarness(t, registry.Policy{{Pattern: "deis/*", PushFrom: prefixes("10.2.0.0/16")}})
	for _, repo := range []string{"deis/app", "other"} {
		pushImage(t, h.storage, repo, "v1")
	}
	calls := []call{
		{method: "GET", path: "/v2/"},
		{method: "GET", path: "/v2/deis/app/manifests/v1"},
		{method: "GET", path: "/v2/_catalog"},
		{method: "GET", path: tokenPath + "?scope=repository:deis/app:pull,push"},
		{method: "DELETE", path: "/v2/deis/app/manifests/v1"},
		{method: "GET", path: "/v2/other/manifests/v1"},
		{method: "POST", path: "/v2/other/blobs/uploads/"},
		{method: "GET", path: tokenPath + "?scope=repository:other:pull"},
		{method: "GET", path: "/v2/deis/app/manifests/v1", header: map[string]string{"Authorization": "Bearer x"}},
	}
	for from, want := range map[string][]int{
		"10.2.0.1:1": {401, 200, 200, 200, 401, 401, 401, 401, 401},
		"10.9.0.1:1": {401, 401, 401, 401, 401, 401, 401, 401, 401},
	} {
		var got []int
		for _, c := range calls {
			got = append(got, h.from(from, c))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("from %s (-want +got): %s", from, diff)
		}
	}
}

// TestNetworkStaysInTheNetwork: the token that a network gets opens nothing
// elsewhere, and a mount takes nothing along that is not open.
func TestNetworkStaysInTheNetwork(t *testing.T) {
	h := newPolicyHarness(t, registry.Policy{{Pattern: "deis/*", PushFrom: prefixes("127.0.0.0/8")}})
	pushImage(t, h.storage, "private", "v1")
	secret := h.pushBlob(t, "private", "secret")
	bearer := h.token(t, regcred.Secret{}, "repository:deis/app:pull,push").Token
	upload := call{method: "POST", path: "/v2/deis/app/blobs/uploads/", header: map[string]string{"Authorization": "Bearer " + bearer}}
	if got := h.from("127.0.0.1:1", upload); got != http.StatusAccepted {
		t.Errorf("where it comes from: %d", got)
	}
	if got := h.from("10.0.0.1:1", upload); got != http.StatusUnauthorized {
		t.Errorf("elsewhere: %d", got)
	}
	upload.path += "?mount=" + secret.String() + "&from=private"
	if got := h.from("127.0.0.1:1", upload); got != http.StatusAccepted { // an upload of one's own, no mount
		t.Errorf("a mount of what is not open: %d", got)
	}
}
