package imageref_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"regcred.dev/imageref"
)

var (
	sha256 = "sha256:" + strings.Repeat("0123456789abcdef", 4)
	sha512 = "sha512:" + strings.Repeat("0123456789abcdef", 8)
)

func TestParseImage(t *testing.T) {
	type parts struct{ Host, Path, Tag, Digest string }
	for _, test := range []struct {
		in   string
		want parts
	}{
		{"nginx", parts{"docker.io", "library/nginx", "", ""}},
		{"nginx:1.27", parts{"docker.io", "library/nginx", "1.27", ""}},
		{"acme/app@" + sha256, parts{"docker.io", "acme/app", "", sha256}},
		{"registry.example.com/a/b/c:v1@" + sha512, parts{"registry.example.com", "a/b/c", "v1", sha512}},
		{"Registry.Example.com:443/a:V1", parts{"registry.example.com", "a", "V1", ""}},
		{"registry:5000/a", parts{"registry:5000", "a", "", ""}},
		{"registry:443/a", parts{"registry:443", "a", "", ""}},
		{"registry:443", parts{"docker.io", "library/registry", "443", ""}},
		{"registry.example.com", parts{"docker.io", "library/registry.example.com", "", ""}},
		{"localhost/a", parts{"localhost", "a", "", ""}},
		{"[FD00::1]:5000/a", parts{"[fd00::1]:5000", "a", "", ""}},
		// Each way to write Docker Hub's host gives the same repository.
		{"docker.io/nginx", parts{"docker.io", "library/nginx", "", ""}},
		{"index.docker.io/nginx", parts{"docker.io", "library/nginx", "", ""}},
		{"Docker.IO/nginx", parts{"docker.io", "library/nginx", "", ""}},
		{"docker.io:443/nginx", parts{"docker.io", "library/nginx", "", ""}},
		{"registry-1.docker.io/library/nginx", parts{"registry-1.docker.io", "library/nginx", "", ""}},
	} {
		img := image(t, test.in)
		got := parts{img.Host(), img.Path(), img.Tag(), img.Digest()}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: %s", test.in, diff)
		}
		if want := test.want.Host + "/" + test.want.Path; img.Name() != want || img.IsZero() {
			t.Errorf("%s: the name is %s", test.in, img.Name())
		}
	}
}

// TestParseImageErrors checks that each error names the part that is wrong.
func TestParseImageErrors(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"", "it is empty"},
		{"https://registry.example.com/a", `write "registry.example.com/a" instead of "https://..."`},
		{"docker://nginx", "leave out the protocol"},
		{strings.Repeat("a", 64), "are an image id, not a name"},
		{"Nginx", "lower case"},
		{"acme/App", "lower case"},
		{"registry.example.com/App:1", "lower case"},
		{"Acme/app", "Docker Hub, which is in lower case"},
		{"acme//app", "single separators"},
		{"/app", "single separators"},
		{"app/", "single separators"},
		{"acme/app ", "single separators"},
		{"acme/app\x00", "single separators"},
		{"registry.example.com/", "single separators"},
		{"registry.example.com/" + strings.Repeat("a", 256), "at most 255"},
		{"nginx:", `the tag "" is malformed`},
		{"nginx:a b", `the tag "a b" is malformed`},
		{"nginx:-a", "the tag"},
		{"nginx:" + strings.Repeat("a", 129), "the tag"},
		{"nginx:1:2", `the tag "1:2" is malformed`},
		{"nginx@", "the digest is malformed"},
		{"nginx:1@sha256:abc", "the digest is malformed"},
		{"nginx@md5:" + strings.Repeat("a", 32), "the digest is malformed"},
		{"nginx@sha256:" + strings.Repeat("A", 64), "the digest is malformed"},
		{"nginx@" + sha256 + "@" + sha256, "the digest is malformed"},
		{"registry.example.com:0/a", "between 1 and 65535"},
		{"registry.example.com:65536/a", "between 1 and 65535"},
		{"registry.example.com:/a", "no port"},
		{"registry.example.com./a", "final dot"},
		{"registry.\u212Aube.com/a", "xn--"},
		{"[fe80::1%eth0]/a", "zone"},
		{"[::ffff:10.0.0.1]/a", "IPv4"},
	} {
		img, err := imageref.ParseImage(test.in)
		if err == nil {
			t.Errorf("%q was read as %s", test.in, img)
			continue
		}
		if !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: the error does not say %q: %v", test.in, test.want, err)
		}
		if !img.IsZero() || len(img.Candidates()) > 0 {
			t.Errorf("%q: an error came with %s", test.in, img)
		}
	}
}

func image(t *testing.T, s string) imageref.Image {
	t.Helper()
	img, err := imageref.ParseImage(s)
	if err != nil {
		t.Fatal(err)
	}
	return img
}
