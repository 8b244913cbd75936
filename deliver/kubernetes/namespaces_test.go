package kubernetes

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// TestNamespaceMadeAnew: a namespace of the same name and labels is another one, also
// where nobody saw the first one go.
func TestNamespaceMadeAnew(t *testing.T) {
	o := &Options{}
	o.setDefaults()
	if err := o.check(); err != nil {
		t.Fatal(err)
	}
	news := 0
	s := &session{o: o, table: newTable(func(string) { news++ })}
	f := s.namespaceFeed()
	f.synced = make(chan struct{})
	for i, uid := range []types.UID{"1", "1", "2"} {
		ns := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: "ns", UID: uid, ResourceVersion: "5"}}
		if err := f.Replace([]any{ns}, "5"); err != nil {
			t.Fatal(err)
		}
		if want := []int{1, 1, 2}[i]; news != want {
			t.Errorf("after listing %d it was news %d times, want %d", i+1, news, want)
		}
	}
}
