// Package static writes a registry that needs no program to serve it: a tree of files or
// of objects in a bucket, which any web server that maps /v2/ to it can give to docker,
// containerd, podman and skopeo.
//
//	v2/                           answers GET /v2/ in a bucket: an empty object
//	v2/index.html                 the same where a web server looks for such a file: "{}"
//	v2/NAME/manifests/DIGEST      a manifest or index, once and for all
//	v2/NAME/manifests/TAG         the same, until the tag moves
//	v2/NAME/blobs/DIGEST          a config or layer; each repository has its own
//	v2/NAME/tags/list             {"name":NAME,"tags":[...]}
//	index/sha256/HEX              the name of a repository that has a blob; for publishers
//
// The paths are those of the OCI distribution specification 1.1 ("Endpoints"), and so no
// key may be a directory of another: names of repositories may not have the segments
// "manifests", "blobs" or "tags", nor begin with "index.html".
//
// Objects are written in the order in which clients need them: contents, then manifests
// by digest, then the tag, and last its name in tags/list. So nobody ever pulls half an
// image, whenever a publisher is killed; the next one goes on where it stopped. What
// several publishers change, tags/list and the lists of artifacts about an image, is
// compared and swapped: none of them loses another's entry. A tag is the last one's.
//
// Artifacts with a subject are also in an index under the tag ALGORITHM-HEX of what they
// are about, which clients look for where a registry has no referrers API ("Referrers Tag
// Schema" of the specification).
package static
