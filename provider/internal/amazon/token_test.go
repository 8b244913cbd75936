package amazon_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"regcred.dev"
	"regcred.dev/provider/internal/amazon"
	"regcred.dev/regcredtest"
)

func encode(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

func TestParseToken(t *testing.T) {
	tests := []struct {
		name, text, want string // want "": an error
	}{
		{"a token", encode("AWS:canary-4711"), "canary-4711"},
		{"a token with colons", encode("AWS:a:b:"), "a:b:"},
		{"a long one", encode("AWS:" + strings.Repeat("x", 60_000)), strings.Repeat("x", 60_000)},
		{"one that no header has room for", encode("AWS:" + strings.Repeat("x", 100_000)), ""},
		{"empty", "", ""},
		{"no password", encode("AWS:"), ""},
		{"no colon", encode("AWS"), ""},
		{"another user", encode("root:canary-4711"), ""},
		{"another user's prefix", encode("AWSx:canary-4711"), ""},
		{"lower case", encode("aws:canary-4711"), ""},
		{"not in base64", "AWS:canary-4711", ""},
		{"base64url", strings.TrimRight(base64.URLEncoding.EncodeToString([]byte("AWS:\xff\xfe???>>>")), "="), ""},
		{"without padding", strings.TrimRight(encode("AWS:canary-471"), "="), ""},
		{"more behind it", encode("AWS:canary-4711") + "=", ""},
		{"bits behind it", "QVdTOmFiY2R=", ""},
		{"a line break in base64", encode("AWS:canary-4711")[:8] + "\n" + encode("AWS:canary-4711")[8:], ""},
		{"a line break at the end", encode("AWS:canary-4711") + "\n", ""},
		{"a line break in the password", encode("AWS:canary\n4711"), ""},
		{"a space in the password", encode("AWS:canary 4711"), ""},
		{"a NUL byte", encode("AWS:canary\x004711"), ""},
		{"not UTF-8", encode("AWS:\xff\xfe"), ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := amazon.ParseToken(test.text)
			if got.Reveal() != test.want || (err != nil) != (test.want == "") {
				t.Fatalf("got %q, %v", got.Reveal(), err)
			}
			if err != nil && (regcred.CodeOf(err) != regcred.Unavailable || regcredtest.Leaks([]byte(err.Error()), "canary-4711") != nil) {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

func FuzzParseToken(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		secret, err := amazon.ParseToken(text)
		if err != nil {
			if !secret.IsZero() || regcred.CodeOf(err) != regcred.Unavailable {
				t.Errorf("%v, with a secret: %t", err, !secret.IsZero())
			}
			return
		}
		// What is accepted is read one way only.
		if encode(amazon.Username+":"+secret.Reveal()) != text || secret.IsZero() || strings.ContainsAny(secret.Reveal(), " \r\n\x00") {
			t.Errorf("%q was accepted as %q", text, secret.Reveal())
		}
	})
}

func TestTokenLogin(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	value, empty := encode("AWS:canary-4711"), ""
	at := func(d time.Duration) *time.Time {
		expires := now.Add(d)
		return &expires
	}
	epoch := time.Unix(0, 0)
	tests := []struct {
		name  string
		token amazon.Token
		skew  time.Duration
		want  time.Duration // from now to the expiry
		fails bool
	}{
		{"12 hours", amazon.Token{Value: &value, ExpiresAt: at(12 * time.Hour)}, 0, 12 * time.Hour, false},
		{"the issuer's clock is ahead", amazon.Token{Value: &value, ExpiresAt: at(12 * time.Hour)}, time.Hour, 11 * time.Hour, false},
		{"the issuer's clock is behind", amazon.Token{Value: &value, ExpiresAt: at(12 * time.Hour)}, -time.Hour, 13 * time.Hour, false},
		{"expired: refresh's to judge", amazon.Token{Value: &value, ExpiresAt: at(-time.Hour)}, 0, -time.Hour, false},
		{"no token", amazon.Token{ExpiresAt: at(time.Hour)}, 0, 0, true},
		{"an empty token", amazon.Token{Value: &empty, ExpiresAt: at(time.Hour)}, 0, 0, true},
		{"no expiry", amazon.Token{Value: &value}, 0, 0, true},
		{"the epoch", amazon.Token{Value: &value, ExpiresAt: &epoch}, 0, 0, true},
		{"milliseconds for seconds", amazon.Token{Value: &value, ExpiresAt: at(200 * 365 * 24 * time.Hour)}, 0, 0, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l, err := test.token.Login(now, test.skew)
			if test.fails {
				if regcred.CodeOf(err) != regcred.Unavailable || !l.Password.IsZero() {
					t.Errorf("got %v, %v", l, err)
				}
				return
			}
			if err != nil || l.Username != "AWS" || l.Password.Reveal() != "canary-4711" || l.ExpiresAt.Sub(now) != test.want {
				t.Errorf("got %+v, %v", l, err)
			}
		})
	}
}
