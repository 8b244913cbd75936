package static_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"regcred.dev"
	"regcred.dev/registry"
	"regcred.dev/registry/static"
)

const (
	blobType = "application/octet-stream"
	indexOf  = ocispec.MediaTypeImageIndex
	imageOf  = ocispec.MediaTypeImageManifest
)

func TestDirectory(t *testing.T) {
	testObjects(t, func(t *testing.T) static.Objects { return openDirectory(t, t.TempDir()) })
}

// testObjects checks what Objects promises.
func testObjects(t *testing.T, open func(*testing.T) static.Objects) {
	t.Run("conditions", func(t *testing.T) { testConditions(t, open(t)) })
	t.Run("content", func(t *testing.T) { testContent(t, open(t)) })
	t.Run("copy", func(t *testing.T) { testCopy(t, open(t)) })
	t.Run("limits", func(t *testing.T) { testLimits(t, open(t)) })
	t.Run("compare and swap", func(t *testing.T) { testSwap(t, open(t)) })
}

func wantCode(t *testing.T, err error, code regcred.Code) {
	t.Helper()
	if err == nil || regcred.CodeOf(err) != code {
		t.Errorf("error %v, want one with code %s", err, code)
	}
}

func wantContent(t *testing.T, o static.Objects, key, want string) {
	t.Helper()
	data, _, err := o.Read(t.Context(), key)
	if err != nil || string(data) != want {
		t.Errorf("%s: %q, %v; want %q", key, data, err, want)
	}
	if size, err := o.Size(t.Context(), key); err != nil || size != int64(len(want)) {
		t.Errorf("%s: %d bytes, %v; want %d", key, size, err, len(want))
	}
}

func testConditions(t *testing.T, o static.Objects) {
	const key = "v2/acme/app/manifests/1.0"
	put := func(text, mediaType string, c registry.Condition) error {
		return o.Put(t.Context(), key, mediaType, "", []byte(text), c)
	}
	_, err := o.Size(t.Context(), key)
	wantCode(t, err, regcred.NotFound)
	_, _, err = o.Read(t.Context(), key)
	wantCode(t, err, regcred.NotFound)
	wantCode(t, put("0", indexOf, registry.IfVersion(`"0"`)), regcred.Stale)
	if err := put("1", indexOf, registry.IfAbsent); err != nil {
		t.Fatal(err)
	}
	wantCode(t, put("2", indexOf, registry.IfAbsent), regcred.Exists)
	_, version, err := o.Read(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if err := put("3", imageOf, registry.IfVersion(version)); err != nil {
		t.Fatal(err)
	}
	wantContent(t, o, key, "3")
	wantCode(t, put("4", indexOf, registry.IfVersion(version)), regcred.Stale)
	wantContent(t, o, key, "3")
	if err := put("5", indexOf, registry.Condition{}); err != nil {
		t.Error(err)
	}
	wantContent(t, o, key, "5")
}

var errSource = errors.New("the source broke")

func testContent(t *testing.T, o static.Objects) {
	content := strings.Repeat("layer", 1000)
	d, size := digest.FromString(content), int64(len(content))
	key := "v2/acme/app/blobs/" + d.String()
	for _, test := range []struct {
		name, content string
		digest        digest.Digest
		size          int64
	}{
		{"another digest", content, digest.FromString("other"), size},
		{"short", content[1:], d, size},
		{"long", content + "x", d, size},
		{"malformed digest", content, "sha256:x", size},
	} {
		err := o.Store(t.Context(), key, blobType, "", test.digest, test.size, strings.NewReader(test.content))
		if regcred.CodeOf(err) != regcred.Invalid {
			t.Errorf("%s: %v", test.name, err)
		}
		_, err = o.Size(t.Context(), key)
		wantCode(t, err, regcred.NotFound)
	}
	if err := o.Store(t.Context(), key, blobType, "", d, size, iotest.ErrReader(errSource)); !errors.Is(err, errSource) {
		t.Errorf("a source that breaks: %v", err)
	}
	_, err := o.Size(t.Context(), key)
	wantCode(t, err, regcred.NotFound)
	for range 2 {
		if err := o.Store(t.Context(), key, blobType, "", d, size, strings.NewReader(content)); err != nil {
			t.Fatal(err)
		}
		wantContent(t, o, key, content)
	}
}

func testCopy(t *testing.T, o static.Objects) {
	d := digest.FromString("layer")
	from, to := "v2/acme/app/blobs/"+d.String(), "v2/acme/other/blobs/"+d.String()
	wantCode(t, o.Copy(t.Context(), from, to), regcred.NotFound)
	if err := o.Store(t.Context(), from, blobType, "", d, 5, strings.NewReader("layer")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := o.Copy(t.Context(), from, to); err != nil {
			t.Fatal(err)
		}
		wantContent(t, o, to, "layer")
	}
}

func testLimits(t *testing.T, o static.Objects) {
	if err := o.Put(t.Context(), "v2/", "application/json", "", nil, registry.Condition{}); err != nil {
		t.Error(err)
	}
	large := strings.Repeat("x", registry.MaxSmall+1)
	wantCode(t, o.Put(t.Context(), "v2/large", blobType, "", []byte(large), registry.Condition{}), regcred.TooLarge)
	if err := o.Store(t.Context(), "v2/large", blobType, "", digest.FromString(large), int64(len(large)), strings.NewReader(large)); err != nil {
		t.Fatal(err)
	}
	_, _, err := o.Read(t.Context(), "v2/large")
	wantCode(t, err, regcred.TooLarge)
}

// testSwap has several count up one number.
func testSwap(t *testing.T, o static.Objects) {
	const workers, each = 4, 10
	add := func() error {
		n, c := 0, registry.IfAbsent
		data, version, err := o.Read(t.Context(), "v2/number")
		if err == nil {
			c = registry.IfVersion(version)
			if n, err = strconv.Atoi(string(data)); err != nil {
				return err
			}
		} else if regcred.CodeOf(err) != regcred.NotFound {
			return err
		}
		return o.Put(t.Context(), "v2/number", "text/plain", "", fmt.Append(nil, n+1), c)
	}
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for done := 0; done < each; {
				switch err := add(); {
				case err == nil:
					done++
				case regcred.CodeOf(err) != regcred.Stale && regcred.CodeOf(err) != regcred.Exists:
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	wantContent(t, o, "v2/number", strconv.Itoa(workers*each))
}
