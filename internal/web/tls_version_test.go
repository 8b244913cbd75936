package web_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"testing"

	"regcred.dev"
	"regcred.dev/internal/web"
)

// TestOldTLS: no secret is sent over a version of TLS that is broken (RFC 8996).
func TestOldTLS(t *testing.T) {
	for version, code := range map[uint16]regcred.Code{
		tls.VersionTLS10: regcred.Unavailable, tls.VersionTLS11: regcred.Unavailable, tls.VersionTLS12: regcred.Internal,
	} {
		asked := 0
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
		server.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: version}
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		server.StartTLS()
		roots := x509.NewCertPool()
		roots.AddCert(server.Certificate())
		client := web.New(web.Options{RootCAs: roots})
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.Do(req)
		if refused := code == regcred.Unavailable; regcred.CodeOf(err) != code || (err != nil) != refused || (asked == 0) != refused {
			t.Errorf("%s: %v after %d requests", tls.VersionName(version), err, asked)
		}
		server.Close()
	}
}
