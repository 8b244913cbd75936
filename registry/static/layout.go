package static

import (
	"slices"
	"strings"

	"cuelabs.dev/go/oci/ociregistry/ociref"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"regcred.dev"
)

// Root is the directory that clients read, below the prefix of a bucket or in a
// directory: what is beside it is for publishers alone.
const Root = "v2"

const (
	rootKey  = Root + "/"
	indexKey = Root + "/index.html"
)

// Values of Cache-Control: what is named by a digest never changes. Tags move; a minute
// is how long a CDN may take to see it.
const (
	forever = "public, max-age=31536000, immutable"
	briefly = "public, max-age=60"
)

// Media types beside those of the OCI image specification.
const (
	typeBlob           = "application/octet-stream"
	typeJSON           = "application/json"
	typeText           = "text/plain; charset=utf-8"
	typeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	typeDockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
)

// manifestTypes are the media types of manifests, with the suffix that files of each have
// in a Directory. Where a tag has files of two, as its type was changed by a publisher who
// was killed, the first one counts.
var manifestTypes = []struct{ mediaType, suffix string }{
	{ocispec.MediaTypeImageIndex, ".oci-index"},
	{typeDockerList, ".docker-list"},
	{ocispec.MediaTypeImageManifest, ".oci-manifest"},
	{typeDockerManifest, ".docker-manifest"},
}

// suffixOf returns the suffix of files of a media type, "" for other types.
func suffixOf(mediaType string) string {
	for _, t := range manifestTypes {
		if t.mediaType == mediaType {
			return t.suffix
		}
	}
	return ""
}

const manifestsDir = "/manifests/"

// manifestKey returns where a manifest is, by its tag or digest.
func manifestKey(repo, reference string) string { return rootKey + repo + manifestsDir + reference }

func blobKey(repo string, d digest.Digest) string { return rootKey + repo + "/blobs/" + d.String() }

func tagsKey(repo string) string { return rootKey + repo + "/tags/list" }

// holderKey returns where the name of a repository is that has a blob.
func holderKey(d digest.Digest) string { return "index/" + d.Algorithm().String() + "/" + d.Encoded() }

// checkRepository returns an Invalid error for a name that is none, or whose keys could
// be directories of another's.
func checkRepository(repo string) error {
	if !ociref.IsValidRepository(repo) {
		return regcred.Errorf(regcred.Invalid, "%.100q is no repository name", repo)
	}
	segments := strings.Split(repo, "/")
	for _, word := range []string{"manifests", "blobs", "tags"} {
		if slices.Contains(segments, word) {
			return regcred.Errorf(regcred.Invalid, "a static registry cannot have the repository %s, as %q is a directory of its own in it: choose another name", repo, word)
		}
	}
	if segments[0] == "index.html" {
		return regcred.Errorf(regcred.Invalid, "a static registry cannot have the repository %s, as index.html is a file of its own in it: choose another name", repo)
	}
	return nil
}

// checkDigest returns an Invalid error for a digest that clients do not know.
func checkDigest(d digest.Digest) error {
	if err := d.Validate(); err != nil {
		return regcred.Errorf(regcred.Invalid, "%.150q is no digest: %w", d, err)
	}
	return nil
}
