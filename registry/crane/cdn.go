package crane

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strconv"
	"strings"
	"time"

	"regcred.dev"
)

// DefaultTTL and DefaultParam are those of Crane.
const (
	DefaultTTL   = 300 * time.Second
	DefaultParam = "_auth_"
)

// CDN says how the URLs of v2's redirects are changed for a content delivery network.
// The zero CDN changes nothing.
type CDN struct {
	// From in a URL is replaced by To, wherever it stands. Both or neither are set:
	// Crane's url_match and url_replace.
	From, To string
	// Secret, in hexadecimal digits, signs a token that is added to each URL, as
	// Akamai's "Authorization Token 2.0" has it; without it there is none. Crane's
	// url_auth_secret.
	Secret regcred.Secret
	// TTL is how long a token is good for, in whole seconds; DefaultTTL where it is 0.
	TTL time.Duration
	// Param names the token in the URL; DefaultParam where it is "".
	Param string
}

// rewriter changes URLs as a CDN says.
type rewriter struct {
	from, to string
	key      []byte // nil for no tokens
	ttl      time.Duration
	param    string
}

// rewriter returns it. Errors: Invalid.
func (c CDN) rewriter() (*rewriter, error) {
	if (c.From == "") != (c.To == "") {
		return nil, regcred.Errorf(regcred.Invalid, "cdn: from is replaced by to: set both")
	}
	w := &rewriter{from: c.From, to: c.To, ttl: cmp.Or(c.TTL, DefaultTTL), param: cmp.Or(c.Param, DefaultParam)}
	if w.ttl < time.Second {
		return nil, regcred.Errorf(regcred.Invalid, "cdn: tokens have to be good for a second at least, not for %v", w.ttl)
	}
	if c.Secret.IsZero() {
		return w, nil
	}
	key, err := hex.DecodeString(c.Secret.Reveal())
	if err != nil { // which would quote a part of it
		return nil, regcred.Errorf(regcred.Invalid, "cdn: the secret is not an even number of hexadecimal digits")
	}
	w.key = key
	return w, nil
}

// rewrite returns the URL to which clients are sent instead.
func (w *rewriter) rewrite(now time.Time, target string) string {
	if w.from != "" {
		target = strings.ReplaceAll(target, w.from, w.to)
	}
	if w.key == nil {
		return target
	}
	return target + "?" + url.QueryEscape(w.param) + "=" + w.token(now, pathOf(target))
}

// token returns what lets its bearer have a path until it expires.
func (w *rewriter) token(now time.Time, path string) string {
	expiry := "exp=" + strconv.FormatInt(now.Add(w.ttl).Unix(), 10) + "~"
	mac := hmac.New(sha256.New, w.key)
	mac.Write([]byte(expiry + "url=" + path))
	return expiry + "hmac=" + hex.EncodeToString(mac.Sum(nil))
}

// pathOf returns the path of a URL as it is written there.
func pathOf(target string) string {
	_, rest, _ := strings.Cut(target, "://")
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		return rest[i:]
	}
	return ""
}
