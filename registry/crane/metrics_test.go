package crane_test

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"regcred.dev/registry/crane"
)

func TestMetrics(t *testing.T) {
	files := map[string]string{"two.json": metadata["two.json"], "small.json": metadata["small.json"], "bad.json": "{"}
	registry := prometheus.NewRegistry()
	h := newHandler(t, crane.Options{Directory: openDirectory(t, files, crane.DirectoryOptions{}), Metrics: registry})
	for _, path := range []string{
		"/v2/acme/two/manifests/latest", "/v2/acme/two/manifests/other", "/v2/acme/two/blobs/x", "/v2/acme/none/blobs/x", "/v1/images/b1/layer",
	} {
		ask(t, h, "GET", path)
	}
	err := testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP regcred_crane_bad_files Files and directories of Crane's metadata that cannot be used as they are.
# TYPE regcred_crane_bad_files gauge
regcred_crane_bad_files 1
# HELP regcred_crane_redirects_total Redirects to the files of Crane's metadata, by repository and what of it: manifests, blobs, tags, and ancestry, json and layer of images of v1.
# TYPE regcred_crane_redirects_total counter
regcred_crane_redirects_total{kind="blobs",repository="acme/two"} 1
regcred_crane_redirects_total{kind="layer",repository="acme/small"} 1
regcred_crane_redirects_total{kind="manifests",repository="acme/two"} 2
# HELP regcred_crane_repositories Repositories of Crane's metadata, of both protocols.
# TYPE regcred_crane_repositories gauge
regcred_crane_repositories 2
`))
	if err != nil {
		t.Error(err)
	}
}
