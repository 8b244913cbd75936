package clustertoken_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"regcred.dev"
	"regcred.dev/clustertoken"
	"regcred.dev/regcredtest/fakecluster"
)

// TestKeysFailClosed shows an issuer that cannot be asked: nothing is accepted, and the
// error says that it is not the token's fault.
func TestKeysFailClosed(t *testing.T) {
	for name, q := range map[string]fakecluster.Quirks{
		"429":                     {Status: 429},
		"500":                     {Status: 500},
		"403":                     {Status: 403},
		"404":                     {Status: 404},
		"a redirect":              {Status: 302},
		"no answer":               {Hang: true},
		"HTML":                    {Body: "<html>"},
		"no keys":                 {Body: `{"keys":[]}`},
		"an endless body":         {Body: strings.Repeat(" ", 2<<20)},
		"another issuer":          {SaysIssuer: "https://evil.example.com"},
		"keys in clear":           {JWKSURL: "http://kubernetes.default.svc/openid/v1/jwks"},
		"keys in a file":          {JWKSURL: "file:///etc/passwd"},
		"keys behind a password":  {JWKSURL: "https://u:p@kubernetes.default.svc/openid/v1/jwks"},
		"keys that are nowhere":   {JWKSURL: "https://nowhere.example.com/jwks"},
		"keys at a relative path": {JWKSURL: "/openid/v1/jwks"},
	} {
		synctest.Test(t, func(t *testing.T) {
			fake := fakecluster.New(fakecluster.Options{Issuer: issuer})
			fake.Set(q)
			_, err := newOIDC(fake, nil).Verify(t.Context(), time.Now(), fake.Token(time.Now(), "shop", audience))
			if regcred.CodeOf(err) != regcred.Unavailable {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

// TestKeysServeWhileTheIssuerIsDown shows how long: an hour, and a new key is not
// believed meanwhile.
func TestKeysServeWhileTheIssuerIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := fakecluster.New(fakecluster.Options{Issuer: issuer})
		o := newOIDC(fake, nil)
		verify := func() error {
			_, err := o.Verify(t.Context(), time.Now(), fake.Token(time.Now(), "shop", audience))
			synctest.Wait()
			return err
		}
		must(t, verify())
		fake.Set(fakecluster.Quirks{Status: 500})
		for range 59 {
			time.Sleep(time.Minute)
			must(t, verify())
		}
		time.Sleep(2 * time.Minute)
		if err := verify(); regcred.CodeOf(err) != regcred.Unavailable {
			t.Errorf("after an hour: %v", err)
		}
		fake.Set(fakecluster.Quirks{})
		time.Sleep(11 * time.Second)
		must(t, verify())
		fake.Set(fakecluster.Quirks{Status: 429})
		fake.Rotate()
		if err := verify(); regcred.CodeOf(err) != regcred.Unauthenticated && regcred.CodeOf(err) != regcred.Unavailable {
			t.Errorf("a new key, while its issuer cannot be asked: %v", err)
		}
	})
}

// TestKeysRotate shows that a new key is believed at once, and one that is gone soon no
// more.
func TestKeysRotate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := fakecluster.New(fakecluster.Options{Issuer: issuer})
		o := newOIDC(fake, nil)
		verify := func(raw string) error {
			_, err := o.Verify(t.Context(), time.Now(), raw)
			synctest.Wait()
			return err
		}
		old := fake.Token(time.Now(), "shop", audience)
		must(t, verify(old))
		time.Sleep(11 * time.Second)
		fake.Rotate()
		must(t, verify(fake.Token(time.Now(), "shop", audience)))
		must(t, verify(old))
		fake.Forget()
		time.Sleep(11 * time.Minute)
		_ = verify(fake.Token(time.Now(), "shop", audience)) // has the keys read anew
		if err := verify(old); regcred.CodeOf(err) != regcred.Unauthenticated {
			t.Errorf("a key that the issuer has no more: %v", err)
		}
	})
}

