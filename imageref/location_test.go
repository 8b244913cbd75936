package imageref_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"regcred.dev/imageref"
)

// TestParseLocation has the forms of Cloud Foundry's document on registry
// credentials ("seed") and every form that has to end in one of them.
func TestParseLocation(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		// seed
		{"registry.example.com", "registry.example.com"},
		{"registry.example.com/path", "registry.example.com/path"},
		{"registry.example.com/path/to/repo:5000", "registry.example.com:5000/path/to/repo"},
		{"docker.io/library", "docker.io/library"},
		{"docker.io/libary", "docker.io/libary"},
		{"registry.example.com/repo", "registry.example.com/repo"},
		// ports
		{"registry.example.com:5000", "registry.example.com:5000"},
		{"registry.example.com:443", "registry.example.com"},
		{"registry.example.com:0443/x", "registry.example.com/x"},
		{"registry.example.com/x:443", "registry.example.com/x"},
		{"registry.example.com:80", "registry.example.com:80"},
		{"registry.example.com:1", "registry.example.com:1"},
		{"registry.example.com:65535", "registry.example.com:65535"},
		{"registry.example.com:00005000", "registry.example.com:5000"},
		// A host of one word keeps port 443, or it would read as a name.
		{"registry:5000", "registry:5000"},
		{"registry:443", "registry:443"},
		{"registry/x:443", "registry:443/x"},
		{"REGISTRY:443/x", "registry:443/x"},
		{"localhost", "localhost"},
		{"localhost:443", "localhost"},
		{"LocalHost:5000/x", "localhost:5000/x"},
		// case, slashes, names
		{"Registry.Example.COM/x", "registry.example.com/x"},
		{"registry.example.com/", "registry.example.com"},
		{"registry.example.com/x/", "registry.example.com/x"},
		{"registry.example.com/x:5000/", "registry.example.com:5000/x"},
		{"registry.example.com/a__b/c-d.e---f", "registry.example.com/a__b/c-d.e---f"},
		{"xn--bcher-kva.example.com", "xn--bcher-kva.example.com"},
		{"a--b.example.com", "a--b.example.com"},
		{strings.Repeat("a", 63) + ".example.com", strings.Repeat("a", 63) + ".example.com"},
		// addresses
		{"10.0.0.1:5000/x", "10.0.0.1:5000/x"},
		{"[::1]", "[::1]"},
		{"[FD00:0:0::1]:443/x", "[fd00::1]/x"},
		{"[fd00::1]/x:5000", "[fd00::1]:5000/x"},
		// Docker Hub
		{"docker.io", "docker.io"},
		{"index.docker.io", "docker.io"},
		{"INDEX.docker.io:443/acme", "docker.io/acme"},
		{"index.docker.io:5000", "index.docker.io:5000"},
		{"registry-1.docker.io", "registry-1.docker.io"},
		{"docker.io/nginx", "docker.io/nginx"},
	} {
		l, err := imageref.ParseLocation(test.in)
		if err != nil {
			t.Error(err)
			continue
		}
		if l.String() != test.want {
			t.Errorf("%s: got %s, want %s", test.in, l, test.want)
		}
	}
}

// TestParseLocationErrors checks that each error says what to do.
func TestParseLocationErrors(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"", "it is empty"},
		{"https://registry.example.com/", `write "registry.example.com" instead of "https://..."`},
		{"http://registry.example.com/v1/", "leave out the protocol"},
		{"registry.example.com/repo:latest", `has no tag: leave out ":latest"`},
		{"registry.example.com/repo:", `has no tag: leave out ":"`},
		{"registry.example.com/repo@sha256:" + strings.Repeat("a", 64), "nor a digest"},
		{"alice@registry.example.com", "neither a user name"},
		{"myregistry", `write HOST[:PORT][/PATH], or "docker.io/myregistry" for Docker Hub`},
		{"acme/app", `"docker.io/acme/app"`},
		{"/acme", `"docker.io/acme"`},
		{"Acme/app", "Docker Hub, which is in lower case"},
		{"registry.example.com:5000/repo:5001", "two ports"},
		{"registry.example.com:", "no port"},
		{"registry.example.com:0", "between 1 and 65535"},
		{"registry.example.com:65536", "between 1 and 65535"},
		{"registry.example.com:18446744073709551617", "between 1 and 65535"},
		{"registry.example.com:+80", "between 1 and 65535"},
		{"registry.example.com:٤٤٣", "between 1 and 65535"},
		{"registry.example.com/x:70000", "between 1 and 65535"},
		{"registry.example.com.", "final dot"},
		{"registry..example.com", "use letters, digits, dots"},
		{".example.com", "use letters, digits, dots"},
		{"*.example.com", "use letters, digits, dots"},
		{"-registry.example.com", "use letters, digits, dots"},
		{"registry-.example.com", "use letters, digits, dots"},
		{"my_registry.example.com", "use letters, digits, dots"},
		{"registry.example.com\n", "use letters, digits, dots"},
		{" registry.example.com", "use letters, digits, dots"},
		{"bücher.example.com", "xn--"},
		{"registry.\u212Aube.com", "xn--"}, // the Kelvin sign, whose lower case is k
		{"registry。example。com:5000", "xn--"},
		{strings.Repeat("a", 64) + ".example.com", "63 characters"},
		{strings.Repeat("a.", 127) + "com", "253 characters"},
		{"fd00::1", "in brackets"},
		{"[fd00::1", "in brackets"},
		{"[fd00::1]]", "in brackets"},
		{"[fd00::1]x", "in brackets"},
		{"[10.0.0.1]", "in brackets"},
		{"[fe80::1%eth0]", `leave out the zone "%eth0"`},
		{"[::ffff:10.0.0.1]:5000", "10.0.0.1 as it is"},
		{"registry.example.com/Repo", "lower case"},
		{"registry.example.com/a//b", "single separators"},
		{"registry.example.com//", "single separators"},
		{"registry.example.com/../x", "single separators"},
		{"registry.example.com/a:b/c", "single separators"},
		{"registry.example.com/" + strings.Repeat("a", 256), "255 characters"},
	} {
		l, err := imageref.ParseLocation(test.in)
		if err == nil {
			t.Errorf("%q was read as %s", test.in, l)
			continue
		}
		if !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: the error does not say %q: %v", test.in, test.want, err)
		}
		if len(err.Error()) > 500 || strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' }) {
			t.Errorf("the error is not fit to print: %q", err)
		}
	}
}

