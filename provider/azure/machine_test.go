package azure

import (
	"net/http"
	"testing"
)

// TestMachineHasNoProxy: the address of the metadata service means another machine
// to a proxy. The environment is no way to test it: net/http reads that once.
func TestMachineHasNoProxy(t *testing.T) {
	p := New(Options{})
	if p.machine.(*http.Transport).Proxy != nil {
		t.Error("a managed identity is asked for by a proxy")
	}
	if p.internet.(*http.Transport).Proxy == nil {
		t.Error("the internet is not reached by a proxy")
	}
}
