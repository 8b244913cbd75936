package api_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"regcred.dev/api"
)

// TestImages holds that paths of the registry are answered by nobody else, and that a
// panic there is said as elsewhere.
func TestImages(t *testing.T) {
	var log bytes.Buffer
	h := api.New(api.Options{
		Log: slog.New(slog.NewTextHandler(&log, nil)),
		Images: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/v2/panic" {
				panic(errors.New("broken image"))
			}
			_, _ = w.Write([]byte("image of " + r.URL.Path))
		}),
	})
	for path, want := range map[string]string{"/v2/a/manifests/v1": "image of /v2/a/manifests/v1", "/v2//a": "image of /v2//a", "/v2x": "there is nothing at /v2x", "/healthz": "ok"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, http.NoBody))
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v2/panic", http.NoBody))
	if w.Code != http.StatusInternalServerError || !strings.Contains(log.String(), "broken image") || strings.Contains(w.Body.String(), "broken") {
		t.Errorf("a panic: %d %s; the log says %s", w.Code, w.Body, log.String())
	}
}
