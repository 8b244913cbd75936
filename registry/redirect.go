package registry

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"cuelabs.dev/go/oci/ociregistry"

	"regcred.dev"
)

// Redirect says whether clients get blobs from the storage itself, by URLs that
// are signed for them and hold for a time: the server then sends no content.
//
// Only GET of a blob is answered so. A client needs no login there, and one that
// sends it on to another host is at fault; manifests and HEAD are always answered
// here, since some clients follow no redirects for them. Leave it off where
// clients cannot reach the storage.
type Redirect struct {
	// Enabled turns redirects on. The Storage's Blobs must be a Locator.
	Enabled bool
	// Lifetime is how long a URL holds, when it is signed; clients that come later get
	// the same for an eighth of that time. A download that has begun goes on for
	// longer, but one that is resumed needs a URL that holds. Zero means
	// DefaultRedirectLifetime; S3 allows 7 days at most.
	Lifetime time.Duration
}

// DefaultRedirectLifetime is how long a signed URL holds, unless it is configured.
const DefaultRedirectLifetime = time.Hour

// checkOwners returns an Invalid error where an element is no host.
func checkOwners(owners []string) error {
	for _, host := range owners {
		u, err := url.Parse("https://" + host)
		if err != nil || u.Host != host || host == "" || u.User != nil {
			return regcred.Errorf(regcred.Invalid, "%.200q is no host of an owner of blobs: write HOST or HOST:PORT, such as cdn.example.com", host)
		}
	}
	return nil
}

// checkOwner returns a Denied error where clients are not to be sent to a URL.
func (s *Server) checkOwner(u *url.URL) error {
	isHost := func(host string) bool { return strings.EqualFold(host, u.Host) }
	if !slices.ContainsFunc(s.owners, isHost) {
		return regcred.Errorf(regcred.Denied, "this registry sends nobody to %.200q: add it to the hosts of other owners in its configuration", u.Host)
	}
	return nil
}

// serveLinked answers for a blob that its owner hosts. The owner is looked at
// again: one that the configuration no longer has is no longer sent clients, and who
// asks by HEAD whether to push the blob is told to.
func (s *Server) serveLinked(w http.ResponseWriter, r *http.Request, b Blob) error {
	u, err := parseOwnerURL(b.URL)
	if err != nil {
		return regcred.Errorf(regcred.Corrupt, "the stored link of %s is damaged: %w", b.Digest, err)
	}
	err = s.checkOwner(u)
	switch {
	case err != nil && r.Method == http.MethodHead:
		return ociregistry.ErrBlobUnknown
	case err != nil:
		return err
	case r.Method == http.MethodHead:
		serveHead(w, b.Descriptor)
	default:
		redirect(w, b, u.String())
	}
	return nil
}

// redirect sends a client elsewhere for a blob.
func redirect(w http.ResponseWriter, b Blob, to string) {
	h := w.Header()
	h.Set("Docker-Content-Digest", b.Digest.String())
	h.Set("Cache-Control", "no-store") // the URL is for this client, and for a time
	h.Set("Location", to)
	h.Set("Content-Length", "0")
	w.WriteHeader(http.StatusTemporaryRedirect)
	if rec, ok := w.(*recorder); ok {
		rec.redirected = b.Size
	}
}
