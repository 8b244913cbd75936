package google

import (
	"net/http"
	"net/url"

	"regcred.dev/internal/web"
)

// client returns a client for one mint, and what closes its connections. Only
// where an admin gave the server's identity or files may it reach the metadata
// server.
func (p *Provider) client(s *settings) (*web.Client, func()) {
	if p.o.Transport != nil {
		return web.New(web.Options{Transport: p.o.Transport}), func() {}
	}
	keyAlone := s.doc != nil && s.doc.Type == typeServiceAccount
	t := web.NewTransport(web.Options{RootCAs: s.pool, LocalAllowed: !keyAlone})
	t.Proxy = direct(t.Proxy)
	return web.New(web.Options{Transport: t}), t.CloseIdleConnections
}

// direct returns a Transport.Proxy that uses no proxy for metadata servers: behind
// one they would see another machine.
func direct(usual func(*http.Request) (*url.URL, error)) func(*http.Request) (*url.URL, error) {
	return func(req *http.Request) (*url.URL, error) {
		host := req.URL.Hostname()
		if addr, ok := web.Literal(host); host == metadataName || ok && web.Local(addr) {
			return nil, nil
		}
		return usual(req)
	}
}
