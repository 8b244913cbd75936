package probe

import (
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
)

func TestParseChallenges(t *testing.T) {
	type params = map[string]string
	bearer := challenge{"bearer", params{"realm": "https://auth.example/token", "service": "registry.example"}}
	basic := challenge{"basic", params{"realm": "x"}}
	tests := []struct {
		name   string
		fields []string
		want   []challenge
	}{
		{"none", nil, nil},
		{"empty", []string{"", " , ,"}, nil},
		{"Docker Hub", []string{`Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/nginx:pull,push"`},
			[]challenge{{"bearer", params{"realm": "https://auth.docker.io/token", "service": "registry.docker.io", "scope": "repository:library/nginx:pull,push"}}}},
		{"Amazon", []string{`Basic realm="https://123456789012.dkr.ecr.us-east-1.amazonaws.com/",service="ecr.amazonaws.com"`},
			[]challenge{{"basic", params{"realm": "https://123456789012.dkr.ecr.us-east-1.amazonaws.com/", "service": "ecr.amazonaws.com"}}}},
		{"two fields", []string{`Basic realm="x"`, `Bearer realm="https://auth.example/token",service="registry.example"`}, []challenge{basic, bearer}},
		{"two in one field", []string{`Basic realm="x", Bearer realm="https://auth.example/token",service="registry.example"`}, []challenge{basic, bearer}},
		{"a scheme alone", []string{`Basic`}, []challenge{{"basic", params{}}}},
		{"schemes alone", []string{`Negotiate, Basic realm="x"`}, []challenge{{"negotiate", params{}}, basic}},
		{"spaces behind a scheme alone", []string{"Negotiate \t , Basic realm=x"}, []challenge{{"negotiate", params{}}, basic}},
		{"token68", []string{`Negotiate YWJj/+-._~==, Basic realm=x`}, []challenge{{"negotiate", params{}}, basic}},
		{"RFC 9110's example", []string{`Newauth realm="apps", type=1, title="Login to \"apps\"", Basic realm="simple"`},
			[]challenge{{"newauth", params{"realm": "apps", "type": "1", "title": `Login to "apps"`}}, {"basic", params{"realm": "simple"}}}},
		{"case and spaces", []string{"\tBEARER  ReAlM = \"https://auth.example/token\" ,\t,SERVICE=registry.example ,"}, []challenge{bearer}},
		{"a challenge in quotes", []string{`Basic realm="x, Bearer realm=\"https://evil.example/\""`},
			[]challenge{{"basic", params{"realm": `x, Bearer realm="https://evil.example/"`}}}},
		{"empty value", []string{`Basic realm=""`}, []challenge{{"basic", params{"realm": ""}}}},

		{"a parameter twice", []string{`Bearer realm="https://a.example/",REALM="https://b.example/"`}, nil},
		{"the second has one twice", []string{`Basic realm="x", Bearer realm="a",realm="b"`}, []challenge{basic}},
		{"no closing quote", []string{`Bearer realm="https://auth.example/token`}, nil},
		{"ends in a backslash", []string{`Bearer realm="https://auth.example/token\`}, nil},
		{"no comma", []string{`Bearer realm="a" service="b"`}, nil},
		{"a URL without quotes", []string{`Bearer realm=https://auth.example/token`}, nil},
		{"no value", []string{`Bearer service="b",realm=`}, nil},
		{"no value, as token68", []string{`Bearer realm=, Basic realm="x"`}, []challenge{{"bearer", params{}}, basic}},
		{"no scheme", []string{`realm="x"`}, nil},
		{"text behind token68", []string{`Negotiate abc== def`}, nil},
		{"the next field is read", []string{`Bearer realm="`, `Basic realm="x"`}, []challenge{basic}},
		{"no text", []string{"\x00\xff", "Basic\x00realm=x"}, nil},
		{"too long", []string{`Bearer realm="` + strings.Repeat("x", maxHeader) + `"`, `Basic realm="x"`}, []challenge{basic}},
		{"too many parameters", []string{`Bearer ` + manyParams(maxParams+1)}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, parseChallenges(test.fields), cmp.AllowUnexported(challenge{})); diff != "" {
				t.Error(diff)
			}
		})
	}
	if got := parseChallenges([]string{`Bearer ` + manyParams(maxParams)}); len(got) != 1 || len(got[0].params) != maxParams {
		t.Errorf("parameters up to the bound: %v", got)
	}
	if got := parseChallenges([]string{strings.Repeat("Basic,", 2000)}); len(got) != maxChallenges {
		t.Errorf("%d challenges, want %d", len(got), maxChallenges)
	}
}

func manyParams(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = strings.Repeat("p", i+1) + "=v"
	}
	return strings.Join(list, ",")
}

// FuzzChallenges checks that whatever a registry says stays within the bounds, and
// that what was read reads the same when it is written out again.
func FuzzChallenges(f *testing.F) {
	f.Fuzz(func(t *testing.T, field string) {
		got := parseChallenges([]string{field})
		if len(got) > maxChallenges {
			t.Fatalf("%d challenges", len(got))
		}
		for _, c := range got {
			if c.scheme == "" || len(c.params) > maxParams || strings.ContainsFunc(c.scheme, unicode.IsUpper) {
				t.Fatalf("%q", c)
			}
			again := parseChallenges([]string{c.text()})
			if len(c.text()) <= maxHeader {
				if diff := cmp.Diff([]challenge{c}, again, cmp.AllowUnexported(challenge{})); diff != "" {
					t.Fatalf("%q: %s", c.text(), diff)
				}
			}
		}
	})
}

// text writes a challenge in quoted strings.
func (c challenge) text() string {
	var list []string
	for name, value := range c.params {
		list = append(list, name+`="`+strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value)+`"`)
	}
	slices.Sort(list)
	return strings.TrimSpace(c.scheme + " " + strings.Join(list, ", "))
}

// FuzzToken checks what is made of a token service's answer, and of a token.
func FuzzToken(f *testing.F) {
	f.Fuzz(func(t *testing.T, body string) {
		token, err := parseToken([]byte(body), "auth.example")
		if (err == nil) == token.IsZero() {
			t.Fatalf("token %q, error %v", token.Reveal(), err)
		}
		if text := token.Reveal(); strings.ContainsAny(text, "\r\n \x00") || len(text) > maxToken {
			t.Fatalf("token %q", text)
		}
		for _, text := range []string{token.Reveal(), body} {
			from, to := validity(text)
			if from.Year() > 9999 || to.Year() > 9999 {
				t.Fatalf("from %v to %v", from, to)
			}
		}
		errorCodes([]byte(body))
	})
}

// BenchmarkChallenges shows that time grows with the length alone: of a header as
// long as HTTP lets through, and of hostile ones.
func BenchmarkChallenges(b *testing.B) {
	for name, field := range map[string]string{
		"Docker Hub":   `Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/nginx:pull"`,
		"backslashes":  `Bearer realm="` + strings.Repeat(`\\`, maxHeader/2-20) + `"`,
		"commas":       strings.Repeat(",", maxHeader),
		"schemes":      strings.Repeat("a,", maxHeader/2),
		"one token":    strings.Repeat("a", maxHeader),
		"10 MiB":       strings.Repeat(`a="`, 10<<20/3),
		"open strings": strings.Repeat(`Basic a="`, maxHeader/9),
	} {
		b.Run(name, func(b *testing.B) {
			fields := []string{field}
			b.SetBytes(int64(len(field)))
			for b.Loop() {
				parseChallenges(fields)
			}
		})
	}
}
