package regcredtest

import (
	"bytes"
	"context"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"regcred.dev"
	"regcred.dev/registry"
)

// TestBlobs checks that an object storage does what registry.Blobs asks for: each
// method and each error that it names. open returns a new, empty storage on each
// call, and cleans it up by t.
func TestBlobs(t *testing.T, open func(t *testing.T) registry.Blobs) {
	tests := []struct {
		name string
		run  func(t *testing.T, b registry.Blobs)
	}{
		{"PutGet", testBlobsPutGet},
		{"NotFound", testBlobsNotFound},
		{"BadKeys", testBlobsBadKeys},
		{"NoDirectories", testBlobsNoDirectories},
		{"TooLarge", testBlobsTooLarge},
		{"Conditions", testBlobsConditions},
		{"ConditionsConcurrently", testBlobsConditionsConcurrently},
		{"ReaderKeepsContent", testBlobsReaderKeepsContent},
		{"List", testBlobsList},
		{"Model", testBlobsModel},
		{"Upload", testBlobsUpload},
		{"UploadResume", testBlobsUploadResume},
		{"UploadInUse", testBlobsUploadInUse},
		{"UploadCancel", testBlobsUploadCancel},
		{"UploadReplaces", testBlobsUploadReplaces},
		{"CleanUploads", testBlobsCleanUploads},
		{"ContextEnded", testBlobsContextEnded},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

func testBlobsPutGet(t *testing.T, b registry.Blobs) {
	began := time.Now()
	for _, data := range []string{"", "one", "another"} {
		putBlob(t, b, "a/b/key-1._+", data)
		if got := readBlob(t, b, "a/b/key-1._+"); got != data {
			t.Errorf("read %q, want %q", got, data)
		}
	}
	info, err := b.Stat(t.Context(), "a/b/key-1._+")
	if err != nil || info.Key != "a/b/key-1._+" || info.Size != int64(len("another")) {
		t.Errorf("Stat: %+v, %v", info, err)
	}
	if age := info.ModifiedAt.Sub(began); age < -time.Minute || age > time.Hour {
		t.Errorf("ModifiedAt is %s, the test began at %s", info.ModifiedAt, began)
	}

	object, err := b.Get(t.Context(), "a/b/key-1._+")
	if err != nil {
		t.Fatal(err)
	}
	defer object.Close()
	if object.Info.Size != info.Size {
		t.Errorf("Get says %d bytes, Stat %d", object.Info.Size, info.Size)
	}
	if _, err := object.Seek(2, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(object)
	if err != nil || string(rest) != "other" {
		t.Errorf("from 2 on it reads %q, %v", rest, err)
	}

	if err := b.Delete(t.Context(), "a/b/key-1._+", registry.Condition{}); err != nil {
		t.Fatal(err)
	}
	blobCode(t, regcred.NotFound, statError(t, b, "a/b/key-1._+"))
	if err := b.Delete(t.Context(), "a/b/key-1._+", registry.Condition{}); err != nil {
		t.Errorf("Delete of nothing: %v", err)
	}
}

func testBlobsNotFound(t *testing.T, b registry.Blobs) {
	putBlob(t, b, "a/b", "x")
	for _, key := range []string{"none", "a", "a/none", "a/b/c", "none/none/none"} {
		_, err := b.Get(t.Context(), key)
		blobCode(t, regcred.NotFound, err)
		blobCode(t, regcred.NotFound, statError(t, b, key))
		_, _, err = b.Read(t.Context(), key)
		blobCode(t, regcred.NotFound, err)
	}
	_, err := b.OpenUpload(t.Context(), "none")
	blobCode(t, regcred.NotFound, err)
}

func testBlobsBadKeys(t *testing.T, b registry.Blobs) {
	bad := []string{
		"", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/..", "a/../b", "a/./b", ".hidden", "a/.hidden",
		"a\x00b", "a b", "a\\b", "a:b", "ä", "a\nb", strings.Repeat("a", 256), strings.Repeat("a/", 600) + "a",
	}
	for _, key := range bad {
		_, err := b.Get(t.Context(), key)
		blobCode(t, regcred.Invalid, err)
		blobCode(t, regcred.Invalid, statError(t, b, key))
		_, _, err = b.Read(t.Context(), key)
		blobCode(t, regcred.Invalid, err)
		blobCode(t, regcred.Invalid, b.Put(t.Context(), key, nil, registry.Condition{}))
		blobCode(t, regcred.Invalid, b.Put(t.Context(), key, nil, registry.IfAbsent))
		blobCode(t, regcred.Invalid, b.Delete(t.Context(), key, registry.Condition{}))
		_, err = b.CreateUpload(t.Context(), key)
		blobCode(t, regcred.Invalid, err)
		_, err = b.OpenUpload(t.Context(), key)
		blobCode(t, regcred.Invalid, err)
		up := createUpload(t, b, "good")
		blobCode(t, regcred.Invalid, up.Commit(t.Context(), key))
		blobDo(t, up.Cancel())
	}
	_, err := b.CreateUpload(t.Context(), "a/b")
	blobCode(t, regcred.Invalid, err)
}

func testBlobsNoDirectories(t *testing.T, b registry.Blobs) {
	putBlob(t, b, "a/b", "x")
	blobCode(t, regcred.Invalid, b.Put(t.Context(), "a", []byte("y"), registry.Condition{}))
	blobCode(t, regcred.Invalid, b.Put(t.Context(), "a/b/c", []byte("y"), registry.Condition{}))
	if diff := cmp.Diff([]string{"a/b"}, blobKeys(t, b, "", "")); diff != "" {
		t.Error("keys (-want +got):", diff)
	}
}

func testBlobsTooLarge(t *testing.T, b registry.Blobs) {
	most := make([]byte, registry.MaxSmall+1)
	blobCode(t, regcred.TooLarge, b.Put(t.Context(), "k", most, registry.Condition{}))
	blobCode(t, regcred.NotFound, statError(t, b, "k"))
	blobDo(t, b.Put(t.Context(), "k", most[1:], registry.Condition{}))
	if got := readBlob(t, b, "k"); len(got) != registry.MaxSmall {
		t.Errorf("read %d bytes", len(got))
	}
	up := createUpload(t, b, "id")
	writeUpload(t, up, string(most))
	blobDo(t, up.Commit(t.Context(), "large"))
	_, _, err := b.Read(t.Context(), "large")
	blobCode(t, regcred.TooLarge, err)
}

func testBlobsConditions(t *testing.T, b registry.Blobs) {
	put := func(data string, c registry.Condition) error { return b.Put(t.Context(), "d/k", []byte(data), c) }
	remove := func(c registry.Condition) error { return b.Delete(t.Context(), "d/k", c) }

	blobCode(t, regcred.Stale, put("x", registry.IfVersion("none")))
	blobCode(t, regcred.Stale, remove(registry.IfVersion("none")))
	blobDo(t, put("one", registry.IfAbsent))
	blobCode(t, regcred.Exists, put("two", registry.IfAbsent))
	one := blobVersion(t, b, "d/k")
	blobDo(t, put("two", registry.IfVersion(one)))
	blobCode(t, regcred.Stale, put("three", registry.IfVersion(one)))
	blobCode(t, regcred.Stale, remove(registry.IfVersion(one)))
	if got := readBlob(t, b, "d/k"); got != "two" {
		t.Errorf("refused writes left %q", got)
	}
	blobDo(t, remove(registry.IfVersion(blobVersion(t, b, "d/k"))))
	blobDo(t, put("four", registry.IfAbsent))
}

// testBlobsConditionsConcurrently counts up by compare-and-swap: no step is lost.
func testBlobsConditionsConcurrently(t *testing.T, b registry.Blobs) {
	const workers, steps = 4, 10
	putBlob(t, b, "d/counter", "")
	var created atomic.Int32
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			if err := b.Put(t.Context(), "d/once", nil, registry.IfAbsent); err == nil {
				created.Add(1)
			} else if regcred.CodeOf(err) != regcred.Exists {
				t.Error(err)
			}
			for done := 0; done < steps; {
				data, version, err := b.Read(t.Context(), "d/counter")
				if err == nil {
					err = b.Put(t.Context(), "d/counter", append(data, 'x'), registry.IfVersion(version))
				}
				switch {
				case err == nil:
					done++
				case regcred.CodeOf(err) != regcred.Stale:
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if got := len(readBlob(t, b, "d/counter")); got != workers*steps {
		t.Errorf("%d steps were counted, want %d", got, workers*steps)
	}
	if created.Load() != 1 {
		t.Errorf("%d writers created the same object", created.Load())
	}
}

func testBlobsReaderKeepsContent(t *testing.T, b registry.Blobs) {
	putBlob(t, b, "k", "before")
	object, err := b.Get(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	defer object.Close()
	putBlob(t, b, "k", "after!")
	blobDo(t, b.Delete(t.Context(), "k", registry.Condition{}))
	data, err := io.ReadAll(object)
	if err != nil || string(data) != "before" {
		t.Errorf("an open reader read %q, %v", data, err)
	}
}

func testBlobsList(t *testing.T, b registry.Blobs) {
	// In the order of bytes, which is not that of directories: '-' < '/' < '0'.
	all := []string{"a-b", "a/b", "a/b.c", "a/d/e", "a/d/f", "a0", "b"}
	for _, key := range slices.Backward(all) {
		putBlob(t, b, key, key)
	}
	tests := []struct {
		prefix, after string
		want          []string
	}{
		{"", "", all},
		{"a", "", all[:6]},
		{"a/", "", all[1:5]},
		{"a/b", "", all[1:3]},
		{"a/d", "", all[3:5]},
		{"a/d/", "a/d/e", all[4:5]},
		{"a/", "a/b", all[2:5]},
		{"", "a/c", all[3:]},
		{"", "a/d/f", all[5:]},
		{"", "b", nil},
		{"a/d/e/", "", nil},
		{"none/", "", nil},
		{"a/b", "zzz", nil},
	}
	for _, test := range tests {
		if diff := cmp.Diff(test.want, blobKeys(t, b, test.prefix, test.after)); diff != "" {
			t.Errorf("List(%q, %q) (-want +got): %s", test.prefix, test.after, diff)
		}
	}
	for info, err := range b.List(t.Context(), "", "") {
		if err != nil || info.Size != int64(len(info.Key)) || info.ModifiedAt.IsZero() {
			t.Errorf("%+v, %v", info, err)
		}
		break // which ends it
	}
	for _, prefix := range []string{"../", "a/../b", "//"} {
		for _, err := range b.List(t.Context(), prefix, "") {
			blobCode(t, regcred.Invalid, err)
		}
	}
}

// testBlobsModel does random things to the storage and to a map.
func testBlobsModel(t *testing.T, b registry.Blobs) {
	rapid.Check(t, func(rt *rapid.T) {
		for _, key := range blobKeys(t, b, "", "") {
			blobDo(t, b.Delete(t.Context(), key, registry.Condition{}))
		}
		model := map[string]string{}
		key := rapid.SampledFrom([]string{"a", "a-", "b/c", "b/c-d", "b/d/e", "b0"})
		data := rapid.SampledFrom([]string{"", "x", "yy"})
		rt.Repeat(map[string]func(*rapid.T){
			"put": func(rt *rapid.T) {
				k, d := key.Draw(rt, "key"), data.Draw(rt, "data")
				blobDo(t, b.Put(t.Context(), k, []byte(d), registry.Condition{}))
				model[k] = d
			},
			"create": func(rt *rapid.T) {
				k, d := key.Draw(rt, "key"), data.Draw(rt, "data")
				err := b.Put(t.Context(), k, []byte(d), registry.IfAbsent)
				if _, there := model[k]; there {
					blobCode(t, regcred.Exists, err)
					return
				}
				blobDo(t, err)
				model[k] = d
			},
			"delete": func(rt *rapid.T) {
				k := key.Draw(rt, "key")
				blobDo(t, b.Delete(t.Context(), k, registry.Condition{}))
				delete(model, k)
			},
			"": func(rt *rapid.T) {
				want := []string{}
				for k := range model {
					want = append(want, k)
				}
				slices.Sort(want)
				got := blobKeys(t, b, "", "")
				if !slices.Equal(want, got) {
					rt.Fatalf("keys are %q, want %q", got, want)
				}
				for k, d := range model {
					if got := readBlob(t, b, k); got != d {
						rt.Fatalf("%s is %q, want %q", k, got, d)
					}
				}
			},
		})
	})
}

func testBlobsContextEnded(t *testing.T, b registry.Blobs) {
	putBlob(t, b, "k", "x")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, getErr := b.Get(ctx, "k")
	_, _, readErr := b.Read(ctx, "k")
	_, createErr := b.CreateUpload(ctx, "id")
	var listErr error
	for _, err := range b.List(ctx, "", "") {
		listErr = err
	}
	errs := []error{getErr, readErr, createErr, listErr, b.Put(ctx, "k", nil, registry.Condition{}), b.Delete(ctx, "k", registry.Condition{})}
	for i, err := range errs {
		if err == nil {
			t.Errorf("call %d went on though its context had ended", i)
		}
	}
	if got := readBlob(t, b, "k"); got != "x" {
		t.Errorf("the object is %q", got)
	}
}

func blobCode(t *testing.T, code regcred.Code, err error) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want one with code %s", code)
	} else if got := regcred.CodeOf(err); got != code {
		t.Errorf("error with code %s, want %s: %v", got, code, err)
	}
}

func blobDo(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func putBlob(t *testing.T, b registry.Blobs, key, data string) {
	t.Helper()
	blobDo(t, b.Put(t.Context(), key, []byte(data), registry.Condition{}))
}

// readBlob returns what both ways to read an object agree on.
func readBlob(t *testing.T, b registry.Blobs, key string) string {
	t.Helper()
	object, err := b.Get(t.Context(), key)
	blobDo(t, err)
	defer object.Close()
	got, err := io.ReadAll(object)
	blobDo(t, err)
	if len(got) <= registry.MaxSmall {
		small, _, err := b.Read(t.Context(), key)
		blobDo(t, err)
		if !bytes.Equal(small, got) {
			t.Fatalf("Get reads %q, Read %q", got, small)
		}
	}
	return string(got)
}

func blobVersion(t *testing.T, b registry.Blobs, key string) string {
	t.Helper()
	_, version, err := b.Read(t.Context(), key)
	blobDo(t, err)
	return version
}

func statError(t *testing.T, b registry.Blobs, key string) error {
	t.Helper()
	_, err := b.Stat(t.Context(), key)
	return err
}

func blobKeys(t *testing.T, b registry.Blobs, prefix, after string) []string {
	t.Helper()
	var list []string
	for info, err := range b.List(t.Context(), prefix, after) {
		blobDo(t, err)
		list = append(list, info.Key)
	}
	return list
}
