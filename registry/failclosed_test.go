package registry_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"regcred.dev"
	"regcred.dev/registry"
	"regcred.dev/token"
)

// failingTokens fails in every call.
type failingTokens struct{ err error }

func (f failingTokens) Verify(time.Time, string, string) (token.Claims, error) {
	return token.Claims{Subject: "s", Grants: []token.Grant{{Repository: "*", Actions: token.Actions}}}, f.err
}

func (f failingTokens) APIToken(context.Context, time.Time, string) (regcred.APIToken, error) {
	return regcred.APIToken{ID: "0123456789ab", Role: regcred.RoleAdmin}, f.err
}

func (f failingTokens) Sign(token.Claims) (regcred.Secret, error) {
	return regcred.NewSecret("signed"), f.err
}

// TestFailClosed lets nobody in while logins cannot be checked.
func TestFailClosed(t *testing.T) {
	storage := openStorage(t, t.TempDir())
	pushImage(t, storage, "a", "v1")
	for _, test := range []struct {
		err    error
		status int
		logged bool
	}{
		{regcred.Errorf(regcred.Unavailable, "the store is away"), 503, true},
		{regcred.Errorf(regcred.Unauthenticated, "unknown"), 401, false},
		{regcred.Errorf(regcred.Corrupt, "damaged"), 500, true},
		{errors.New("something else"), 500, true},
		{context.DeadlineExceeded, 500, true},
	} {
		log := new(syncBuffer)
		server, err := registry.New(registry.Options{Storage: storage, Tokens: failingTokens{test.err}, Log: slog.New(slog.NewTextHandler(log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"/v2/", "/v2/a/manifests/v1", "/v2/_catalog", tokenPath + "?scope=repository:a:pull"} {
			for _, authorization := range []string{"Bearer x", "Basic eDpyY2F0XzAx", "Basic eDphLmIuYw=="} { // x:rcat_01 and x:a.b.c
				r := httptest.NewRequest(http.MethodGet, path, nil)
				r.Header.Set("Authorization", authorization)
				w := httptest.NewRecorder()
				server.ServeHTTP(w, r)
				if w.Code != test.status || strings.Contains(w.Body.String(), "signed") {
					t.Errorf("%v: %s with %s: %d %s", test.err, path, authorization, w.Code, w.Body)
				}
			}
		}
		if logged := strings.Contains(log.String(), "level=ERROR"); logged != test.logged {
			t.Errorf("%v: logged %t: %s", test.err, logged, log)
		}
	}
}

// TestCancelled does not blame the server for a client that went away.
func TestCancelled(t *testing.T) {
	h := newHarness(t)
	log := new(syncBuffer)
	server, err := registry.New(registry.Options{Storage: h.storage, Tokens: h.tokens, Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/v2/a/manifests/v1", nil)
	r.SetBasicAuth("x", h.login(t, time.Minute, grant("a", token.Pull)).Reveal())
	w := httptest.NewRecorder()
	server.ServeHTTP(w, r)
	if w.Code != http.StatusServiceUnavailable || log.String() != "" {
		t.Errorf("%d %s, log %s", w.Code, w.Body, log)
	}
}

func TestNewNeeds(t *testing.T) {
	if _, err := registry.New(registry.Options{}); regcred.CodeOf(err) != regcred.Invalid {
		t.Errorf("a server of nothing: %v", err)
	}
}

// failingStorage is Blobs that fail in words for who runs the registry.
type failingStorage struct{ registry.Blobs }

func (f failingStorage) Read(context.Context, string) ([]byte, string, error) {
	return nil, "", registry.Operational(regcred.Errorf(regcred.Unavailable, "bucket images at storage.internal is away"))
}

// TestOperational tells the log what is wrong with the storage, and clients that
// something is.
func TestOperational(t *testing.T) {
	log := new(syncBuffer)
	storage := registry.NewStorage(failingStorage{newMemBlobs()}, registry.StorageOptions{})
	server, err := registry.New(registry.Options{Storage: storage, Tokens: failingTokens{}, Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, "/v2/a/manifests/v1", nil)
	r.Header.Set("Authorization", "Bearer x")
	w := httptest.NewRecorder()
	server.ServeHTTP(w, r)
	if w.Code != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), "internal") || !strings.Contains(w.Body.String(), "try again") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if !strings.Contains(log.String(), "storage.internal") {
		t.Errorf("the log has %s", log)
	}
}
