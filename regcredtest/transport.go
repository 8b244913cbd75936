package regcredtest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
)

// HandlerTransport is a transport that hands requests to handlers in the same
// process, by the host of the URL ("example.com", with the port where the URL has
// one). It works under testing/synctest, where sockets do not. A host that has no
// handler cannot be reached.
type HandlerTransport map[string]http.Handler

// RoundTrip implements http.RoundTripper. A request whose context ends while the
// handler is at work fails with the context's error.
func (t HandlerTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	handler, ok := t[req.URL.Host]
	if !ok {
		return nil, fmt.Errorf("no such host: %s", req.URL.Host)
	}
	// What a server sees: the path and query alone, and a body that is never nil.
	in := req.Clone(req.Context())
	in.RequestURI = req.URL.RequestURI()
	in.Host = req.URL.Host
	if req.Host != "" {
		in.Host = req.Host
	}
	if in.Body == nil {
		in.Body = http.NoBody
	}
	answer := httptest.NewRecorder()
	served := make(chan struct{})
	go func() {
		defer close(served)
		handler.ServeHTTP(answer, in)
	}()
	select {
	case <-served:
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
	resp := answer.Result()
	resp.Request = req
	return resp, nil
}