// TestErrorsHideUserNames: what stands before an '@' may be a password.
func TestErrorsHideUserNames(t *testing.T) {
	const secret = "canary"
	for _, s := range []string{
		"https://user:canary@registry.example.com/x",
		"user:canary@registry.example.com",
		"canary@registry.example.com",
		"https://canary@registry.example.com/x@sha256:" + strings.Repeat("a", 64),
		"https://can@canary@registry.example.com",
	} {
		_, err := imageref.ParseLocation(s)
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("location: %v", err)
		}
		_, err = imageref.ParseImage(s)
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("image: %v", err)
		}
	}
}

// TestTooLong: what is over the limit is refused before anything else looks at it,
// in a time that does not depend on it.
func TestTooLong(t *testing.T) {
	for _, unit := range []string{"a", "a/", "a.", ":", "@", "registry.example.com/", "\u212A"} {
		long := strings.Repeat(unit, 10<<20/len(unit))
		_, err := imageref.ParseLocation(long)
		if !errors.Is(err, imageref.ErrTooLong) || len(err.Error()) > 500 {
			t.Errorf("location of %q: %.500v", unit, err)
		}
		_, err = imageref.ParseImage(long)
		if !errors.Is(err, imageref.ErrTooLong) || len(err.Error()) > 500 {
			t.Errorf("image of %q: %.500v", unit, err)
		}
		var l imageref.Location
		if err := l.UnmarshalText([]byte(long)); !errors.Is(err, imageref.ErrTooLong) {
			t.Errorf("text of %q: %.500v", unit, err)
		}
	}
}

func TestLocationParts(t *testing.T) {
	for _, test := range []struct{ in, host, path string }{
		{"registry.example.com:5000/a/b", "registry.example.com:5000", "a/b"},
		{"registry.example.com", "registry.example.com", ""},
		{"[::1]:5000/a", "[::1]:5000", "a"},
	} {
		l := location(t, test.in)
		if l.Host() != test.host || l.Path() != test.path {
			t.Errorf("%s: host %q, path %q", test.in, l.Host(), l.Path())
		}
	}
	var zero imageref.Location
	if !zero.IsZero() || zero.String() != "" || zero.Host() != "" || zero.Path() != "" {
		t.Errorf("the zero location is %q", zero)
	}
}

func TestLocationJSON(t *testing.T) {
	type document struct{ L, Empty imageref.Location }
	var d document
	if err := json.Unmarshal([]byte(`{"L": "Registry.Example.com:443/x", "Empty": ""}`), &d); err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(`{"L":"registry.example.com/x","Empty":""}`, string(out)); diff != "" {
		t.Error(diff)
	}
	if err := json.Unmarshal([]byte(`{"L": "https://registry.example.com"}`), &d); err == nil {
		t.Error("a protocol was accepted")
	}
}

func TestCovers(t *testing.T) {
	for _, test := range []struct {
		outer, inner string
		want         bool
	}{
		{"registry.example.com", "registry.example.com", true},
		{"registry.example.com", "registry.example.com/a", true},
		{"registry.example.com/a", "registry.example.com/a/b", true},
		{"registry.example.com/a", "registry.example.com/ab", false},
		{"registry.example.com/a/b", "registry.example.com/a", false},
		{"registry.example.com/a", "registry.example.com", false},
		{"example.com", "registry.example.com", true},
		{"example.com", "registry.example.com/a", true},
		{"example.com/a", "registry.example.com/a", false},
		{"registry.example.com", "example.com", false},
		{"example.com", "badexample.com", false},
		{"example.com", "registry.example.com.evil.net", false},
		{"example.com:5000", "registry.example.com:5000", true},
		{"example.com", "registry.example.com:5000", false},
		{"example.com:5000", "registry.example.com", false},
		{"example.com:443", "registry.example.com/a", true},
		{"0.0.1:5000", "10.0.0.1:5000", false},
		{"docker.io", "docker.io/acme", true},
		{"docker.io", "index.docker.io/acme", true},
		{"docker.io/library", "docker.io/acme", false},
		{"gcr.io", "us.gcr.io", false},
		{"gcr.io", "gcr.io/project", true},
	} {
		if got := location(t, test.outer).Covers(location(t, test.inner)); got != test.want {
			t.Errorf("%s covers %s: got %t", test.outer, test.inner, got)
		}
	}
	some, none := location(t, "registry.example.com"), imageref.Location{}
	if none.Covers(some) || some.Covers(none) || !none.Covers(none) {
		t.Error("the zero location covers itself alone")
	}
}

func location(t *testing.T, s string) imageref.Location {
	t.Helper()
	l, err := imageref.ParseLocation(s)
	if err != nil {
		t.Fatal(err)
	}
	return l
}
