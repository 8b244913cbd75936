package registry_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"regcred.dev"
	"regcred.dev/registry"
	"regcred.dev/token"
)

// ledger is an audit log in memory, which cannot be written while it is broken.
type ledger struct {
	mu      sync.Mutex
	broken  bool
	entries []regcred.AuditEntry
}

func (l *ledger) add(e regcred.AuditEntry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken {
		return regcred.Errorf(regcred.Unavailable, "the audit log cannot be written")
	}
	l.entries = append(l.entries, e)
	return nil
}

func (l *ledger) Allow(_ context.Context, e regcred.AuditEntry) error {
	e.Allowed = true
	return l.add(e)
}

func (l *ledger) Refuse(_ context.Context, e regcred.AuditEntry) {
	e.Allowed = false
	_ = l.add(e)
}

func (l *ledger) Count(_ context.Context, e regcred.AuditEntry) { _ = l.add(e) }

// take returns what the log says, in lines, and empties it.
func (l *ledger) take() (lines []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.entries {
		outcome := "allowed"
		if !e.Allowed {
			outcome = "REFUSED"
		}
		lines = append(lines, strings.Join([]string{outcome, e.Caller, e.Operation, e.Repository, e.Detail}, " | "))
	}
	l.entries = nil
	return lines
}

