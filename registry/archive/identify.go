package archive

import (
	"context"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"regcred.dev"
)

// Identify returns the blob's descriptor with its digest. Where the archive does
// not tell that, it reads the whole blob once, and checks that it unpacks to
// what DiffID says.
//
// Errors: those of reading the blob; Corrupt where it is another layer or is
// damaged; TooLarge where it unpacks beyond the limits of Options.
func (b Blob) Identify(ctx context.Context) (ocispec.Descriptor, error) {
	desc := b.Descriptor
	if desc.Digest != "" {
		return desc, nil
	}
	f, err := b.Open()
	if err != nil {
		return desc, err
	}
	defer f.Close()
	desc.Digest, err = b.identify(ctx, f)
	return desc, b.r.wrap(err)
}

func (b Blob) identify(ctx context.Context, f io.Reader) (digest.Digest, error) {
	comp, err := layerCompression(b.Descriptor.MediaType)
	if err != nil {
		return "", err
	}
	unpacked := b.DiffID.Algorithm().Digester()
	packed, err := b.unpack(ctx, f, comp, unpacked.Hash())
	if err != nil {
		return "", err
	}
	if got := unpacked.Digest(); got != b.DiffID {
		return "", regcred.Errorf(regcred.Corrupt, "layer %q unpacks to the digest %s, not %s as the config says: the archive is damaged, write it again", b.file, got, b.DiffID)
	}
	return packed, nil
}

// unpack writes the layer that f reads to w, unpacked, and returns the digest of
// what it read.
func (b Blob) unpack(ctx context.Context, f io.Reader, comp compression, w io.Writer) (digest.Digest, error) {
	packed := digest.Canonical.Digester()
	tee := io.TeeReader(f, packed.Hash())
	u, err := newUnpacker(tee, comp, b.r.o)
	if err != nil {
		return "", fmt.Errorf("layer %q: %w", b.file, err)
	}
	defer u.Close()
	if err := copyContext(ctx, w, u); err != nil {
		return "", fmt.Errorf("layer %q: %w", b.file, err)
	}
	if _, err := io.Copy(io.Discard, tee); err != nil { // what follows the compressed data
		return "", err
	}
	return packed.Digest(), nil
}
