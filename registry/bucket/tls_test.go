package bucket_test

import (
	"encoding/pem"
	"io"
	"log"
	"net/http/httptest"
	"testing"

	"regcred.dev"
	"regcred.dev/registry"
	"regcred.dev/registry/bucket"
)

// TestTLS has a server whose certificate nobody knows.
func TestTLS(t *testing.T) {
	f := &fakeS3{}
	o := fakeOptions(t, f)
	server := httptest.NewUnstartedServer(f)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that are meant to fail
	server.StartTLS()
	defer server.Close()
	o.Endpoint, o.Transport = server.URL, nil
	_, err := bucket.Open(t.Context(), o)
	wantError(t, err, regcred.Unavailable, "certificate", "CA", server.URL)

	o.CA = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	b := open(t, o)
	put(t, b, "k", "content", registry.IfAbsent)
	if got := read(t, b, "k"); got != "content" {
		t.Errorf("%q", got)
	}
}
