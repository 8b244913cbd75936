package google_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"regcred.dev"
	"regcred.dev/provider/google"
	"regcred.dev/regcredtest/fakegoogle"
)

// nowhere is a transport without a network, that knows Google's token endpoints.
type nowhere struct{ *testing.T }

func (n nowhere) RoundTrip(req *http.Request) (*http.Response, error) {
	known := []string{fakegoogle.TokenHost, fakegoogle.OldTokenHost, "www.googleapis.com"}
	if req.URL.Scheme != "https" || !slices.Contains(known, req.URL.Host) {
		n.Errorf("the key directs a request to %s", req.URL)
	}
	return nil, errors.New("no network")
}

// FuzzKey mints from a key of anybody's: Google is asked, or the key is refused as
// Invalid in an error that quotes nothing long of it.
func FuzzKey(f *testing.F) {
	key := fakegoogle.New(fakegoogle.Options{}).NewKey(puller).JSON()
	f.Add(key)
	f.Add(base64.StdEncoding.EncodeToString([]byte(key)))
	f.Fuzz(func(t *testing.T, text string) {
		p := google.New(google.Options{Transport: nowhere{t}})
		c := credential(location)
		c.Secrets["key"] = regcred.NewSecret(text)
		checked := p.Check(c)
		_, err := p.Mint(t.Context(), c)
		switch code := regcred.CodeOf(err); {
		case err == nil:
			t.Fatal("a login without a network")
		case checked != nil && code != regcred.Invalid, checked == nil && code != regcred.Unavailable && code != regcred.Invalid:
			t.Fatalf("Check: %v; Mint: %s: %v", checked, code, err)
		case len(err.Error()) > 500:
			t.Fatalf("the error has %d bytes: %v", len(err.Error()), err)
		}
	})
}

// FuzzFederation reads a configuration: what is accepted can be named, and asked.
func FuzzFederation(f *testing.F) {
	p := google.New(google.Options{})
	f.Fuzz(func(t *testing.T, text string) {
		c := credential(location, "federation", text)
		_ = p.Issuer(c)
		err := p.Check(c)
		if err == nil && strings.Contains(text, `"client_secret":"x`) {
			t.Fatalf("a secret is accepted in a setting that is shown: %q", text)
		}
		if err != nil && regcred.CodeOf(err) != regcred.Invalid {
			t.Fatalf("the error is %s: %v", regcred.CodeOf(err), err)
		}
	})
}
