package static

import (
	"context"
	"fmt"
	"io"

	"cuelabs.dev/go/oci/ociregistry"

	"regcred.dev"
	"regcred.dev/registry"
)

// ResolveBlob describes a blob of a repository. Errors: ociregistry.ErrBlobUnknown;
// Invalid for a malformed name; those of the objects.
func (r *Registry) ResolveBlob(ctx context.Context, repo string, d ociregistry.Digest) (ociregistry.Descriptor, error) {
	if err := checkRepository(repo); err != nil {
		return ociregistry.Descriptor{}, err
	}
	if err := checkDigest(d); err != nil {
		return ociregistry.Descriptor{}, err
	}
	size, err := r.objects.Size(ctx, blobKey(repo, d))
	if err != nil {
		return ociregistry.Descriptor{}, unknown(err)
	}
	return ociregistry.Descriptor{MediaType: typeBlob, Digest: d, Size: size}, nil
}

// unknown gives a NotFound error the words of a registry.
func unknown(err error) error {
	if regcred.CodeOf(err) == regcred.NotFound {
		return ociregistry.ErrBlobUnknown
	}
	return err
}

// PushBlob stores a blob, whose digest and size have to be known. Errors: Invalid where
// the content is another one, or for a malformed name; those of the objects.
func (r *Registry) PushBlob(ctx context.Context, repo string, desc ociregistry.Descriptor, content io.Reader) (ociregistry.Descriptor, error) {
	if err := checkRepository(repo); err != nil {
		return ociregistry.Descriptor{}, err
	}
	if err := checkDigest(desc.Digest); err != nil {
		return ociregistry.Descriptor{}, err
	}
	if err := r.objects.Store(ctx, blobKey(repo, desc.Digest), typeBlob, forever, desc.Digest, desc.Size, content); err != nil {
		return ociregistry.Descriptor{}, err
	}
	if err := r.objects.Put(ctx, holderKey(desc.Digest), typeText, "", []byte(repo), registry.Condition{}); err != nil {
		return ociregistry.Descriptor{}, err
	}
	return ociregistry.Descriptor{MediaType: typeBlob, Digest: desc.Digest, Size: desc.Size}, nil
}

// ShareBlob copies a blob from another repository that has it, without sending it. Errors:
// ociregistry.ErrBlobUnknown where none has, or it cannot be copied; those of the objects.
func (r *Registry) ShareBlob(ctx context.Context, repo string, d ociregistry.Digest) (ociregistry.Descriptor, error) {
	if err := checkDigest(d); err != nil {
		return ociregistry.Descriptor{}, err
	}
	holder, _, err := r.objects.Read(ctx, holderKey(d))
	if err != nil {
		return ociregistry.Descriptor{}, unknown(err)
	}
	if err := checkRepository(string(holder)); err != nil {
		return ociregistry.Descriptor{}, fmt.Errorf("object %s: %w", holderKey(d), err)
	}
	if err := r.objects.Copy(ctx, blobKey(string(holder), d), blobKey(repo, d)); err != nil {
		if ctx.Err() != nil {
			return ociregistry.Descriptor{}, err
		}
		// It was deleted, or is too large to be copied at once: then it is sent.
		r.o.Log.DebugContext(ctx, "a blob that another repository has could not be copied", "digest", d, "from", string(holder), "error", err)
		return ociregistry.Descriptor{}, ociregistry.ErrBlobUnknown
	}
	return r.ResolveBlob(ctx, repo, d)
}
