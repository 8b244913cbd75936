package imageref_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/distribution/reference"
	"golang.org/x/net/publicsuffix"
	"pgregory.net/rapid"

	"regcred.dev/imageref"
)

// Generators draw from few words, so that what they make often meets.
var (
	label     = rapid.SampledFrom([]string{"a", "registry", "Example", "xn--bcher-kva", "eastus", "cr", "docker", "1"})
	domain    = rapid.SampledFrom(slices.Concat(registries, strangers, []string{"example.com", "Example.CO.UK", "index.docker.io", "corp", "com"}))
	port      = rapid.SampledFrom([]string{"", "", "", ":443", ":5000", ":0443", ":65535"})
	component = rapid.SampledFrom([]string{"acme", "app", "library", "a.b", "a__b", "a-b"})
	suffix    = rapid.SampledFrom([]string{"", ":1", ":v1.2_3", "@" + sha256, ":1@" + sha512})

	host = rapid.Custom(func(t *rapid.T) string {
		name := domain.Draw(t, "domain")
		if strings.ContainsAny(name, ":[") {
			return name
		}
		labels := rapid.SliceOfN(label, 0, 2).Draw(t, "labels")
		return strings.Join(append(labels, name), ".") + port.Draw(t, "port")
	})
	path       = rapid.Map(rapid.SliceOfN(component, 1, 3), func(c []string) string { return strings.Join(c, "/") })
	locationOf = rapid.Custom(func(t *rapid.T) imageref.Location {
		l, err := imageref.ParseLocation(host.Draw(t, "host") + rapid.SampledFrom([]string{"", "/" + path.Draw(t, "path")}).Draw(t, "with path"))
		if err != nil {
			t.Skip(err)
		}
		return l
	})
	imageOf = rapid.Custom(func(t *rapid.T) imageref.Image {
		s := path.Draw(t, "path") + suffix.Draw(t, "suffix")
		if rapid.Bool().Draw(t, "with host") {
			s = host.Draw(t, "host") + "/" + s
		}
		img, err := imageref.ParseImage(s)
		if err != nil {
			t.Skip(err)
		}
		return img
	})
)

// library is the one candidate that has nothing to do with an image's own name.
const library = "docker.io/library"

func TestProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { checkImage(t, imageOf.Draw(t, "image")) })
	rapid.Check(t, func(t *rapid.T) { checkLocation(t, locationOf.Draw(t, "location")) })
}

// fataler is what *testing.T and *rapid.T have in common here.
type fataler interface {
	Fatalf(format string, args ...any)
}

// checkImage holds for every image.
func checkImage(t fataler, img imageref.Image) {
	again, err := imageref.ParseImage(img.String())
	if err != nil || again.String() != img.String() {
		t.Fatalf("%s is read back as %s, %v", img, again, err)
	}
	names := names(img.Candidates())
	if !slices.Equal(names, expectedCandidates(img, slices.Contains(names, library))) {
		t.Fatalf("%s looks at %v", img, names)
	}
	own := img.Candidates()[0]
	for _, c := range img.Candidates() {
		l, err := imageref.ParseLocation(c.String())
		if err != nil || l != c {
			t.Fatalf("candidate %s of %s is read back as %s, %v", c, img, l, err)
		}
		if c.String() != library && !c.Covers(own) {
			t.Fatalf("%s does not cover %s, which looks at it", c, img)
		}
		if c.Host() == img.Host() {
			continue
		}
		if bare, _, _ := strings.Cut(c.Host(), ":"); isPublicSuffix(bare) || c.Assignable() != nil {
			t.Fatalf("%s looks at %s, which strangers share", img, c)
		}
		if _, port, _ := strings.Cut(c.Host(), ":"); !strings.HasSuffix(img.Host(), port) || c.Path() != "" {
			t.Fatalf("%s looks at %s: parents have its port and no path", img, c)
		}
	}
}

