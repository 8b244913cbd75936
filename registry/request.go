package registry

import (
	"net/http"
	"slices"
	"strings"

	"cuelabs.dev/go/oci/ociregistry"
	"github.com/opencontainers/go-digest"

	"regcred.dev"
	"regcred.dev/token"
)

// A resource is what a path of the registry protocol names.
type resource uint8

const (
	resPing      resource = iota // /v2/
	resCatalog                   // /v2/_catalog
	resTags                      // /v2/NAME/tags/list
	resReferrers                 // /v2/NAME/referrers/DIGEST
	resManifest                  // /v2/NAME/manifests/TAG or DIGEST
	resBlob                      // /v2/NAME/blobs/DIGEST
	resUploads                   // /v2/NAME/blobs/uploads/
	resUpload                    // /v2/NAME/blobs/uploads/ID
)

// request is a request of the registry protocol, parsed. All fields are of valid
// form.
type request struct {
	resource resource
	repo     string
	tag      string        // of resManifest, where digest is ""
	digest   digest.Digest // of resReferrers, resManifest and resBlob
	upload   string        // of resUpload
	access   access        // what whoever asks may do
}

// route is what one method does to a resource: the action that it needs on the
// repository, "" for none, and its handler.
type route struct {
	action string
	handle func(*Server, http.ResponseWriter, *http.Request, request) error
}

var routes = map[resource]map[string]route{
	resPing:      {"GET": {"", (*Server).ping}, "HEAD": {"", (*Server).ping}},
	resCatalog:   {"GET": {token.Pull, (*Server).catalog}},
	resTags:      {"GET": {token.Pull, (*Server).tags}},
	resReferrers: {"GET": {token.Pull, (*Server).referrers}},
	resManifest: {
		"GET":    {token.Pull, (*Server).getManifest},
		"HEAD":   {token.Pull, (*Server).getManifest},
		"PUT":    {token.Push, (*Server).putManifest},
		"DELETE": {token.Delete, (*Server).deleteManifest},
	},
	resBlob: {
		"GET":    {token.Pull, (*Server).getBlob},
		"HEAD":   {token.Pull, (*Server).getBlob},
		"DELETE": {token.Delete, (*Server).deleteBlob},
	},
	resUploads: {"POST": {token.Push, (*Server).startUpload}},
	resUpload: {
		"GET":    {token.Push, (*Server).uploadStatus},
		"PATCH":  {token.Push, (*Server).patchUpload},
		"PUT":    {token.Push, (*Server).putUpload},
		"DELETE": {token.Push, (*Server).cancelUpload},
	},
}

// allowed returns the methods of a resource, sorted.
func allowed(r resource) []string {
	var methods []string
	for m := range routes[r] {
		methods = append(methods, m)
	}
	slices.Sort(methods)
	return methods
}

// parsePath parses the path of a request. The name of a repository is everything
// before the last keyword, so one may have the keywords in it.
// Errors: NotFound; ErrNameInvalid, ErrDigestInvalid, ErrManifestUnknown.
func parsePath(path string) (request, error) {
	rest, ok := strings.CutPrefix(path, "/v2/")
	switch {
	case path == "/v2", ok && rest == "":
		return request{resource: resPing}, nil
	case ok && rest == "_catalog":
		return request{resource: resCatalog}, nil
	case !ok:
		return request{}, errNoSuchPath
	}
	q, err := parseResource(rest)
	if err != nil {
		return request{}, err
	}
	return q, checkRepository(q.repo)
}

var errNoSuchPath = regcred.Errorf(regcred.NotFound, "this path is not of the registry protocol")

func parseResource(rest string) (request, error) {
	head, last := cutLast(rest)
	repo, keyword := cutLast(head)
	if keyword == "uploads" {
		name, ok := strings.CutSuffix(repo, "/blobs")
		if !ok {
			return request{}, errNoSuchPath
		}
		if last == "" {
			return request{resource: resUploads, repo: name}, nil
		}
		return request{resource: resUpload, repo: name, upload: last}, nil
	}
	switch {
	case keyword == "blobs" && last == "uploads":
		return request{resource: resUploads, repo: repo}, nil
	case keyword == "blobs":
		return request{resource: resBlob, repo: repo, digest: digest.Digest(last)}, checkDigest(digest.Digest(last))
	case keyword == "referrers":
		return request{resource: resReferrers, repo: repo, digest: digest.Digest(last)}, checkDigest(digest.Digest(last))
	case keyword == "tags" && last == "list":
		return request{resource: resTags, repo: repo}, nil
	case keyword == "manifests" && strings.Contains(last, ":"):
		return request{resource: resManifest, repo: repo, digest: digest.Digest(last)}, checkDigest(digest.Digest(last))
	case keyword == "manifests" && isTag(last):
		return request{resource: resManifest, repo: repo, tag: last}, nil
	case keyword == "manifests":
		return request{}, ociregistry.ErrManifestUnknown
	}
	return request{}, errNoSuchPath
}

// cutLast slices s around its last slash, or before all of it.
func cutLast(s string) (before, after string) {
	if i := strings.LastIndexByte(s, '/'); i >= 0 {
		return s[:i], s[i+1:]
	}
	return "", s
}
