package imageref

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	// A digest is refused where the code of its algorithm is not in the program.
	_ "crypto/sha256"
	_ "crypto/sha512"

	"github.com/distribution/reference"
)

// Image is a parsed image reference. The zero Image names nothing.
type Image struct {
	name       string // canonical, without tag and digest
	tag        string
	digest     string
	candidates []Location
}

// ParseImage parses [HOST[:PORT]/]PATH[:TAG][@DIGEST] by the reference grammar of
// docker (github.com/distribution/reference). A reference without a host means
// Docker Hub.
func ParseImage(s string) (Image, error) {
	fail := func(err error) (Image, error) {
		return Image{}, fmt.Errorf("image %s: %w", quote(s), err)
	}
	switch {
	case len(s) > MaxLength:
		return fail(ErrTooLong)
	case s == "":
		return fail(errors.New("it is empty: write one such as registry.example.com/repo/image:tag"))
	case strings.Contains(s, "://"):
		return fail(protocolError(s))
	}
	first, rest, _ := strings.Cut(s, "/")
	hostWritten := len(first) < len(s) && isHost(first)
	canonical := s
	if hostWritten {
		host, err := canonicalHost(first)
		if err != nil {
			return fail(err)
		}
		canonical = host + "/" + rest
	}
	named, err := reference.ParseNormalizedNamed(canonical)
	if err != nil {
		return fail(imageError(canonical))
	}
	img := Image{name: named.Name()}
	if tagged, ok := named.(reference.Tagged); ok {
		img.tag = tagged.Tag()
	}
	if digested, ok := named.(reference.Digested); ok {
		img.digest = digested.Digest().String()
	}
	img.candidates = candidates(img.name, len(reference.Domain(named)), hostWritten)
	return img, nil
}

// candidates lists the locations at which a credential for an image may be
// stored, most specific first: the repository, its path ancestors, the host, its
// parent domains. All but docker.io/library are slices of name.
func candidates(name string, hostLen int, hostWritten bool) []Location {
	var list []Location
	for end := len(name); end > hostLen; end = strings.LastIndexByte(name[:end], '/') {
		list = append(list, Location{name[:end]})
	}
	host := name[:hostLen]
	library := Location{DockerHub + "/library"}
	if host == DockerHub && !hostWritten && !slices.Contains(list, library) {
		list = append(list, library)
	}
	list = append(list, Location{host})
	for parent := range parents(host) {
		list = append(list, Location{parent})
	}
	return list
}

// String returns the canonical reference, with host, tag and digest.
func (i Image) String() string {
	s := i.name
	if i.tag != "" {
		s += ":" + i.tag
	}
	if i.digest != "" {
		s += "@" + i.digest
	}
	return s
}

// Name returns the canonical reference without tag and digest.
func (i Image) Name() string { return i.name }

// Host returns the registry's host in canonical form, with its port if any.
func (i Image) Host() string {
	host, _, _ := strings.Cut(i.name, "/")
	return host
}

// Path returns the repository within the registry.
func (i Image) Path() string {
	_, path, _ := strings.Cut(i.name, "/")
	return path
}

// Tag returns the tag, "" where there is none.
func (i Image) Tag() string { return i.tag }

// Digest returns the digest, "" where there is none.
func (i Image) Digest() string { return i.digest }

// IsZero reports whether it names nothing.
func (i Image) IsZero() bool { return i.name == "" }

// Candidates returns the locations at which a credential for the image may be
// stored, in the order in which they are searched within a scope. The slice is
// the image's own and must not be changed.
func (i Image) Candidates() []Location { return i.candidates }

// imageError says in words what is wrong with a reference that the grammar
// refuses: the first of its name, tag and digest without which it would not.
func imageError(s string) error {
	tagged, _, _ := strings.Cut(s, "@")
	slash := strings.LastIndexByte(tagged, '/') + 1
	last, tag, _ := strings.Cut(tagged[slash:], ":")
	name := tagged[:slash] + last
	if len(name) == 64 && strings.Trim(name, "0123456789abcdef") == "" {
		return errors.New("64 hexadecimal digits are an image id, not a name")
	}
	if _, err := reference.ParseNormalizedNamed(name); err != nil {
		return fmt.Errorf("the name %s is malformed: %w", quote(name), pathError(name, err))
	}
	if _, err := reference.ParseNormalizedNamed(tagged); err != nil {
		return fmt.Errorf("the tag %s is malformed: use at most 128 letters, digits, and _ . - within", quote(tag))
	}
	return errors.New("the digest is malformed: write sha256: and 64 hexadecimal digits in lower case")
}
