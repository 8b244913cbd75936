package exec

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"regcred.dev"
	"regcred.dev/imageref"
)

func TestParseAnswer(t *testing.T) {
	const asked = "https://index.docker.io/v1/"
	for _, test := range []struct{ name, out, username, secret, problem string }{
		{"as documented", `{"ServerURL":"https://index.docker.io/v1/","Username":"u","Secret":"s"}` + "\n", "u", "s", ""},
		{"no server", `{"Username":"u","Secret":"s"}`, "u", "s", ""},
		{"the server otherwise", `{"ServerURL":"index.docker.io","Username":"u","Secret":"s"}`, "u", "s", ""},
		{"more fields", `{"Username":"u","Secret":"s","Expires":{"at":[1]}}`, "u", "s", ""},
		{"spaces around it", " \n{\"Username\":\"u\",\"Secret\":\"s\"}\r\n ", "u", "s", ""},
		{"a key file", `{"Username":"_json_key","Secret":"{\n \"a\": 1\n}\n"}`, "_json_key", "{\n \"a\": 1\n}\n", ""},
		{"another server", `{"ServerURL":"docker.io.evil","Username":"u","Secret":"s"}`, "", "", "for another server"},
		{"no text as a server", `{"ServerURL":"\n","Username":"u","Secret":"s"}`, "", "", "for another server"},
		{"an identity token", `{"Username":"<token>","Secret":"s"}`, "", "", "identity token"},
		{"nothing", "", "", "", "no JSON object"},
		{"null", "null", "", "", "user name is empty"},
		{"a list", `[{"Username":"u","Secret":"s"}]`, "", "", "no JSON object"},
		{"two objects", `{"Username":"u","Secret":"s"}{}`, "", "", "more follows"},
		{"a log before it", `logging in... {"Username":"u","Secret":"s"}`, "", "", "no JSON object"},
		{"half of one", `{"Username":"u","Secret":"s`, "", "", "no JSON object"},
		{"a number as a secret", `{"Username":"u","Secret":1}`, "", "", "no JSON object"},
		{"no user name", `{"Username":"","Secret":"s"}`, "", "", "user name is empty"},
		{"a colon in the user name", `{"Username":"u:v","Secret":"s"}`, "", "", "colon"},
		{"a line break in the user name", `{"Username":"u\r\nHost: x","Secret":"s"}`, "", "", "control"},
		{"no secret", `{"Username":"u"}`, "", "", "secret is empty"},
		{"NUL in the secret", `{"Username":"u","Secret":"s\u0000"}`, "", "", "no text"},
		{"bytes in the secret", "{\"Username\":\"u\",\"Secret\":\"s\xff\"}", "", "", "no text"},
	} {
		t.Run(test.name, func(t *testing.T) {
			a, err := parseAnswer("docker-credential-x", asked, []byte(test.out))
			if test.problem != "" {
				if err == nil || !strings.Contains(err.Error(), test.problem) || regcred.CodeOf(err) == regcred.Internal {
					t.Errorf("it says %v, want %q", err, test.problem)
				}
				return
			}
			if err != nil || a.username != test.username || a.password.Reveal() != test.secret {
				t.Errorf("it reads %s, %s: %v", a.username, a.password.Reveal(), err)
			}
		})
	}
}

// FuzzParseAnswer: what is accepted comes back from the fields as they are
// documented, and can be sent.
func FuzzParseAnswer(f *testing.F) {
	f.Add("registry.example.com", []byte(`{"ServerURL":"registry.example.com","Username":"u","Secret":"s"}`))
	f.Fuzz(func(t *testing.T, asked string, out []byte) {
		a, err := parseAnswer("docker-credential-x", asked, out)
		if err != nil {
			if a != (answer{}) {
				t.Error("a login came with the error")
			}
			return
		}
		if a.username == "" || strings.ContainsAny(a.username, ":\x00\r\n") || strings.Contains(a.password.Reveal(), "\x00") {
			t.Errorf("the login %q, %q cannot be sent", a.username, a.password.Reveal())
		}
		again, err := json.Marshal(map[string]string{"Username": a.username, "Secret": a.password.Reveal()})
		if err != nil {
			t.Fatal(err)
		}
		b, err := parseAnswer("docker-credential-x", asked, again)
		if err != nil || b.username != a.username || !b.password.Equal(a.password) {
			t.Errorf("%s is read as %q, %q: %v", again, b.username, b.password.Reveal(), err)
		}
		asOf := time.Unix(0, 0)
		if end := expiry(asOf, time.Hour, a.password); end.After(asOf.Add(time.Hour)) {
			t.Errorf("it expires at %s, after its lifetime", end)
		}
	})
}

// FuzzHostOf: a host that is found is canonical, and what it was found in is one
// line.
func FuzzHostOf(f *testing.F) {
	for _, seed := range []string{"registry.example.com:5000", "https://index.docker.io/v1/", "http://[::1]:5000/", "a b", "https://u@h.example.com"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, serverURL string) {
		host, err := hostOf(serverURL)
		if err != nil {
			return
		}
		if location, err := imageref.ParseLocation(host); err != nil || location.String() != host {
			t.Errorf("%q has the host %q, which is not canonical: %v", serverURL, host, err)
		}
		if strings.ContainsAny(serverURL, "\r\n\x00\x1b @") {
			t.Errorf("%q is accepted", serverURL)
		}
		if !sameHost(serverURL, "https://"+host+"/v2/") {
			t.Errorf("%q is not of its own host %s", serverURL, host)
		}
	})
}
