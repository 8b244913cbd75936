package registry

import (
	"context"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"cuelabs.dev/go/oci/ociregistry"
	"github.com/opencontainers/go-digest"

	"regcred.dev"
)

// link is what a repository has of a blob or manifest.
type link struct {
	MediaType string `json:"mediaType,omitempty"`
	Size      int64  `json:"size"`
	// URL is where the owner of a blob hosts it, whose content is then not needed
	// here.
	URL string `json:"url,omitempty"`
	// At is when the link was written or something was last made to rest upon it;
	// zero in those of older versions.
	At time.Time `json:"at,omitzero"`
}

// Blob is what a repository has of a blob.
type Blob struct {
	ociregistry.Descriptor
	// URL is where clients get the content, which its owner hosts; "" where the
	// storage has it.
	URL string
}

// FindBlob describes a blob of a repository. Errors: those of ResolveBlob.
func (s *Storage) FindBlob(ctx context.Context, repo string, d digest.Digest) (Blob, error) {
	l, err := s.readLink(ctx, repo, d, blobKey, ociregistry.ErrBlobUnknown)
	return l.blob(d), err
}

func (l link) blob(d digest.Digest) Blob {
	return Blob{Descriptor: l.describe(d), URL: l.URL}
}

func (l link) describe(d digest.Digest) ociregistry.Descriptor {
	if l.MediaType == "" {
		l.MediaType = mediaTypeBlob
	}
	return ociregistry.Descriptor{MediaType: l.MediaType, Digest: d, Size: l.Size}
}

// maxURL bounds the URL of a blob that somebody else hosts, in bytes.
const maxURL = 4096

// maxLinked bounds the size of a blob that somebody else hosts, in bytes: 64 TiB, which
// is more than S3 takes for one. It keeps sums of sizes, such as that of an image, in
// an int64.
const maxLinked = 64 << 40

// linkTries bounds how often LinkBlob begins again where others change the same.
const linkTries = 10

// LinkBlob makes a blob that its owner hosts one of the repository's: clients are
// sent to rawURL for it, which is https, or http on this machine. Nothing is
// fetched from there: clients verify what they get by the digest. Where the
// repository has the content itself, that stays as it is.
//
// Whom the registry may send its clients to, Storage does not know: Server does
// (Options.Owners).
// Errors: ErrNameInvalid, ErrDigestInvalid; Invalid for another size or URL.
func (s *Storage) LinkBlob(ctx context.Context, repo string, desc ociregistry.Descriptor, rawURL string) error {
	if err := checkRepository(repo); err != nil {
		return err
	}
	if err := checkDigest(desc.Digest); err != nil {
		return err
	}
	u, err := parseOwnerURL(rawURL)
	if err != nil {
		return err
	}
	if desc.Size < 0 || desc.Size > maxLinked {
		return regcred.Errorf(regcred.Invalid, "a blob that its owner hosts needs its size in bytes, %d at most", int64(maxLinked))
	}
	data, err := encodeJSON(link{Size: desc.Size, URL: u.String(), At: time.Now().UTC()})
	if err != nil {
		return err
	}
	for range linkTries {
		done, err := s.tryLink(ctx, repo, desc, data)
		if err != nil {
			return err
		}
		if done {
			return s.putName(ctx, repo)
		}
	}
	return regcred.Errorf(regcred.Unavailable, "others go on changing blob %s of %s: try again", desc.Digest, repo)
}

// tryLink puts a link in place of another one to an owner, but not of one to
// content, and reports whether it did or need not.
func (s *Storage) tryLink(ctx context.Context, repo string, desc ociregistry.Descriptor, data []byte) (bool, error) {
	key := blobKey(repo, desc.Digest)
	var found link
	version, err := s.readJSON(ctx, key, &found)
	condition := IfVersion(version)
	switch regcred.CodeOf(err) {
	case regcred.NotFound:
		condition = IfAbsent
	default:
		if err != nil {
			return false, err
		}
		if found.URL == "" && s.hasContent(ctx, desc.Digest, found.Size) {
			if found.Size != desc.Size {
				return false, regcred.Errorf(regcred.Invalid, "%s has %d bytes, not %d", desc.Digest, found.Size, desc.Size)
			}
			return true, s.linkBlob(ctx, repo, desc)
		}
	}
	if err = s.blobs.Put(ctx, key, data, condition); raced(err) {
		return false, nil
	}
	return err == nil, err
}

// hasContent reports whether the storage has content, as far as its size tells.
func (s *Storage) hasContent(ctx context.Context, d digest.Digest, size int64) bool {
	info, err := s.blobs.Stat(ctx, contentKey(d))
	return err == nil && info.Size == size
}

// parseOwnerURL parses the URL of a blob that its owner hosts. Errors: Invalid.
func parseOwnerURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil, len(raw) > maxURL:
		return nil, regcred.Errorf(regcred.Invalid, "the URL of the blob's owner is malformed, or longer than %d bytes", maxURL)
	case u.User != nil:
		return nil, regcred.Errorf(regcred.Invalid, "the URL of the blob's owner holds a user name: every client that pulls would see it")
	case u.Host == "" || u.Opaque != "" || u.Fragment != "":
		return nil, regcred.Errorf(regcred.Invalid, "%.200q is no URL of a blob: write https://HOST/PATH", raw)
	case u.Scheme == "https", u.Scheme == "http" && isLoopback(u.Hostname()):
		return u, nil
	}
	return nil, regcred.Errorf(regcred.Invalid, "%.200q is no https URL: clients could be given anything on the way", raw)
}

// isLoopback reports whether a host is this machine, by its name alone.
func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}
