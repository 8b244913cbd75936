package bucket_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"regcred.dev"
	"regcred.dev/regcredtest"
	"regcred.dev/registry"
	"regcred.dev/registry/bucket"
)

// fakeGoogle is as much of Google's XML API as small objects need: it checks the
// signature, allows no header of Amazon's, and has generations for conditions.
type fakeGoogle struct {
	t       *testing.T
	secret  string
	objects map[string]googleObject
	last    int64
}

type googleObject struct {
	data       []byte
	generation int64
	meta       http.Header
}

func (g *fakeGoogle) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Amz-") {
			fakeError(w, http.StatusBadRequest, "ExcessHeaderValues")
			return
		}
	}
	if !g.signed(r) {
		fakeError(w, http.StatusForbidden, "SignatureDoesNotMatch")
		return
	}
	object, there := g.objects[r.URL.Path]
	if want := r.Header.Get("X-Goog-If-Generation-Match"); want != "" && want != strconv.FormatInt(object.generation, 10) {
		fakeError(w, http.StatusPreconditionFailed, "PreconditionFailed")
		return
	}
	switch {
	case r.Method == http.MethodPut:
		data, err := io.ReadAll(r.Body)
		if err != nil {
			g.t.Error(err)
		}
		g.last++
		object = googleObject{data, g.last, http.Header{}}
		for name, values := range r.Header {
			if strings.HasPrefix(name, "X-Goog-Meta-") {
				object.meta[name] = values
			}
		}
		g.objects[r.URL.Path] = object
		w.Header().Set("X-Goog-Generation", strconv.FormatInt(object.generation, 10))
		w.Header().Set("Etag", `"an-md5"`)
	case !there:
		fakeError(w, http.StatusNotFound, "NoSuchKey")
	case r.Method == http.MethodDelete:
		delete(g.objects, r.URL.Path)
		w.WriteHeader(http.StatusNoContent)
	default:
		maps.Copy(w.Header(), object.meta)
		w.Header().Set("X-Goog-Generation", strconv.FormatInt(object.generation, 10))
		http.ServeContent(w, r, "", time.Now(), strings.NewReader(string(object.data)))
	}
}

// signed checks the signature of a request, in its header or in its query.
func (g *fakeGoogle) signed(r *http.Request) bool {
	q := r.URL.Query()
	signature, names, date, payload := q.Get("X-Goog-Signature"), q.Get("X-Goog-SignedHeaders"), q.Get("X-Goog-Date"), "UNSIGNED-PAYLOAD"
	credential := q.Get("X-Goog-Credential")
	if signature == "" {
		_, err := fmt.Sscanf(r.Header.Get("Authorization"), "GOOG4-HMAC-SHA256 Credential=%s SignedHeaders=%s Signature=%s", &credential, &names, &signature)
		if err != nil {
			return false
		}
		credential, names = strings.TrimSuffix(credential, ","), strings.TrimSuffix(names, ",")
		date, payload = r.Header.Get("X-Goog-Date"), r.Header.Get("X-Goog-Content-Sha256")
		for name := range r.Header { // each of these has to be signed
			if name = strings.ToLower(name); strings.HasPrefix(name, "x-goog-") && !slices.Contains(strings.Split(names, ";"), name) {
				return false
			}
		}
	}
	q.Del("X-Goog-Signature")
	canonical := r.Method + "\n" + r.URL.EscapedPath() + "\n" + strings.ReplaceAll(q.Encode(), "+", "%20") + "\n"
	for name := range strings.SplitSeq(names, ";") {
		value := r.Header.Get(name)
		if name == "host" {
			value = r.Host
		}
		canonical += name + ":" + value + "\n"
	}
	canonical += "\n" + names + "\n" + payload
	scope := date[:8] + "/auto/storage/goog4_request"
	sum := sha256.Sum256([]byte(canonical))
	key := []byte("GOOG4" + g.secret)
	for _, part := range append(strings.Split(scope, "/"), "GOOG4-HMAC-SHA256\n"+date+"\n"+scope+"\n"+hex.EncodeToString(sum[:])) {
		mac := hmac.New(sha256.New, key)
		_, _ = io.WriteString(mac, part)
		key = mac.Sum(nil)
	}
	return credential == "GOOG1EXAMPLE/"+scope && signature == hex.EncodeToString(key)
}

func googleOptions(t *testing.T) bucket.Options {
	t.Helper()
	const secret = "secret-of-google"
	return bucket.Options{
		Bucket: "images", Endpoint: "https://storage.googleapis.com", PathStyle: true,
		AccessKeyID: "GOOG1EXAMPLE", SecretAccessKey: regcred.NewSecret(secret),
		Backoff:   time.Nanosecond,
		Transport: regcredtest.HandlerTransport{"storage.googleapis.com": &fakeGoogle{t: t, secret: secret, objects: map[string]googleObject{}}},
	}
}

func TestGoogle(t *testing.T) {
	b := open(t, googleOptions(t))
	put(t, b, "a+b/k", "one", registry.IfAbsent)
	wantError(t, b.Put(t.Context(), "a+b/k", []byte("two"), registry.IfAbsent), regcred.Exists)
	data, version, err := b.Read(t.Context(), "a+b/k")
	if err != nil || string(data) != "one" {
		t.Fatalf("%q, %v", data, err)
	}
	put(t, b, "a+b/k", "two", registry.IfVersion(version))
	wantError(t, b.Put(t.Context(), "a+b/k", []byte("three"), registry.IfVersion(version)), regcred.Stale)
	wantError(t, b.Delete(t.Context(), "a+b/k", registry.IfVersion(version)), regcred.Stale)
	if got := read(t, b, "a+b/k"); got != "two" {
		t.Errorf("it is %q", got)
	}
	object, err := b.Get(t.Context(), "a+b/k")
	if err != nil {
		t.Fatal(err)
	}
	defer object.Close()
	if got, err := io.ReadAll(object); err != nil || string(got) != "two" {
		t.Errorf("Get reads %q, %v", got, err)
	}
	_, version, err = b.Read(t.Context(), "a+b/k")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Delete(t.Context(), "a+b/k", registry.IfVersion(version)); err != nil {
		t.Error(err)
	}
	_, err = b.Stat(t.Context(), "a+b/k")
	wantError(t, err, regcred.NotFound)
}

func TestGooglePresigned(t *testing.T) {
	o := googleOptions(t)
	b := open(t, o)
	put(t, b, "k", "content", registry.Condition{})
	u, err := b.Locate(t.Context(), "k", http.MethodGet, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if u.Query().Get("X-Goog-Expires") != "3600" || u.Query().Has("X-Amz-Signature") {
		t.Errorf("query %s", u.RawQuery)
	}
	for _, test := range []struct {
		url    string
		status int
	}{{u.String(), http.StatusOK}, {strings.Replace(u.String(), "3600", "3601", 1), http.StatusForbidden}} {
		target, err := url.Parse(test.url)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := o.Transport.RoundTrip((&http.Request{Method: http.MethodGet, URL: target, Header: http.Header{}}).WithContext(t.Context()))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != test.status {
			t.Errorf("status %d, want %d", resp.StatusCode, test.status)
		}
	}
}
