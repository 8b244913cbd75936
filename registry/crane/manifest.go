package crane

import (
	"net/http"
	"strconv"
	"strings"
)

// Docker's media types of "Image Manifest Version 2, Schema 2".
const (
	mediaTypeManifest = "application/vnd.docker.distribution.manifest.v2+json"
	mediaTypeList     = "application/vnd.docker.distribution.manifest.list.v2+json"
)

// accepted returns the media types of a request's Accept headers. Their weights are of
// no account, as in Crane.
func accepted(h http.Header) map[string]bool {
	set := map[string]bool{}
	for _, value := range h.Values("Accept") {
		for item := range strings.SplitSeq(value, ",") {
			mediaType, _, _ := strings.Cut(item, ";")
			set[strings.TrimSpace(mediaType)] = true
		}
	}
	return set
}

// file returns the path, below a repository's URL, of what comes after its name in a
// request, which is one of "tags", "manifests" and "blobs" and may be followed by
// more. It reports false for what no repository of the version has.
func (r *repository) file(rest string, accept map[string]bool) (string, bool) {
	kind, id, _ := strings.Cut(rest, "/")
	if kind != "manifests" || r.version < 3 {
		return rest, true
	}
	if !isSegment(id) {
		return "", false
	}
	return "manifests/" + r.manifest(id, accept), true
}

// manifest returns the path of the manifest of a tag or digest that a client gets who
// accepts some media types: the manifest directories of Pulp are "1" and "2", by
// schema, and "list".
func (r *repository) manifest(id string, accept map[string]bool) string {
	amd64, hasAMD64 := r.amd64[id]
	switch {
	case accept[mediaTypeList] && r.lists[id]:
		return "list/" + id
	case hasAMD64 && (accept[mediaTypeManifest] || amd64.schema == 1):
		return strconv.Itoa(amd64.schema) + "/" + amd64.digest
	case hasAMD64:
		return "1/" + id
	case accept[mediaTypeManifest] && r.schema2[id]:
		return "2/" + id
	}
	return "1/" + id
}
