package registry

import (
	"strings"

	"cuelabs.dev/go/oci/ociregistry"
	"github.com/opencontainers/go-digest"
)

// The layout of the registry's objects. REPO is a repository's name with "+" for
// each "/", ALG/HEX a digest, AB the first two digits of it:
//
//	blobs/ALG/AB/HEX                                content of blobs and manifests, each once
//	repositories/REPO/blobs/ALG/HEX                 {"size":n,"at":".."}: the repository has the blob; "url" says
//	                                                where its owner hosts it, if its content is not here
//	repositories/REPO/manifests/ALG/HEX             {"mediaType":"..","size":n,"at":".."}: it has the manifest
//	names/REPO                                      empty: the repository exists
//	repositories/REPO/referrers/ALG/HEX/ALG/HEX     descriptor of a manifest whose subject is the first digest, and "write"
//	v1/ID/REPO/ALG/HEX                              the same, of a manifest that has the v1 image ID (dockerv1.Companion)
//	repositories/REPO/tags/TAG                      {"mediaType":"..","digest":"..","size":n,"write":".."}
//
// A repository serves only what it has links to: content that another repository
// stored stays invisible until it is pushed or mounted. Writes go from the top
// to the bottom of this list, so that a link never points at content that is not
// there, nor a tag at a manifest that is incomplete; deletions go the other way,
// and look once more for tags and referrers after the manifest's link is gone.
// "write" is random, so that those written anew can be told from the ones before.
// "at" is when a link was written or last relied on. Content without links is left
// for garbage collection. Beside these there are
//
//	condemned/ALG/HEX                               content that is to be deleted: see condemn.go
//	repositories/REPO/history/TAG                   what the tag pointed at before: see history.go
//	usage/repositories/REPO, usage/scopes/HASH      bytes held, where there is a quota: see quota.go
//	statistics/YYYY-MM-DD/PROCESS-NNNNNN            pulls and pushes: see statisticskept.go
//	statistics/YYYY-MM/NNNNNN                       those of a month long ago: see statisticsmonths.go
//
// "+" is not in the grammar of repository names, which makes REPO unique and one
// segment long: "a" and "a/b" are neighbours, and neither is a directory of the
// other.

const (
	contentPrefix      = "blobs/"
	namesPrefix        = "names/"
	repositoriesPrefix = "repositories/"

	// In the keys of a repository.
	manifestsDirectory = "/manifests/"
	tagsDirectory      = "/tags/"
)

// Bounds of the OCI distribution specification, in bytes.
const (
	maxRepository = 255
	maxTag        = 128
)

// checkRepository returns ErrNameInvalid where name is no repository.
func checkRepository(name string) error {
	if len(name) > maxRepository || !isRepository(name) {
		return ociregistry.NewError(
			"this is no repository name: it has lower-case letters, digits and single separators (. _ - /), at most 255 of them",
			ociregistry.ErrNameInvalid.Code(), nil)
	}
	return nil
}

// checkDigest returns ErrDigestInvalid where d is no digest that the registry
// can verify.
func checkDigest(d digest.Digest) error {
	if !isDigest(d) {
		return ociregistry.NewError("this is no digest: write sha256:HEX or sha512:HEX", ociregistry.ErrDigestInvalid.Code(), nil)
	}
	return nil
}

// known reports whether the registry computes digests of an algorithm.
func known(a digest.Algorithm) bool { return a == digest.SHA256 || a == digest.SHA512 }

// checkTag returns ErrManifestInvalid where tag is none.
func checkTag(tag string) error {
	if !isTag(tag) {
		return ociregistry.NewError("this is no tag: it has letters, digits and . _ -, at most 128, and begins with none of . and -",
			ociregistry.ErrManifestInvalid.Code(), nil)
	}
	return nil
}

// escapeRepository turns a repository's name into one key segment.
func escapeRepository(name string) string { return strings.ReplaceAll(name, "/", "+") }

// unescapeRepository is the inverse of escapeRepository. It reports false for a
// segment that no repository has.
func unescapeRepository(segment string) (string, bool) {
	name := strings.ReplaceAll(segment, "+", "/")
	return name, !strings.Contains(segment, "/") && checkRepository(name) == nil
}

func contentKey(d digest.Digest) string {
	return contentPrefix + d.Algorithm().String() + "/" + d.Encoded()[:2] + "/" + d.Encoded()
}

// parseContentKey is the inverse of contentKey.
func parseContentKey(key string) (digest.Digest, bool) {
	algorithm, rest, _ := strings.Cut(strings.TrimPrefix(key, contentPrefix), "/")
	_, hex, _ := strings.Cut(rest, "/")
	d, ok := parseDigestPath(algorithm + "/" + hex)
	return d, ok && contentKey(d) == key
}

// parseLinkKey is the inverse of blobKey and manifestKey.
func parseLinkKey(key string) (repo string, d digest.Digest, ok bool) {
	segment, rest, _ := strings.Cut(strings.TrimPrefix(key, repositoriesPrefix), "/")
	kind, path, _ := strings.Cut(rest, "/")
	if kind != "blobs" && kind != "manifests" {
		return "", "", false
	}
	repo, ok = unescapeRepository(segment)
	if !ok {
		return "", "", false
	}
	d, ok = parseDigestPath(path)
	return repo, d, ok
}

func nameKey(repo string) string { return namesPrefix + escapeRepository(repo) }

func blobKey(repo string, d digest.Digest) string {
	return repositoryPrefix(repo) + "blobs/" + digestPath(d)
}

func manifestKey(repo string, d digest.Digest) string {
	return repositoriesPrefix + escapeRepository(repo) + manifestsDirectory + digestPath(d)
}

func referrersPrefix(repo string, subject digest.Digest) string {
	return repositoryPrefix(repo) + "referrers/" + digestPath(subject) + "/"
}

func tagsPrefix(repo string) string {
	return repositoriesPrefix + escapeRepository(repo) + tagsDirectory
}

func repositoryPrefix(repo string) string { return repositoriesPrefix + escapeRepository(repo) + "/" }

func digestPath(d digest.Digest) string { return d.Algorithm().String() + "/" + d.Encoded() }

// parseDigestPath is the inverse of digestPath.
func parseDigestPath(path string) (digest.Digest, bool) {
	d := digest.Digest(strings.Replace(path, "/", ":", 1))
	return d, checkDigest(d) == nil
}