// auditPolicy has a repository of an organization, one that anybody pulls, and one that
// anybody on this machine pushes to.
var auditPolicy = registry.Policy{
	{Pattern: "acme/*", Scope: regcred.OrgScope("acme"), Immutable: []string{"v*"}},
	{Pattern: "public/*", Public: true},
	{Pattern: "open/*", PushFrom: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
}

func newAudited(t testing.TB) (*harness, *ledger) {
	t.Helper()
	log := new(ledger)
	return newHarnessOf(t, auditPolicy, registry.Options{Audit: log, Owners: []string{"owner.example.com"}}), log
}

// empty is a manifest that needs nothing, and other one that is not it.
const (
	empty = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`
	other = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[],"annotations":{"a":"b"}}`
)

func put(path, manifest string) call {
	return call{method: http.MethodPut, path: path, body: manifest, header: map[string]string{"Content-Type": "application/vnd.oci.image.index.v1+json"}}
}

// TestAudited: who changes something at the registry is in the log, and so is who may
// not, by whichever way they log in.
func TestAudited(t *testing.T) {
	h, log := newAudited(t)
	d := digest.FromString(empty).String()
	layer := h.pushBlob(t, "acme/app", "layer").String()
	h.pushBlob(t, "acme/app", "content")
	pusher, id := h.named(t, regcred.RolePusher)
	puller, pullerID := h.named(t, regcred.RolePuller)
	admin, adminID := h.named(t, regcred.RoleAdmin)
	login := h.login(t, time.Hour, grant("acme/app", token.Pull, token.Push))
	ci, customer, root := "token "+id+" (test)", "token "+pullerID+" (test)", "token "+adminID+" (test)"
	nobody := regcred.Secret{}
	linked := "sha256:" + strings.Repeat("5", 64)
	for _, test := range []struct {
		name   string
		by     regcred.Secret
		c      call
		status int
		want   []string
	}{
		{"push", pusher, put("/v2/acme/app/manifests/v1", empty), 201, []string{"allowed | " + ci + " | push manifest | acme/app | acme/app:v1@" + d}},
		{"push by digest", pusher, put("/v2/acme/app/manifests/"+d+"?tag=a&tag=b", empty), 201, []string{"allowed | " + ci + " | push manifest | acme/app | acme/app:a,b@" + d}},
		{"push by a login", login, put("/v2/acme/app/manifests/c", empty), 201, []string{"allowed | credential credential-1 | push manifest | acme/app | acme/app:c@" + d}},
		{"push from a network", nobody, put("/v2/open/app/manifests/c", empty), 201, []string{"allowed | network 127.0.0.0/8 | push manifest | open/app | open/app:c@" + d}},
		{"push of an immutable tag", pusher, put("/v2/acme/app/manifests/v1", other), 403, []string{
			"allowed | " + ci + " | push manifest | acme/app | acme/app:v1@" + digest.FromString(other).String(),
			"REFUSED | " + ci + " | push manifest | acme/app | acme/app:v1: tag v1 of acme/app is immutable*",
		}},
		{"push by a puller", puller, put("/v2/acme/app/manifests/c", empty), 403, []string{"REFUSED | " + customer + " | push manifest | acme/app | acme/app:c: this login may not push acme/app"}},
		{"blob by a puller", puller, call{method: "POST", path: "/v2/acme/app/blobs/uploads/"}, 403, []string{"REFUSED | " + customer + " | push blob | acme/app | acme/app: this login may not push acme/app"}},
		{"link", pusher, call{method: "POST", path: "/v2/acme/app/blobs/uploads/?size=5&mount=" + linked + "&url=https://owner.example.com/x?signature=canary"}, 201,
			[]string{"allowed | " + ci + " | link blob | acme/app | acme/app@" + linked + " at owner.example.com"}},
		{"link elsewhere", pusher, call{method: "POST", path: "/v2/acme/app/blobs/uploads/?size=5&mount=" + linked + "&url=https://evil.example.com/x"}, 403,
			[]string{"REFUSED | " + ci + " | link blob | acme/app | acme/app: *"}},
		{"pull of another's", login, call{method: "GET", path: "/v2/other/manifests/v1"}, 403, []string{"REFUSED | credential credential-1 | pull | other | this login may not pull other"}},
		{"delete by a pusher", pusher, call{method: "DELETE", path: "/v2/acme/app/manifests/a"}, 403, []string{"REFUSED | " + ci + " | delete tag | acme/app | acme/app:a: this login may not delete acme/app"}},
		{"delete of a tag", admin, call{method: "DELETE", path: "/v2/acme/app/manifests/a"}, 202, []string{"allowed | " + root + " | delete tag | acme/app | acme/app:a"}},
		{"delete of a blob", admin, call{method: "DELETE", path: "/v2/acme/app/blobs/" + layer}, 202, []string{"allowed | " + root + " | delete blob | acme/app | acme/app@" + layer}},
		{"delete of a manifest", admin, call{method: "DELETE", path: "/v2/open/app/manifests/" + d}, 202, []string{"allowed | " + root + " | delete manifest | open/app | open/app@" + d}},
		{"delete of nothing", admin, call{method: "DELETE", path: "/v2/open/app/manifests/none"}, 404, []string{"allowed | " + root + " | delete tag | open/app | open/app:none"}},
		{"challenge", nobody, call{method: "GET", path: "/v2/acme/app/manifests/v1"}, 401, nil},
		{"challenge of a push", nobody, call{method: "POST", path: "/v2/acme/app/blobs/uploads/"}, 401, nil},
		{"a manifest that is none", pusher, put("/v2/acme/app/manifests/c", "{"), 400, []string{"allowed | " + ci + " | push manifest | acme/app | acme/app:c@" + digest.FromString("{").String()}},
	} {
		a := h.do(t, test.by, test.c)
		if a.status != test.status {
			t.Errorf("%s: %d %s", test.name, a.status, a.body)
		}
		wantLines(t, test.name, test.want, log.take())
	}
}

// named makes an API token of a role, and returns its ID too.
func (h *harness) named(t testing.TB, role regcred.Role) (secret regcred.Secret, id string) {
	t.Helper()
	secret = h.apiToken(t, role, regcred.Foundation)
	id, ok := token.APITokenID(secret.Reveal())
	if !ok {
		t.Fatal("this is no API token")
	}
	return secret, id
}

// wantLines compares lines; one that ends in a star may go on.
func wantLines(t *testing.T, name string, want, got []string) {
	t.Helper()
	for i := range min(len(want), len(got)) {
		if start, ok := strings.CutSuffix(want[i], "*"); ok && strings.HasPrefix(got[i], start) {
			got[i] = want[i]
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: the log (-want +got):\n%s", name, diff)
	}
}

// TestTokensAreAudited: what was asked for and granted at the token endpoint, by both of
// its forms, and that a Bearer token says whose it is.
func TestTokensAreAudited(t *testing.T) {
	h, log := newAudited(t)
	puller, id := h.named(t, regcred.RolePuller)
	customer := "token " + id + " (test)"
	form := func(password string) url.Values {
		return url.Values{"grant_type": {"password"}, "password": {password}, "scope": {"repository:acme/app:pull"}}
	}
	h.token(t, puller, "repository:acme/app:pull")
	h.token(t, puller, "repository:acme/app:pull,push")
	h.token(t, puller, "repository:acme/app:push")
	h.token(t, puller, "repository:acme/app:pull", "repository:acme/base:pull")
	h.token(t, puller)
	h.token(t, puller, "registry:catalog:*")
	h.post(t, form(puller.Reveal()))
	h.token(t, regcred.Secret{}, "repository:public/app:pull")
	h.do(t, regcred.Secret{}, call{method: "GET", path: registry.TokenPath + "?scope=repository:acme/app:pull"})
	h.do(t, puller, call{method: "POST", path: registry.TokenPath}) // no form
	wantLines(t, "tokens", []string{
		"allowed | " + customer + " | issue registry token | acme/app | repository:acme/app:pull",
		"allowed | " + customer + " | issue registry token | acme/app | repository:acme/app:pull of repository:acme/app:pull,push",
		"REFUSED | " + customer + " | issue registry token | acme/app | nothing of repository:acme/app:push",
		"allowed | " + customer + " | issue registry token |  | repository:acme/app:pull repository:acme/base:pull",
		"allowed | " + customer + " | issue registry token |  | ",
		"allowed | " + customer + " | issue registry token |  | ",
		"allowed | " + customer + " | issue registry token | acme/app | repository:acme/app:pull",
		"allowed | nobody | issue registry token | public/app | repository:public/app:pull",
		"REFUSED | nobody | issue registry token | acme/app | log in first*",
	}, log.take())

	bearer := map[string]string{"Authorization": "Bearer " + h.token(t, puller, "repository:acme/app:pull").Token}
	log.take()
	h.do(t, regcred.Secret{}, call{method: "DELETE", path: "/v2/acme/app/manifests/x", header: bearer})
	h.do(t, regcred.Secret{}, call{method: "GET", path: registry.TokenPath + "?scope=repository:acme/app:pull", header: bearer})
	wantLines(t, "Bearer", []string{
		"REFUSED | " + customer + " | delete tag | acme/app | acme/app:x: this login may not delete acme/app",
		"REFUSED | " + customer + " | issue registry token |  | a Bearer token cannot be exchanged*",
	}, log.take())
}

// TestBadLoginsAreAudited: of a login that is not good the log has what is wrong with it,
// and nothing that its sender made up.
func TestBadLoginsAreAudited(t *testing.T) {
	h, log := newAudited(t)
	good, id := h.named(t, regcred.RolePuller)
	wrong := good.Reveal()[:len(good.Reveal())-64] + strings.Repeat("0", 64)
	expired := sign(t, h.tokens, token.UseAccess, time.Nanosecond).Reveal()
	revoked := sign(t, h.tokens, token.UseLogin, time.Hour).Reveal()
	if err := h.tokens.Revoke(t.Context(), "credential-1", time.Now().Add(time.Minute), time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	basic := func(password string) string {
		r, _ := http.NewRequest(http.MethodGet, "/", nil)
		r.SetBasicAuth("canary-user", password)
		return r.Header.Get("Authorization")
	}
	for _, test := range []struct{ header, want string }{
		{basic(wrong), "unknown or wrong, of " + id},
		{basic("rcat_canary"), "malformed"},
		{basic("canary"), "unknown or wrong"},
		{basic("canary.canary.canary"), "unknown or wrong"},
		{basic(revoked), "revoked, of credential-1"},
		{"Bearer " + expired, "expired, of credential-1"},
		{"Bearer canary", "unknown or wrong"},
		{"Bearer " + revoked, "not for this server or use, of credential-1"},
		{"Canary x", "malformed"},
	} {
		for _, path := range []string{"/v2/", "/v2/acme/app/manifests/v1", registry.TokenPath} {
			a := h.do(t, regcred.Secret{}, call{method: "GET", path: path, header: map[string]string{"Authorization": test.header}})
			if a.status != http.StatusUnauthorized {
				t.Errorf("%s at %s: %d", test.want, path, a.status)
			}
			wantLines(t, test.want+" at "+path, []string{"REFUSED | nobody | authenticate |  | " + test.want}, log.take())
		}
	}
	h.post(t, url.Values{"grant_type": {"password"}, "password": {"canary"}})
	wantLines(t, "the OAuth2 form", []string{"REFUSED | nobody | authenticate |  | unknown or wrong"}, log.take())
}

// TestPullsAreNotAudited: nobody looks up a pull in the log, so none waits for it.
func TestPullsAreNotAudited(t *testing.T) {
	h, log := newAudited(t)
	pushImage(t, h.storage, "acme/app", "v1")
	blob := h.pushBlob(t, "acme/app", "content").String()
	puller, _ := h.named(t, regcred.RolePuller)
	for _, path := range []string{
		"/v2/", "/v2/_catalog", "/v2/acme/app/tags/list", "/v2/acme/app/manifests/v1", "/v2/acme/app/blobs/" + blob,
		"/v2/acme/app/referrers/" + blob, "/v2/acme/app/manifests/none",
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			h.do(t, puller, call{method: method, path: path})
		}
	}
	if lines := log.take(); len(lines) > 0 {
		t.Errorf("the log: %q", lines)
	}
}

// TestNoChangeWithoutTheLog: while the log cannot be written nothing is changed, and pulls
// go on.
func TestNoChangeWithoutTheLog(t *testing.T) {
	h, log := newAudited(t)
	pushImage(t, h.storage, "acme/app", "v1")
	blob := h.pushBlob(t, "acme/app", "content").String()
	admin := h.admin(t)
	log.broken = true
	for name, c := range map[string]call{
		"push":            put("/v2/acme/app/manifests/new", empty),
		"link":            {method: "POST", path: "/v2/acme/app/blobs/uploads/?size=5&mount=sha256:" + strings.Repeat("5", 64) + "&url=https://owner.example.com/x"},
		"delete tag":      {method: "DELETE", path: "/v2/acme/app/manifests/v1"},
		"delete blob":     {method: "DELETE", path: "/v2/acme/app/blobs/" + blob},
		"delete manifest": {method: "DELETE", path: "/v2/acme/app/manifests/" + blob},
	} {
		if a := h.do(t, admin, c); a.status != http.StatusServiceUnavailable || a.code() != "UNAVAILABLE" || !strings.Contains(a.body, "audit log") {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	bearer := map[string]string{"Authorization": "Bearer " + h.token(t, admin, "repository:acme/app:pull").Token}
	for path, status := range map[string]int{
		"/v2/acme/app/manifests/v1": 200, "/v2/acme/app/blobs/" + blob: 200, "/v2/acme/app/manifests/new": 404,
		"/v2/acme/app/blobs/sha256:" + strings.Repeat("5", 64): 404,
	} {
		if a := h.do(t, regcred.Secret{}, call{method: "GET", path: path, header: bearer}); a.status != status {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
}

// TestAuditedAddress: whoever is not a trusted proxy says nothing of where they call from.
func TestAuditedAddress(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/28")}
	server, err := registry.New(registry.Options{Storage: openStorage(t, t.TempDir()), Tokens: newTokens(t, "x"), TrustedProxies: proxies})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ peer, forwarded, want string }{
		{"198.51.100.1:1", "", "198.51.100.1"},
		{"198.51.100.1:1", "203.0.113.9", "198.51.100.1"},
		{"[2001:db8::1]:1", "", "2001:db8::1"},
		{"[::ffff:198.51.100.1]:1", "", "198.51.100.1"},
		{"192.0.2.1:1", "203.0.113.9", "203.0.113.9"},
		{"192.0.2.1:1", "10.0.0.1, 203.0.113.9, 192.0.2.2", "203.0.113.9"},
		{"192.0.2.1:1", "", "192.0.2.1"},
		{"192.0.2.1:1", "canary", "192.0.2.1"},
		{"@", "203.0.113.9", ""},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = test.peer
		if test.forwarded != "" {
			r.Header.Set("X-Forwarded-For", test.forwarded)
		}
		if got := server.Address(r); got != test.want {
			t.Errorf("peer %s, forwarded for %q: %q, want %q", test.peer, test.forwarded, got, test.want)
		}
	}
}

// BenchmarkAuditedGet measures pulls of a manifest within the process, without an audit
// log and with one, which must make no difference.
func BenchmarkAuditedGet(b *testing.B) {
	tokens := newTokens(b, "registry.test")
	storage := openStorage(b, b.TempDir())
	pushImage(b, storage, "a", "v1")
	bearer := "Bearer " + sign(b, tokens, token.UseAccess, time.Hour, grant("a", token.Pull)).Reveal()
	pull := func(server *registry.Server) {
		r := httptest.NewRequest(http.MethodGet, "/v2/a/manifests/v1", nil)
		r.Header.Set("Authorization", bearer)
		w := httptest.NewRecorder()
		if server.ServeHTTP(w, r); w.Code != http.StatusOK {
			b.Fatal(w.Code, w.Body)
		}
	}
	for _, audited := range []bool{false, true} {
		o := registry.Options{Storage: storage, Tokens: tokens}
		if audited {
			o.Audit = new(ledger)
		}
		server, err := registry.New(o)
		if err != nil {
			b.Fatal(err)
		}
		for began := time.Now(); time.Since(began) < 3*time.Second; { // what was just pushed is not cached yet
			pull(server)
		}
		b.Run(fmt.Sprintf("audited=%t", audited), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				pull(server)
			}
		})
	}
}

// TestAuditedOperations: what the registry has in the log is what filters know.
func TestAuditedOperations(t *testing.T) {
	h, log := newAudited(t)
	admin := h.admin(t)
	for _, method := range []string{"GET", "PUT", "POST", "DELETE", "PATCH"} {
		for _, path := range []string{"_catalog", "x/manifests/t", "x/manifests/sha256:" + strings.Repeat("0", 64), "x/blobs/sha256:" + strings.Repeat("0", 64), "x/blobs/uploads/", "x/blobs/uploads/id"} {
			h.do(t, admin, call{method: method, path: "/v2/" + path})
			h.do(t, h.login(t, time.Hour), call{method: method, path: "/v2/" + path})
		}
	}
	h.token(t, admin)
	seen := map[string]bool{}
	for _, e := range log.entries {
		seen[e.Operation] = true
		if !slices.Contains(regcred.AuditOperations, e.Operation) {
			t.Errorf("%q is no operation", e.Operation)
		}
	}
	for _, operation := range []string{"pull", "push manifest", "push blob", "delete tag", "delete manifest", "delete blob", "issue registry token"} {
		if !seen[operation] {
			t.Errorf("the log has no %q", operation)
		}
	}
}
