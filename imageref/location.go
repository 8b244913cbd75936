package imageref

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/distribution/reference"
)

// MaxLength is the length in bytes beyond which a reference or location is
// refused before anything is parsed.
const MaxLength = 4096

// ErrTooLong is returned for input longer than MaxLength.
var ErrTooLong = fmt.Errorf("it is longer than %d bytes", MaxLength)

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
	fail := func(err error) (Location, error) {
		return Location{}, fmt.Errorf("location %s: %w", quote(s), err)
	}
	switch {
	case len(s) > MaxLength:
		return fail(ErrTooLong)
	case s == "":
		return fail(errors.New("it is empty: write a registry host, such as registry.example.com"))
	case strings.Contains(s, "://"):
		return fail(protocolError(s))
	case strings.Contains(s, "@"):
		return fail(errors.New("it may hold neither a user name nor a digest: leave out the '@'"))
	}
	host, path, hasPath := strings.Cut(strings.TrimSuffix(s, "/"), "/")
	host, path, err := moveTrailingPort(host, path)
	if err != nil {
		return fail(err)
	}
	if !isHost(host) {
		return fail(fmt.Errorf("%s is not a host name: write HOST[:PORT][/PATH], or %s for Docker Hub", quote(host), quote(DockerHub+"/"+strings.Trim(s, "/"))))
	}
	if host, err = canonicalHost(host); err != nil {
		return fail(err)
	}
	if !hasPath {
		return Location{name: host}, nil
	}
	name := host + "/" + path
	if _, err := reference.WithName(name); err != nil {
		return fail(fmt.Errorf("%s is no repository path: %w", quote(path), pathError(path, err)))
	}
	return Location{name: name}, nil
}

// moveTrailingPort reads HOST/PATH:PORT as HOST:PORT/PATH.
func moveTrailingPort(host, path string) (string, string, error) {
	i := strings.LastIndexByte(path, ':')
	if i < 0 || strings.Contains(path[i:], "/") {
		return host, path, nil
	}
	suffix := path[i+1:]
	if strings.Trim(suffix, "0123456789") != "" || suffix == "" {
		return "", "", fmt.Errorf("a location has no tag: leave out %s", quote(path[i:]))
	}
	if _, port := splitPort(host); port != "" {
		return "", "", fmt.Errorf("it names two ports, %s and %s: leave out one", quote(port), quote(suffix))
	}
	return host + ":" + suffix, path[:i], nil
}

// String returns the canonical form, "" for the zero Location.
func (l Location) String() string { return l.name }

// IsZero reports whether it is no location at all.
func (l Location) IsZero() bool { return l.name == "" }

// Host returns the host in canonical form, with its port if any.
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

// protocolError says what to write instead of PROTOCOL://REST.
func protocolError(s string) error {
	scheme, rest, _ := strings.Cut(s, "://")
	return fmt.Errorf("leave out the protocol: write %s instead of %s", quote(strings.TrimSuffix(rest, "/")), quote(scheme+"://..."))
}

// pathError shortens the grammar's own errors to what a user can act upon.
func pathError(path string, err error) error {
	switch {
	case errors.Is(err, reference.ErrNameTooLong):
		return fmt.Errorf("it may have at most %d characters", reference.RepositoryNameTotalLengthMax)
	case strings.ToLower(path) != path:
		return errors.New("it must be in lower case")
	}
	return errors.New("use lower-case letters, digits and single separators (. _ - /)")
}

// quote shows user input in an error: escaped, cut where it is long, and without
// what stands before an '@' that no digest follows: it may be a password.
func quote(s string) string {
	rest, digest := s, ""
	if i := strings.LastIndex(s, "@sha"); i >= 0 && strings.Contains(s[i:], ":") {
		rest, digest = s[:i], s[i:]
	}
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		rest = "***" + rest[i:]
	}
	return strconv.Quote(cut(rest + digest))
}

// cut shortens user input for an error.
func cut(s string) string {
	const enough = 100
	if len(s) > enough {
		return s[:enough] + "..."
	}
	return s
}
