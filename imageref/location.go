package imageref

import (
	"errors"
	"fmt"
	"strings"

	"github.com/distribution/reference"
)

// MaxLength is the length in bytes beyond which a reference or location is
// refused before anything is parsed.
const MaxLength = 4096

// ErrTooLong is returned for input longer than MaxLength.
var ErrTooLong = fmt.Errorf("longer than %d bytes", MaxLength)

// Location is a registry host, with an optional port and path, that a credential
// is for. It is a comparable value in canonical form; the zero Location is none.
type Location struct {
	name string
}

// ParseLocation parses HOST[:PORT][/PATH]. The form HOST/PATH:PORT, which Cloud
// Foundry's documentation allows, means the same as HOST:PORT/PATH.
//
// A host is what the reference grammar takes for one: it has a dot or a port, or
// is "localhost". A protocol, tag, digest or user name is refused; the error
// says what to write instead.
func ParseLocation(s string) (Location, error) {
	fail := func(format string, args ...any) (Location, error) {
		return Location{}, fmt.Errorf("location %s: %w", quote(s), fmt.Errorf(format, args...))
	}
	if len(s) > MaxLength {
		return fail("%w", ErrTooLong)
	}
	if s == "" {
		return fail("it is empty: write a registry host, such as registry.example.com")
	}
	if scheme, rest, ok := strings.Cut(s, "://"); ok {
		return fail("leave out the protocol %q: write %s", scheme+"://", strings.TrimSuffix(rest, "/"))
	}
	if strings.Contains(s, "@") {
		return fail("it may hold neither a user name nor a digest: leave out the '@'")
	}
	host, path, hasPath := strings.Cut(s, "/")
	path = strings.TrimSuffix(path, "/")
	if hasPath && path != "" {
		var err error
		if host, path, err = moveTrailingPort(host, path); err != nil {
			return fail("%w", err)
		}
	}
	if !isHost(host) {
		return fail("%q is not a host name: write HOST[:PORT][/PATH], or docker.io/%s for Docker Hub", host, s)
	}
	host, err := canonicalHost(host)
	if err != nil {
		return fail("%w", err)
	}
	if path == "" {
		return Location{name: host}, nil
	}
	if _, err := reference.WithName(host + "/" + path); err != nil {
		return fail("the path %q is no repository path: %w", path, grammarError(err))
	}
	return Location{name: host + "/" + path}, nil
}

// moveTrailingPort reads HOST/PATH:PORT as HOST:PORT/PATH.
func moveTrailingPort(host, path string) (string, string, error) {
	i := strings.LastIndexByte(path, ':')
	if i < 0 {
		return host, path, nil
	}
	suffix := path[i+1:]
	if strings.Contains(suffix, "/") || strings.Trim(suffix, "0123456789") != "" || suffix == "" {
		return "", "", fmt.Errorf("a location has no tag: leave out %q", path[i:])
	}
	if _, port := splitPort(host); port != "" {
		return "", "", fmt.Errorf("it names two ports, %s and %s: leave out one", port, suffix)
	}
	return host + ":" + suffix, path[:i], nil
}

// String returns the canonical form, "" for the zero Location.
func (l Location) String() string { return l.name }

// IsZero reports whether it is no location at all.
func (l Location) IsZero() bool { return l.name == "" }

// Host returns the host, with its port where it has one other than 443.
func (l Location) Host() string {
	host, _, _ := strings.Cut(l.name, "/")
	return host
}

// Path returns the path without a leading slash, "" where there is none.
func (l Location) Path() string {
	_, path, _ := strings.Cut(l.name, "/")
	return path
}

// Covers reports whether every image that o is for is also within l: whether l
// is o, one of its ancestors by path, or a parent domain that o's host may look
// for credentials at. The exception of docker.io/library, which serves images
// named without a host, is no matter of covering.
func (l Location) Covers(o Location) bool {
	if l == o {
		return true
	}
	if l.IsZero() || o.IsZero() {
		return false
	}
	if rest, ok := strings.CutPrefix(o.name, l.name); ok && rest[0] == '/' {
		return true
	}
	if l.Path() != "" {
		return false
	}
	for parent := range parents(o.Host()) {
		if parent == l.name {
			return true
		}
	}
	return false
}

// Assignable returns an error, in words for a user, where no credential may be
// stored at the location: a public suffix or a shared registry domain, whose
// hosts belong to many owners.
func (l Location) Assignable() error {
	host, _ := splitPort(l.Host())
	if kind := sharedAsLocation(host); kind != "" {
		return fmt.Errorf("location %s: %s is %s, so a credential there would go to registries of strangers: name the registry's own host", l, host, kind)
	}
	return nil
}

// MarshalText returns the canonical form.
func (l Location) MarshalText() ([]byte, error) { return []byte(l.name), nil }

// UnmarshalText parses a location; empty text is the zero Location.
func (l *Location) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*l = Location{}
		return nil
	}
	var err error
	*l, err = ParseLocation(string(text))
	return err
}

// quote shows user input in an error: escaped, and cut where it is long.
func quote(s string) string {
	if len(s) > 100 {
		return fmt.Sprintf("%q...", s[:100])
	}
	return fmt.Sprintf("%q", s)
}

// grammarError shortens the grammar's own errors to what a user can act upon.
func grammarError(err error) error {
	switch {
	case errors.Is(err, reference.ErrNameTooLong):
		return fmt.Errorf("a name has at most %d characters", reference.RepositoryNameTotalLengthMax)
	case errors.Is(err, reference.ErrNameContainsUppercase):
		return errors.New("it must be in lower case")
	}
	return errors.New("use lower-case letters, digits and single separators (. _ - /)")
}
