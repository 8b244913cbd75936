package crane_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"regcred.dev"
	"regcred.dev/registry/crane"
)

// TestCDN looks at the URLs of redirects. The tokens were computed by Python's hmac.
func TestCDN(t *testing.T) {
	secret := regcred.NewSecret("b8470f032e4ea2aa")
	const blob, tags = "/v2/acme/app/blobs/sha256:aa", "/v2/acme/app/tags/list"
	for _, test := range []struct {
		name string
		cdn  crane.CDN
		path string
		want string
	}{
		{"nothing", crane.CDN{}, blob, "https://origin.test/v2/app/blobs/sha256:aa"},
		{"rewritten", crane.CDN{From: "https://origin.test/", To: "https://cdn.test/x/"}, blob, "https://cdn.test/x/v2/app/blobs/sha256:aa"},
		{"rewritten everywhere", crane.CDN{From: "a", To: "b"}, blob, "https://origin.test/v2/bpp/blobs/shb256:bb"},
		{"token", crane.CDN{Secret: secret}, blob, "https://origin.test/v2/app/blobs/sha256:aa?_auth_=exp=1524660654~hmac=91e395d8af7c37e0c8f023ab89fd86015c0b4151906d20f85aa0bd3d0122950f"},
		{"both", crane.CDN{From: "origin", To: "cdn", Secret: secret}, tags, "https://cdn.test/v2/app/tags/list?_auth_=exp=1524660654~hmac=b1c2fbfea9306753398e0f64ed6953d22737ebe6d45457b52df40414170b8361"},
		{"its name", crane.CDN{Secret: secret, Param: "hdnea"}, tags, "https://origin.test/v2/app/tags/list?hdnea=exp=1524660654~hmac=b1c2fbfea9306753398e0f64ed6953d22737ebe6d45457b52df40414170b8361"},
	} {
		t.Run(test.name, func(t *testing.T) {
			files := map[string]string{"app.json": `{"version":2,"repo-registry-id":"acme/app","url":"https://origin.test/v2/app"}`}
			h := newHandler(t, crane.Options{Directory: openDirectory(t, files, crane.DirectoryOptions{}), CDN: test.cdn})
			synctest.Test(t, func(t *testing.T) {
				<-time.After(time.Until(time.Unix(1524660654, 0).Add(-300 * time.Second)))
				if got := ask(t, h, "GET", test.path).location(); got != test.want {
					t.Errorf("%s\nnot %s", got, test.want)
				}
			})
		})
	}
}

// TestCDNOfV1: v1's redirects are as they are, as Crane's.
func TestCDNOfV1(t *testing.T) {
	h := newHandler(t, crane.Options{
		Directory: openDirectory(t, metadata, crane.DirectoryOptions{}),
		CDN:       crane.CDN{From: "files", To: "cdn", Secret: regcred.NewSecret("aa")},
	})
	if got := ask(t, h, "GET", "/v1/images/b1/json").location(); got != "https://files.test/v1/small/b1/json" {
		t.Error(got)
	}
}

func TestOptionsRefused(t *testing.T) {
	d := openDirectory(t, nil, crane.DirectoryOptions{})
	for _, o := range []crane.Options{
		{},
		{Directory: d, CDN: crane.CDN{From: "a"}},
		{Directory: d, CDN: crane.CDN{To: "a"}},
		{Directory: d, CDN: crane.CDN{Secret: regcred.NewSecret("not-hexadecimal")}},
		{Directory: d, CDN: crane.CDN{Secret: regcred.NewSecret("abc")}},
		{Directory: d, CDN: crane.CDN{Secret: regcred.NewSecret("ab"), TTL: time.Millisecond}},
	} {
		_, err := crane.New(o)
		if regcred.CodeOf(err) != regcred.Invalid {
			t.Errorf("%v: %v", o.CDN, err)
		}
		if err != nil && strings.Contains(err.Error(), "not-hexa") {
			t.Errorf("the error tells the secret: %v", err)
		}
	}
	if _, err := crane.OpenDirectory(crane.DirectoryOptions{}); regcred.CodeOf(err) != regcred.Invalid {
		t.Errorf("no path: %v", err)
	}
}
