package jwt_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"regcred.dev/provider/internal/jwt"
)

func token(claims string) string {
	return "eyJhbGciOiJSUzI1NiJ9." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2lnbmF0dXJl"
}

func TestExpiryOf(t *testing.T) {
	tests := []struct {
		name, token string
		want        int64
	}{
		{"RFC 7519, section 3.1", "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", 1300819380},
		{"a fraction", token(`{"exp":1300819380.9}`), 1300819380},
		{"an exponent", token(`{"exp":1.3e9}`), 1300000000},
		{"the last of two, as JavaScript reads it", token(`{"exp":1,"exp":2}`), 2},
		{"another case is another claim", token(`{"EXP":1,"exp":2,"Exp":3}`), 2},
		{"no signature", "e30." + strings.Split(token(`{"exp":7}`), ".")[1] + ".", 7},
	}
	for _, test := range tests {
		got, err := jwt.ExpiryOf(test.token)
		if err != nil || !got.Equal(time.Unix(test.want, 0)) || got.Location() != time.UTC {
			t.Errorf("%s: %s, %v, want %s", test.name, got, err, time.Unix(test.want, 0).UTC())
		}
	}
}

func TestExpiryOfErrors(t *testing.T) {
	long := strings.Repeat("a", 10<<20)
	tests := []struct{ name, token, want string }{
		{"empty", "", "three parts"},
		{"opaque", "ghs_16C7e42F292c6912E7710c838347Ae178B4a", "three parts"},
		{"two parts", "e30.e30", "three parts"},
		{"five parts: encrypted", "e30.e30.e30.e30.e30", "three parts"},
		{"padding", "e30.e30=.x", "base64url"},
		{"the alphabet of plain base64", "e30.+/+/.x", "base64url"},
		{"no JSON", "e30.bm8.x", "no JSON object"},
		{"an array", token(`[{"exp":1}]`), "no JSON object"},
		{"null", token(`null`), "missing"},
		{"two documents", token(`{"exp":1}{"exp":2}`), "no JSON object"},
		{"deep", token(strings.Repeat("[", 40000)), "no JSON object"},
		{"no exp", token(`{"iat":1300819380}`), "missing"},
		{"another case", token(`{"Exp":1300819380}`), "missing"},
		{"null exp", token(`{"exp":null}`), "no time"},
		{"a string", token(`{"exp":"1300819380"}`), "no time"},
		{"a list", token(`{"exp":[1300819380]}`), "no time"},
		{"zero", token(`{"exp":0}`), "no time"},
		{"negative", token(`{"exp":-1}`), "no time"},
		{"milliseconds", token(`{"exp":1300819380000}`), "no time"},
		{"more than a float", token(`{"exp":1e999}`), "no time"},
		{"10 MiB", long, "at most"},
		{"a header of 10 MiB", long + token(`{"exp":1}`), "at most"},
		{"10 MiB of dots", strings.Repeat(".", 10<<20), "at most"},
	}
	for _, test := range tests {
		got, err := jwt.ExpiryOf(test.token)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %s, %v, want an error that says %q", test.name, got, err, test.want)
		}
	}
}

// Beside this seed the corpus is under testdata/fuzz.
func FuzzExpiryOf(f *testing.F) {
	f.Add(token(`{"exp":1300819380}`))
	f.Fuzz(func(t *testing.T, s string) {
		at, err := jwt.ExpiryOf(s)
		if err != nil {
			if len(err.Error()) > 100 || !at.IsZero() {
				t.Fatalf("%s, with an error of %d bytes", at, len(err.Error()))
			}
			return
		}
		if at.Unix() < 1 || at.Year() > 9999 || at.Nanosecond() != 0 {
			t.Fatalf("the expiry is %s", at)
		}
		if again, err := jwt.ExpiryOf(s); err != nil || !again.Equal(at) {
			t.Fatalf("%s, then %s, %v", at, again, err)
		}
	})
}

// BenchmarkExpiryOf reads a token of the size that Azure's have.
func BenchmarkExpiryOf(b *testing.B) {
	text := token(`{"exp":1300819380,"padding":"` + strings.Repeat("x", 1500) + `"}`)
	for b.Loop() {
		if _, err := jwt.ExpiryOf(text); err != nil {
			b.Fatal(err)
		}
	}
}
