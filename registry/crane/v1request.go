package crane

import "strings"

// A v1Resource is what a path of the v1 protocol names.
type v1Resource uint8

const (
	v1Ping   v1Resource = iota // /v1/_ping
	v1Users                    // /v1/users and /v1/users/
	v1Search                   // /v1/search
	v1Images                   // /v1/repositories/REPO/images
	v1Tags                     // /v1/repositories/REPO/tags
	v1Tag                      // /v1/repositories/REPO/tags/TAG
	v1File                     // /v1/images/ID/ancestry, json and layer
)

// v1Request is a path of the v1 protocol, parsed.
type v1Request struct {
	resource v1Resource
	repo     string // of v1Images, v1Tags and v1Tag: one segment or two
	tag      string
	id, file string // of v1File
}

// parseV1 parses a path. It reports false for one that is not of the protocol.
func parseV1(path string) (v1Request, bool) {
	rest, _ := strings.CutPrefix(path, "/v1/")
	switch rest {
	case "_ping":
		return v1Request{resource: v1Ping}, true
	case "users", "users/":
		return v1Request{resource: v1Users}, true
	case "search":
		return v1Request{resource: v1Search}, true
	}
	segments := strings.Split(rest, "/")
	for _, s := range segments {
		if !isSegment(s) {
			return v1Request{}, false
		}
	}
	switch segments[0] {
	case "images":
		return parseFile(segments[1:])
	case "repositories":
		return parseRepository(segments[1:])
	}
	return v1Request{}, false
}

func parseFile(segments []string) (v1Request, bool) {
	if len(segments) != 2 {
		return v1Request{}, false
	}
	q := v1Request{resource: v1File, id: segments[0], file: segments[1]}
	return q, q.file == "ancestry" || q.file == "json" || q.file == "layer"
}

// parseRepository parses what comes after "repositories". Where it could be read in
// two ways, the last "tags" but one is the keyword: "a/tags/images" is a tag of "a".
func parseRepository(segments []string) (q v1Request, ok bool) {
	n := len(segments)
	switch {
	case n > 2 && segments[n-2] == "tags":
		q = v1Request{resource: v1Tag, tag: segments[n-1]}
		segments = segments[:n-2]
	case n > 1 && segments[n-1] == "tags":
		q = v1Request{resource: v1Tags}
		segments = segments[:n-1]
	case n > 1 && segments[n-1] == "images":
		q = v1Request{resource: v1Images}
		segments = segments[:n-1]
	default:
		return v1Request{}, false
	}
	if len(segments) == 2 && segments[0] == "library" { // which Docker puts before a name without a slash
		segments = segments[1:]
	}
	q.repo = strings.Join(segments, "/")
	return q, len(segments) <= 2
}
