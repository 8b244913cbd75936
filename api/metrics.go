package api

import "net/http"

// Metrics are what GET /metrics serves. Without a login, as many that collect metrics ask,
// there is only what names nothing of any scope: the port is the one that tenants use.
type Metrics struct {
	// All are for admins and auditors: their labels name credentials, scopes, issuers and
	// repositories.
	All http.Handler
	// Open are for anybody.
	Open http.Handler
}

func (h *handler) metrics(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") == "" && !isLocal(r) {
		h.Metrics.Open.ServeHTTP(w, r)
		return
	}
	caller, err := h.caller(r)
	if err == nil {
		err = h.Service.ReadMetrics(r.Context(), caller)
	}
	if err != nil {
		h.fail(w, r, err)
		return
	}
	h.Metrics.All.ServeHTTP(w, r)
}
