package publish

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"cuelabs.dev/go/oci/ociregistry"
	"cuelabs.dev/go/oci/ociregistry/ociref"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"regcred.dev"
	"regcred.dev/registry/archive"
)

// Destination is what of a registry publishing needs. Every
// [ociregistry.Interface] has it, with the errors given there: a client of a
// remote registry (see Remote) as well as a local store.
type Destination interface {
	ResolveBlob(ctx context.Context, repo string, digest ociregistry.Digest) (ociregistry.Descriptor, error)
	PushBlob(ctx context.Context, repo string, desc ociregistry.Descriptor, r io.Reader) (ociregistry.Descriptor, error)
	PushBlobChunked(ctx context.Context, repo string, chunkSize int) (ociregistry.BlobWriter, error)
	PushManifest(ctx context.Context, repo, tag string, contents []byte, mediaType string) (ociregistry.Descriptor, error)
}

// Linker is a Destination that can have a blob which somebody else hosts: pulls of
// it are sent there.
type Linker interface {
	// LinkBlob makes a blob part of a repository without its content, which clients
	// get from url, its owner's. Errors: Denied where the registry does not send its
	// clients to that host.
	LinkBlob(ctx context.Context, repo string, desc ociregistry.Descriptor, url string) error
}

// Sharer is a Destination in which a content of one repository can become part of another
// without being sent.
type Sharer interface {
	// ShareBlob makes a content that any repository has part of repo. Errors:
	// ociregistry.ErrBlobUnknown where none has.
	ShareBlob(ctx context.Context, repo string, digest ociregistry.Digest) (ociregistry.Descriptor, error)
}

// Spooler is an ociregistry.BlobWriter that keeps content on this machine until Commit:
// what turns out to be there already need not be sent.
type Spooler interface{ Spooled() }

// DefaultWorkers is how many contents are sent at once.
const DefaultWorkers = 2

// Options say how to publish. The zero value is useful.
type Options struct {
	// Compression is for layers that the archive holds uncompressed and whose
	// manifest it does not hold.
	Compression Compression
	// Workers is how many contents are sent at once. Each takes about 10 MiB
	// of memory, and up to 30 at a registry that asks for chunks of 16 MiB. Zero
	// means DefaultWorkers.
	Workers int
	// Progress, if set, is called whenever there is something new, by one
	// goroutine at a time, and the last time before Publish returns. A slow one
	// holds nothing up: it sees fewer steps.
	Progress func(Progress)
	// Masks are layers that are not sent but referred to, where their owners host
	// them. The destination has to be a Linker.
	Masks []Mask
	// Linked, if set, is called for each layer that is not sent because of a mask, with
	// the name that it has in that and its owner's URL. Several may call it at once.
	Linked func(name, url string)
	// Log gets a line for each retry. Nil discards.
	Log *slog.Logger
}

// Result is what was published.
type Result struct {
	// Root describes the manifest or index that the tag now points to.
	Root ocispec.Descriptor
	// Sent and Present count the contents that were sent, and those that the
	// repository had already; Linked those that are referred to because of a mask.
	Sent, Present, Linked int
	// SentBytes is the size of the contents that were sent, in bytes.
	SentBytes int64
}

// Publish copies img into repository and points tag to it; without a tag it can
// be pulled by Result.Root.Digest only. What is attached to it goes along, before the
// tag. Where it fails, the tag is what it was.
//
// Errors: those of reading the archive; Invalid for a malformed name, tag or mask, or
// where the registry refuses the image; Unauthenticated and Denied where it
// refuses the caller; Unavailable where it cannot be reached, or failed three
// times. The context's own error when that ends.
func Publish(ctx context.Context, dst Destination, img archive.Image, repository, tag string, o Options) (Result, error) {
	if !ociref.IsValidRepository(repository) {
		return Result{}, regcred.Errorf(regcred.Invalid, "%.100q is no repository name: use lower-case letters, digits and single separators (. _ - /), such as acme/app", repository)
	}
	if tag != "" && !ociref.IsValidTag(tag) {
		return Result{}, regcred.Errorf(regcred.Invalid, "%.100q is no tag: use at most 128 letters, digits, dots, hyphens and underscores", tag)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	p := &publisher{dst: dst, repo: repository, o: o}
	if err := p.mask(); err != nil {
		return Result{}, err
	}
	img, err := img.Resolve(ctx)
	if err != nil {
		return Result{}, err
	}
	p.jobs = plan(img, o.Compression)
	p.progress = startProgress(o.Progress, p.jobs)
	defer p.progress.stop()
	if err := p.sendBlobs(ctx); err != nil {
		return Result{}, err
	}
	root, err := p.sendManifests(ctx, img, tag)
	if err != nil {
		return Result{}, err
	}
	return p.result(root), nil
}

// publisher publishes one image.
type publisher struct {
	dst      Destination
	repo     string
	o        Options
	jobs     map[jobKey]*job
	masked   masked
	linker   Linker // where there are masks
	progress *progress
}

// mask reads the masks.
func (p *publisher) mask() error {
	var err error
	if p.masked, err = newMasked(p.o.Masks); err != nil || len(p.masked.urls) == 0 {
		return err
	}
	var ok bool
	if p.linker, ok = p.dst.(Linker); !ok {
		return regcred.Errorf(regcred.Invalid, "this destination cannot refer to layers that others host: publish without masks, or to a regcred server")
	}
	return nil
}

func (p *publisher) result(root ocispec.Descriptor) Result {
	r := Result{Root: root}
	for _, j := range p.jobs {
		switch {
		case j.present:
			r.Present++
		case j.linked:
			r.Linked++
		default:
			r.Sent++
			r.SentBytes += j.desc.Size
		}
	}
	return r
}

// sendManifests pushes all manifests, children first. The tag comes last: where
// something is attached, that is pushed in between, when what it is about is there.
func (p *publisher) sendManifests(ctx context.Context, img archive.Image, tag string) (ocispec.Descriptor, error) {
	done := make(map[*archive.Manifest]ocispec.Descriptor)
	first := tag
	if len(img.Attached) > 0 {
		first = ""
	}
	if err := p.sendTree(ctx, img.Root, first, done); err != nil {
		return ocispec.Descriptor{}, err
	}
	for _, a := range img.Attached {
		if err := p.sendTree(ctx, a.Manifest, a.Tag, done); err != nil {
			return ocispec.Descriptor{}, err
		}
	}
	if first != tag {
		return done[img.Root], p.sendManifest(ctx, img.Root, tag, done)
	}
	return done[img.Root], nil
}

// sendTree pushes a manifest with its tag, after what lies below it and is not done.
func (p *publisher) sendTree(ctx context.Context, root *archive.Manifest, tag string, done map[*archive.Manifest]ocispec.Descriptor) error {
	for m := range root.All() {
		t := ""
		if m == root {
			t = tag
		}
		if _, ok := done[m]; ok && t == "" {
			continue
		}
		if err := p.sendManifest(ctx, m, t, done); err != nil {
			return err
		}
	}
	return nil
}

func (p *publisher) sendManifest(ctx context.Context, m *archive.Manifest, tag string, done map[*archive.Manifest]ocispec.Descriptor) error {
	data, desc, err := p.document(m, done)
	if err != nil {
		return err
	}
	what := fmt.Sprintf("manifest %s", desc.Digest)
	err = p.retry(ctx, what, func() error {
		_, err := p.dst.PushManifest(ctx, p.repo, tag, data, desc.MediaType)
		return err
	})
	if err == nil {
		done[m] = desc
	}
	return err
}
