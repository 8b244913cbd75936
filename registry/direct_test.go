package registry_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"cuelabs.dev/go/oci/ociregistry"
	"github.com/opencontainers/go-digest"

	"regcred.dev"
	"regcred.dev/registry"
	"regcred.dev/registry/blob"
)

// putter is a directory that takes content directly, and counts.
type putter struct {
	*blob.Dir
	direct, uploads, streams int
	// room is how many streams there is memory for, one after the other.
	room int
}

func (p *putter) PutStream(ctx context.Context, key string, d digest.Digest, size int64, r io.Reader, c registry.Condition) error {
	if p.room == 0 {
		return registry.ErrNoRoom
	}
	p.room--
	p.streams++
	return p.put(ctx, key, d, size, r, c)
}

func (p *putter) PutDirect(ctx context.Context, key string, d digest.Digest, size int64, r io.Reader, c registry.Condition) error {
	p.direct++
	return p.put(ctx, key, d, size, r, c)
}

func (p *putter) put(ctx context.Context, key string, d digest.Digest, size int64, r io.Reader, c registry.Condition) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if int64(len(data)) != size || d.Algorithm().FromBytes(data) != d {
		return regcred.Errorf(regcred.Invalid, "other content")
	}
	return p.Put(ctx, key, data, c)
}

func (p *putter) CreateUpload(ctx context.Context, id string) (registry.Upload, error) {
	p.uploads++
	return p.Dir.CreateUpload(ctx, id)
}

func TestDirect(t *testing.T) {
	dir, err := blob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dir.Close() })
	p := &putter{Dir: dir}
	s := registry.Direct{Storage: registry.NewStorage(p, registry.StorageOptions{})}
	push := func(repo, content string, d digest.Digest, size int64) error {
		_, err := s.PushBlob(t.Context(), repo, ociregistry.Descriptor{Digest: d, Size: size}, strings.NewReader(content))
		return err
	}
	has := func(repo string, d digest.Digest) bool {
		_, err := s.ResolveBlob(t.Context(), repo, d)
		return err == nil
	}
	d := digest.FromString("content")
	if err := push("a", "another", d, 7); !errors.Is(err, ociregistry.ErrDigestInvalid) || has("a", d) {
		t.Errorf("other content: %v", err)
	}
	if err := push("a", "content", d, 7); err != nil || !has("a", d) {
		t.Errorf("content: %v", err)
	}
	if p.direct != 2 || p.uploads != 0 {
		t.Errorf("%d were put directly, %d uploaded", p.direct, p.uploads)
	}

	// It is there: sent no more, linked for who has it alone.
	if err := push("b", "another", d, 7); !errors.Is(err, ociregistry.ErrDigestInvalid) || has("b", d) {
		t.Errorf("a link without the content: %v", err)
	}
	if err := push("b", "content!", d, 7); !errors.Is(err, ociregistry.ErrSizeInvalid) || has("b", d) {
		t.Errorf("a link with longer content: %v", err)
	}
	if err := push("b", "content", d, 7); err != nil || !has("b", d) || p.direct != 2 {
		t.Errorf("the same content: %v", err)
	}
	blob, err := s.GetBlob(t.Context(), "b", d)
	if err != nil {
		t.Fatal(err)
	}
	defer blob.Close()
	if got, err := io.ReadAll(blob); err != nil || string(got) != "content" {
		t.Errorf("it reads %q, %v", got, err)
	}

	// Of another size it is damaged, and stored anew.
	if err := dir.Put(t.Context(), "blobs/sha256/"+d.Encoded()[:2]+"/"+d.Encoded(), []byte("cont"), registry.Condition{}); err != nil {
		t.Fatal(err)
	}
	if err := push("c", "content", d, 7); err != nil || p.direct != 3 {
		t.Errorf("damaged content: %v", err)
	}

	if err := push("d", "unknown", digest.FromString("unknown"), -1); err != nil || p.uploads != 1 {
		t.Errorf("content of unknown size: %v", err)
	}
	if err := push("NO", "content", d, 7); !errors.Is(err, ociregistry.ErrNameInvalid) {
		t.Errorf("no repository: %v", err)
	}
}