// expectedCandidates builds the list from the words of the design: the
// repository, its ancestors, the host, its parent domains, as many as there are.
// index.docker.io is none of them: it reads as docker.io.
func expectedCandidates(img imageref.Image, withLibrary bool) []string {
	var list []string
	for name := img.Name(); strings.Contains(name, "/"); name = name[:strings.LastIndexByte(name, '/')] {
		list = append(list, name)
	}
	if withLibrary && !slices.Contains(list, library) {
		list = append(list, library)
	}
	list = append(list, img.Host())
	parents := len(img.Candidates()) - len(list)
	for domain := img.Host(); parents > 0; {
		if _, domain, _ = strings.Cut(domain, "."); domain != "index.docker.io" {
			list = append(list, domain)
			parents--
		}
	}
	return list
}

// checkLocation holds for every location.
func checkLocation(t fataler, l imageref.Location) {
	again, err := imageref.ParseLocation(l.String())
	if err != nil || again != l {
		t.Fatalf("%s is read back as %s, %v", l, again, err)
	}
	if l.Path() == "" && l.Host() != l.String() || l.Path() != "" && l.Host()+"/"+l.Path() != l.String() {
		t.Fatalf("%s has host %s and path %s", l, l.Host(), l.Path())
	}
	if !l.Covers(l) {
		t.Fatalf("%s does not cover itself", l)
	}
	bare, _, _ := strings.Cut(l.Host(), ":")
	if isPublicSuffix(bare) && l.Assignable() == nil {
		t.Fatalf("%s may be given a credential", l)
	}
}

// TestCoversAgreesWithCandidates: a location covers an image's repository where,
// but for the library, the image looks at it.
func TestCoversAgreesWithCandidates(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		img := imageOf.Draw(t, "image")
		l := locationOf.Draw(t, "location")
		if i := rapid.IntRange(-2, len(img.Candidates())-1).Draw(t, "candidate"); i >= 0 {
			l = img.Candidates()[i]
		}
		looks := slices.Contains(img.Candidates(), l)
		covers := l.Covers(img.Candidates()[0])
		if looks != covers && l.String() != library {
			t.Fatalf("%s covers %s: %t; the image looks at it: %t", l, img, covers, looks)
		}
		if covers && !looks {
			t.Fatalf("%s covers %s, which does not look at it", l, img)
		}
	})
}

// TestCoversIsAnOrder: what covers what is covered covers it, and two locations
// cover each other only where they are one.
func TestCoversIsAnOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		chain := imageOf.Draw(t, "image").Candidates()
		pick := rapid.SampledFrom(append(slices.Clone(chain), locationOf.Draw(t, "location")))
		a, b, c := pick.Draw(t, "a"), pick.Draw(t, "b"), pick.Draw(t, "c")
		if a.Covers(b) && b.Covers(c) && !a.Covers(c) {
			t.Fatalf("%s covers %s, that covers %s, but the first not the last", a, b, c)
		}
		if a.Covers(b) && b.Covers(a) && a != b {
			t.Fatalf("%s and %s cover each other", a, b)
		}
	})
}

// checkGrammar: what we read, docker's grammar reads in the same way, but for
// what canonical form changes.
func checkGrammar(t fataler, s string, img imageref.Image) {
	named, err := reference.ParseNormalizedNamed(s)
	if err != nil {
		t.Fatalf("%q was read as %s, and is no reference: %v", s, img, err)
	}
	path := strings.TrimPrefix(reference.Path(named), "library/")
	if strings.TrimPrefix(img.Path(), "library/") != path {
		t.Fatalf("%q was read as %s, and is one of path %s", s, img, path)
	}
	if tagged, ok := named.(reference.Tagged); ok != (img.Tag() != "") || ok && tagged.Tag() != img.Tag() {
		t.Fatalf("%q was read as %s", s, img)
	}
	if digested, ok := named.(reference.Digested); ok != (img.Digest() != "") || ok && digested.Digest().String() != img.Digest() {
		t.Fatalf("%q was read as %s", s, img)
	}
}

func isPublicSuffix(domain string) bool {
	if _, err := netip.ParseAddr(domain); err == nil {
		return false // the list has no addresses
	}
	suffix, _ := publicsuffix.PublicSuffix(domain)
	return strings.Contains(domain, ".") && suffix == domain
}

func names(list []imageref.Location) []string {
	var names []string
	for _, l := range list {
		names = append(names, l.String())
	}
	return names
}
