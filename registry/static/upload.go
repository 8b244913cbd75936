package static

import (
	"context"
	"fmt"
	"io"
	"os"

	"cuelabs.dev/go/oci/ociregistry"

	"regcred.dev"
)

// PushBlobChunked begins a blob whose digest follows from its content. That stays in a
// temporary file of this machine until it is whole: a key in the registry is a digest.
// The file has no name, so that it goes with the process.
func (r *Registry) PushBlobChunked(ctx context.Context, repo string, _ int) (ociregistry.BlobWriter, error) {
	if err := checkRepository(repo); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(r.o.SpoolDir, "regcred-")
	if err != nil {
		return nil, regcred.Errorf(regcred.Unavailable, "a layer that is compressed on the way needs a temporary file: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		_ = f.Close()
		return nil, regcred.Errorf(regcred.Unavailable, "a layer that is compressed on the way needs a temporary file: %w", err)
	}
	return &upload{ctx: ctx, r: r, repo: repo, f: f}, nil
}

// upload is a blob that is not whole yet.
type upload struct {
	ctx  context.Context // of PushBlobChunked, for Commit
	r    *Registry
	repo string
	f    *os.File
	size int64
}

// Spooled says that nothing is sent before Commit: see regcred.dev/registry/publish.
func (*upload) Spooled() {}

// Write implements ociregistry.BlobWriter.
func (u *upload) Write(p []byte) (int, error) {
	n, err := u.f.Write(p)
	u.size += int64(n)
	if err != nil {
		return n, regcred.Errorf(regcred.Unavailable, "a layer that is compressed on the way is kept in a temporary file: %w", err)
	}
	return n, nil
}

// Size implements ociregistry.BlobWriter.
func (u *upload) Size() int64 { return u.size }

// ChunkSize implements ociregistry.BlobWriter: any will do.
func (*upload) ChunkSize() int { return 0 }

// ID implements ociregistry.BlobWriter. An upload cannot be gone on with.
func (*upload) ID() string { return "" }

// Commit implements ociregistry.BlobWriter.
func (u *upload) Commit(d ociregistry.Digest) (ociregistry.Descriptor, error) {
	if _, err := u.f.Seek(0, io.SeekStart); err != nil {
		return ociregistry.Descriptor{}, fmt.Errorf("reading a layer again: %w", err)
	}
	desc, err := u.r.PushBlob(u.ctx, u.repo, ociregistry.Descriptor{Digest: d, Size: u.size}, u.f)
	if err != nil {
		return desc, err
	}
	return desc, u.f.Close()
}

// Cancel implements ociregistry.BlobWriter.
func (u *upload) Cancel() error { return u.f.Close() }

// Close implements ociregistry.BlobWriter.
func (u *upload) Close() error { return u.f.Close() }