// TestUnknownKeys shows how often strangers can have the keys read: every 10 seconds,
// however many they are.
func TestUnknownKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := fakecluster.New(fakecluster.Options{Issuer: issuer})
		stranger := fakecluster.New(fakecluster.Options{Issuer: issuer})
		o := newOIDC(fake, nil)
		raw := stranger.Token(time.Now(), "shop", audience)
		for range 1000 {
			if _, err := o.Verify(t.Context(), time.Now(), raw); regcred.CodeOf(err) != regcred.Unauthenticated {
				t.Fatal(err)
			}
			time.Sleep(60 * time.Millisecond) // a minute in all
		}
		if n := fake.Calls(fakecluster.JWKSPath); n < 2 || n > 7 {
			t.Errorf("the keys were read %d times in a minute", n)
		}
		if _, err := o.Verify(t.Context(), time.Now(), fake.Token(time.Now(), "shop", audience)); err != nil {
			t.Errorf("the issuer's own token after that: %v", err)
		}
	})
}

// TestManyWaitForOneRead shows that tokens which come at once share one request, and
// that a caller who gives up does not end it.
func TestManyWaitForOneRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := fakecluster.New(fakecluster.Options{Issuer: issuer})
		release := make(chan struct{})
		o := newOIDC(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			<-release
			fake.ServeHTTP(w, r)
		}), nil)
		raw := fake.Token(time.Now(), "shop", audience)
		impatient, cancel := context.WithCancel(t.Context())
		results := make(chan error, 21)
		go func() { _, err := o.Verify(impatient, time.Now(), raw); results <- err }()
		synctest.Wait()
		for range 20 {
			go func() { _, err := o.Verify(t.Context(), time.Now(), raw); results <- err }()
		}
		synctest.Wait()
		cancel()
		if err := <-results; regcred.CodeOf(err) != regcred.Unavailable {
			t.Errorf("who gave up: %v", err)
		}
		close(release)
		for range 20 {
			must(t, <-results)
		}
		if n := fake.Calls(fakecluster.JWKSPath); n != 1 {
			t.Errorf("the keys were read %d times", n)
		}
	})
}

// TestBearer shows to whom the server's own token goes: the hosts that the operator
// names, never one that a discovery document does.
func TestBearer(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	must(t, os.WriteFile(file, []byte("canary-token\n"), 0o600))
	fake := fakecluster.New(fakecluster.Options{Issuer: issuer, Bearer: "canary-token"})
	verify := func(change func(*clustertoken.OIDCOptions)) error {
		_, err := newOIDC(fake, change).Verify(t.Context(), time.Now(), fake.Token(time.Now(), "shop", audience))
		if err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("the error shows the token: %v", err)
		}
		return err
	}
	if err := verify(nil); regcred.CodeOf(err) != regcred.Unavailable || !strings.Contains(err.Error(), "403") {
		t.Errorf("without a token: %v", err)
	}
	must(t, verify(func(o *clustertoken.OIDCOptions) { o.TokenFile = file }))
	must(t, verify(func(o *clustertoken.OIDCOptions) {
		o.TokenFile, o.JWKSURL = file, "https://keys.example.com"+fakecluster.JWKSPath
	}))
	fake.Set(fakecluster.Quirks{JWKSURL: "https://keys.example.com" + fakecluster.JWKSPath})
	if err := verify(func(o *clustertoken.OIDCOptions) { o.TokenFile = file }); regcred.CodeOf(err) != regcred.Unavailable {
		t.Errorf("keys at a host that only the document names: %v", err)
	}
	if err := verify(func(o *clustertoken.OIDCOptions) { o.TokenFile = file + "x" }); regcred.CodeOf(err) != regcred.Unavailable {
		t.Errorf("a token that is not there: %v", err)
	}
}

// TestStrangeKeys shows that a key of a kind which is not known spoils no other.
func TestStrangeKeys(t *testing.T) {
	fake := fakecluster.New(fakecluster.Options{Issuer: issuer})
	k := fake.Key()
	key, err := jose.JSONWebKey{Key: k.Signer.Public(), KeyID: k.ID}.MarshalJSON()
	must(t, err)
	fake.Set(fakecluster.Quirks{Body: `{"keys":[{"kty":"PQC","kid":"x","pub":"AAAA"},` + string(key) + `]}`})
	_, err = newOIDC(fake, nil).Verify(t.Context(), time.Now(), fake.Token(time.Now(), "shop", audience))
	must(t, err)
}
