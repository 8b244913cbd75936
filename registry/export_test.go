package registry

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// EveryRequest returns the method and path of a request for every route that concerns
// a repository.
func EveryRequest(repo string) [][2]string {
	digest := "sha256:" + strings.Repeat("0", 64)
	paths := map[resource]string{
		resTags: "tags/list", resReferrers: "referrers/" + digest, resManifest: "manifests/v1", resBlob: "blobs/" + digest,
		resUploads: "blobs/uploads/", resUpload: "blobs/uploads/ABCDEFGHIJKLMNOPQRSTUVWXYZ",
	}
	var list [][2]string
	for r, methods := range routes {
		if r == resPing || r == resCatalog {
			continue
		}
		path, ok := paths[r]
		if !ok {
			panic("EveryRequest lacks a resource")
		}
		for _, method := range slices.Sorted(maps.Keys(methods)) {
			list = append(list, [2]string{method, "/v2/" + repo + "/" + path})
		}
	}
	return list
}

// SetTiming makes what takes hours in earnest take less in a test.
func (s *Storage) SetTiming(patience, takeover time.Duration) {
	s.patience, s.takeover = patience, takeover
}
