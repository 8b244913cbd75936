package imageref

import (
	"errors"
	"fmt"
	"slices"
	"strings"

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
	fail := func(format string, args ...any) (Image, error) {
		return Image{}, fmt.Errorf("image %s: %w", quote(s), fmt.Errorf(format, args...))
	}
	if len(s) > MaxLength {
		return fail("%w", ErrTooLong)
	}
	if s == "" {
		return fail("it is empty: write one such as registry.example.com/repo/image:tag")
	}
	if scheme, rest, ok := strings.Cut(s, "://"); ok {
		return fail("leave out the protocol %q: write %s", scheme+"://", rest)
	}
	named, err := reference.ParseNormalizedNamed(s)
	if err != nil {
		return fail("it is no image reference: %w", imageError(err))
	}
	host, err := canonicalHost(reference.Domain(named))
	if err != nil {
		return fail("%w", err)
	}
	img := Image{name: host + "/" + reference.Path(named)}
	if tagged, ok := named.(reference.Tagged); ok {
		img.tag = tagged.Tag()
	}
	if digested, ok := named.(reference.Digested); ok {
		img.digest = digested.Digest().String()
	}
	first, _, hasHost := strings.Cut(s, "/")
	img.candidates = candidates(img.name, len(host), hasHost && isHost(first))
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

// Host returns the registry's host, with its port where that is not 443.
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

// imageError shortens the grammar's own errors to what a user can act upon.
func imageError(err error) error {
	switch {
	case errors.Is(err, reference.ErrTagInvalidFormat):
		return errors.New("the tag is malformed")
	case errors.Is(err, reference.ErrDigestInvalidFormat):
		return errors.New("the digest is malformed: write sha256: and 64 hexadecimal digits")
	case errors.Is(err, reference.ErrNameNotCanonical):
		return errors.New("64 hexadecimal digits alone are an image id, not a name")
	case errors.Is(err, reference.ErrReferenceInvalidFormat):
		return errors.New("write [HOST[:PORT]/]PATH[:TAG][@DIGEST] in lower case")
	}
	return grammarError(err)
}
