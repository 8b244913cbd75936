package ecr_test

import (
	"encoding/pem"
	"net/http/httptest"
	"strings"
	"testing"

	"regcred.dev"
	"regcred.dev/provider/ecr"
)

// TestTLS: an endpoint whose certificate nobody signed that is trusted gets no
// request; the setting "ca" says who else is.
func TestTLS(t *testing.T) {
	w := newWorld(nil)
	server := httptest.NewTLSServer(w)
	defer server.Close()
	p := ecr.New(ecr.Options{})
	c := credential(host, "endpoint", server.URL, "sts-endpoint", server.URL, "role-arn", pullRole, "external-id", "acme-7f3a")
	_, err := p.Mint(t.Context(), c)
	if regcred.CodeOf(err) != regcred.Unavailable || !strings.Contains(err.Error(), "certificate") || len(w.Requests()) > 0 {
		t.Errorf("without a CA: %v, %d requests", err, len(w.Requests()))
	}
	c.Settings["ca"] = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	if l, err := p.Mint(t.Context(), c); err != nil || l.Hosts[0] != host {
		t.Errorf("with the CA: %v, %v", l.Hosts, err)
	}
	if n := len(w.Requests()); n != 2 {
		t.Errorf("%d requests, want two", n)
	}
}

// TestLinkLocal: a credential with keys of its own cannot make the server ask what
// only the machine can, not even by an admin's endpoint.
func TestLinkLocal(t *testing.T) {
	for _, endpoint := range []string{"https://169.254.169.254", "https://[fd00:ec2::254]", "https://[::ffff:169.254.170.2]"} {
		_, err := ecr.New(ecr.Options{}).Mint(t.Context(), credential(host, "endpoint", endpoint))
		if regcred.CodeOf(err) != regcred.Unavailable || !strings.Contains(err.Error(), "which is not asked") {
			t.Errorf("%s: %v", endpoint, err)
		}
	}
}
