package registry_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"regcred.dev"
	"regcred.dev/regcredtest/pipenet"
	"regcred.dev/registry"
	"regcred.dev/token"
)

// stallTime is how long a client may stall here.
const stallTime = 2 * time.Second

// slowUpload is an upload of 12 bytes to a registry in memory, so that a bubble's clock
// runs for it: the header of its PATCH is sent.
type slowUpload struct {
	*testing.T
	server   http.Handler
	admin    regcred.Secret
	location string
	conn     net.Conn
}

func newSlowUpload(t *testing.T) *slowUpload {
	t.Helper()
	tokens := newTokens(t, "registry.test")
	server, err := registry.New(registry.Options{
		Storage: registry.NewStorage(newMemBlobs(), registry.StorageOptions{}), Tokens: tokens, Patience: stallTime,
	})
	if err != nil {
		t.Fatal(err)
	}
	_, admin, err := tokens.CreateAPIToken(t.Context(), regcred.APIToken{Name: "test", Role: regcred.RoleAdmin})
	if err != nil {
		t.Fatal(err)
	}
	u := &slowUpload{T: t, server: server, admin: admin}
	u.location = u.do("POST", "/v2/a/blobs/uploads/", "", nil).Header().Get("Location")
	u.conn = pipenet.Connect(t, &http.Server{Handler: server})
	if err := u.conn.SetDeadline(time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	bearer := sign(t, tokens, token.UseAccess, time.Hour, grant("a", token.Pull, token.Push)).Reveal()
	u.send(fmt.Sprintf("PATCH %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 12\r\n\r\n", u.location, bearer))
	return u
}

// send goes on with the upload.
func (u *slowUpload) send(s string) {
	u.Helper()
	if _, err := io.WriteString(u.conn, s); err != nil {
		u.Fatal(err)
	}
}

// answer waits for that to the upload.
func (u *slowUpload) answer() *http.Response {
	u.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(u.conn), nil)
	if err != nil {
		u.Fatal(err)
	}
	u.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

// do sends another request.
func (u *slowUpload) do(method, path, body string, header http.Header) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(u.Context(), method, path, strings.NewReader(body))
	for name := range header {
		r.Header.Set(name, header.Get(name))
	}
	r.SetBasicAuth("anyone", u.admin.Reveal())
	w := httptest.NewRecorder()
	u.server.ServeHTTP(w, r)
	return w
}

// TestStalledUpload sends half of a chunk and no more: the client is told so, and the
// upload goes on where it stopped.
func TestStalledUpload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newSlowUpload(t)
		u.send("012345")
		began := time.Now()
		resp := u.answer()
		if resp.StatusCode != http.StatusRequestTimeout || !resp.Close || time.Since(began) != stallTime {
			t.Errorf("a client that stalls: %d after %s", resp.StatusCode, time.Since(began))
		}
		w := u.do("PUT", u.location+"?digest="+digest.FromString("0123456789ab").String(), "6789ab", http.Header{"Content-Range": {"6-11"}})
		if w.Code != http.StatusCreated {
			t.Errorf("going on: %d %s", w.Code, w.Body)
		}
	})
}

// TestSlowUpload takes longer than the patience is, but never as long for a byte.
func TestSlowUpload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newSlowUpload(t)
		for b := range strings.SplitSeq("0123456789ab", "") {
			time.Sleep(stallTime - time.Millisecond)
			u.send(b)
		}
		if resp := u.answer(); resp.StatusCode != http.StatusAccepted || resp.Header.Get("Range") != "0-11" {
			t.Errorf("%d %v", resp.StatusCode, resp.Header)
		}
	})
}
