// Package chart_test holds charts/regcred to what it promises, with Helm's own
// library. Its files with the build tag integration install the chart on a real API
// server.
package chart_test

import (
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v4/pkg/action"
	chartv2 "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	release "helm.sh/helm/v4/pkg/release/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

// directory is where the chart is.
const directory = "../../charts/regcred"

// The release that tests render.
const (
	releaseName = "regcred"
	namespace   = "deis"
)

// load reads the chart.
func load(t *testing.T) *chartv2.Chart {
	t.Helper()
	ch, err := loader.LoadDir(directory)
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

// values reads a YAML document of values, as `helm --values` does.
func values(t *testing.T, text string) map[string]any {
	t.Helper()
	vals := map[string]any{}
	if err := yaml.Unmarshal([]byte(text), &vals); err != nil {
		t.Fatal(err)
	}
	return vals
}

// rendered is what an installation would apply, and tell the user.
type rendered struct {
	objects []*unstructured.Unstructured
	notes   string
}

// tryRender is `helm template`, with the notes of `helm install`.
func tryRender(ch *chartv2.Chart, vals map[string]any) (rendered, error) {
	install := action.NewInstall(action.NewConfiguration(action.ConfigurationSetLogger(slog.DiscardHandler)))
	install.DryRunStrategy = action.DryRunClient
	install.ReleaseName, install.Namespace = releaseName, namespace
	out, err := install.Run(ch, vals)
	if err != nil {
		return rendered{}, err
	}
	rel, ok := out.(*release.Release)
	if !ok {
		return rendered{}, fmt.Errorf("helm returned a %T", out)
	}
	objects, err := parse(rel.Manifest)
	return rendered{objects, rel.Info.Notes}, err
}

// render is tryRender of the chart with values in YAML; an error fails the test.
func render(t *testing.T, vals string) rendered {
	t.Helper()
	r, err := tryRender(load(t), values(t, vals))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// parse reads a manifest's documents.
func parse(manifest string) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	for doc := range strings.SplitSeq(manifest, "\n---\n") {
		object := map[string]any{}
		if err := yaml.UnmarshalStrict([]byte(doc), &object); err != nil {
			return nil, fmt.Errorf("%w in:\n%s", err, doc)
		}
		if len(object) > 0 {
			objects = append(objects, &unstructured.Unstructured{Object: object})
		}
	}
	return objects, nil
}

// names lists the objects as KIND/NAME, in the order in which Helm applies them.
func (r rendered) names() []string {
	var names []string
	for _, o := range r.objects {
		name := o.GetKind() + "/" + o.GetName()
		if o.GetNamespace() != "" {
			name = o.GetKind() + "/" + o.GetNamespace() + "/" + o.GetName()
		}
		names = append(names, name)
	}
	return names
}

// find returns the one object of a kind.
func (r rendered) find(t *testing.T, kind string) *unstructured.Unstructured {
	t.Helper()
	var found *unstructured.Unstructured
	for _, o := range r.objects {
		if o.GetKind() != kind {
			continue
		}
		if found != nil {
			t.Fatalf("there is more than one %s", kind)
		}
		found = o
	}
	if found == nil {
		t.Fatalf("there is no %s among %v", kind, r.names())
	}
	return found
}

// as returns the one object of a kind as its Go type, which must know all its fields.
func as[T any](t *testing.T, r rendered, kind string) T {
	t.Helper()
	var object T
	convert(t, r.find(t, kind), &object)
	return object
}

func convert(t *testing.T, from *unstructured.Unstructured, to any) {
	t.Helper()
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(from.Object, to, true); err != nil {
		t.Fatal(err)
	}
}

var update = flag.Bool("update", false, "write the golden files anew")

// compareGolden compares with a golden file, as parsed objects.
func compareGolden(t *testing.T, path string, r rendered) {
	t.Helper()
	var text strings.Builder
	for i, o := range r.objects {
		doc, err := yaml.Marshal(o.Object)
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			text.WriteString("---\n")
		}
		text.Write(doc)
	}
	if *update {
		if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), text.String()); diff != "" {
		t.Errorf("%s differs; `go test -update` writes it anew (-want +got):\n%s", path, diff)
	}
}
