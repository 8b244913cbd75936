package exec

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"regcred.dev"
	"regcred.dev/provider/internal/jwt"
)

// identityToken is the user name beside which a helper gives an identity token.
const identityToken = "<token>"

// answer is what a helper gives.
type answer struct {
	username string
	password regcred.Secret
}

// parseAnswer reads the answer of the program called name to a question for
// serverURL: one JSON object with "Username", "Secret" and mostly "ServerURL", which
// then has to be of the same host.
//
// A login that HTTP Basic authentication (RFC 7617) or a docker config file cannot
// carry is refused.
func parseAnswer(name, serverURL string, out []byte) (answer, error) {
	refuse := func(why string) (answer, error) {
		return answer{}, regcred.Errorf(regcred.Unavailable, "%s gave no login that can be used: %s", name, why)
	}
	var got struct {
		ServerURL string `json:"ServerURL"`
		Username  string `json:"Username"`
		Secret    string `json:"Secret"`
	}
	decoder := json.NewDecoder(bytes.NewReader(out))
	if err := decoder.Decode(&got); err != nil {
		return refuse(`its output is no JSON object with "Username" and "Secret"`)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return refuse("more follows its JSON object")
	}
	switch {
	case got.ServerURL != "" && !sameHost(got.ServerURL, serverURL):
		return refuse("it is for another server than " + serverURL)
	case got.Username == identityToken:
		return answer{}, regcred.Errorf(regcred.Invalid, "%s gave an identity token, which most clients cannot pull with: log it in with a user name and an access token or password", name)
	case got.Username == "" || strings.Contains(got.Username, ":") || !isText(got.Username) || strings.ContainsFunc(got.Username, unicode.IsControl):
		return refuse("its user name is empty, or holds a colon or control characters")
	case got.Secret == "" || !isText(got.Secret):
		return refuse("its secret is empty or no text")
	}
	return answer{username: got.Username, password: regcred.NewSecret(got.Secret)}, nil
}

// isText reports whether s could be JSON's text throughout: the decoder puts
// replacement characters where it was not.
func isText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsAny(s, "\x00\ufffd")
}

// sameHost reports whether two server URLs are of one host, however they are written.
func sameHost(a, b string) bool {
	hostA, errA := hostOf(a)
	hostB, errB := hostOf(b)
	return a == b || errA == nil && errB == nil && hostA == hostB
}

// expiry returns when a login that was asked for at asked is taken to end: after
// lifetime, or where its password is a JWT (RFC 7519) that ends earlier, then. Who
// signed that does not matter: it can only make the login shorter.
func expiry(asked time.Time, lifetime time.Duration, password regcred.Secret) time.Time {
	end := asked.Add(lifetime)
	if exp, err := jwt.ExpiryOf(password.Reveal()); err == nil && exp.Before(end) {
		return exp
	}
	return end
}
