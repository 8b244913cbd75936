package publish

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"sync/atomic"

	"cuelabs.dev/go/oci/ociregistry"
	"github.com/klauspost/compress/gzip"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"regcred.dev/registry/archive"
)

// sendBlobs sends all contents, the largest first so that no worker is left with
// a large one at the end. It stops at the first that fails.
func (p *publisher) sendBlobs(ctx context.Context) error {
	jobs := make([]*job, 0, len(p.jobs))
	for _, j := range p.jobs {
		jobs = append(jobs, j)
	}
	slices.SortFunc(jobs, func(a, b *job) int {
		return cmp.Or(cmp.Compare(b.blob.Descriptor.Size, a.blob.Descriptor.Size),
			cmp.Compare(a.blob.Descriptor.Digest, b.blob.Descriptor.Digest))
	})
	workers := p.o.Workers
	if workers <= 0 {
		workers = DefaultWorkers
	}
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for range min(workers, len(jobs)) {
		g.Go(func() error {
			w := worker{publisher: p}
			for {
				i := int(next.Add(1)) - 1
				if i >= len(jobs) {
					return nil
				}
				if err := w.send(ctx, jobs[i]); err != nil {
					return err
				}
			}
		})
	}
	return g.Wait()
}

// worker sends one content after another, with memory that it keeps for all.
type worker struct {
	*publisher
	gz     *gzip.Writer
	chunks chunks
}

// send sends one content, again where it fails in a way that may pass.
func (w *worker) send(ctx context.Context, j *job) error {
	what := fmt.Sprintf("layer or config %s (%d bytes)", cmp.Or(j.blob.Descriptor.Digest, j.blob.DiffID), j.blob.Descriptor.Size)
	err := w.retry(ctx, what, func() error {
		read := w.progress.reader()
		linked, err := w.linkUnpacked(ctx, j)
		switch {
		case linked || err != nil:
		case j.pack:
			j.desc, j.present, err = w.sendPacked(ctx, j.blob, read)
		default:
			err = w.sendAsIs(ctx, j, read)
		}
		if err != nil {
			read.takeBack()
			return err
		}
		read.complete(j.blob.Descriptor.Size)
		return nil
	})
	if err == nil {
		w.progress.done()
	}
	return err
}

// sendAsIs passes a content through unchanged, or refers to it where its owner hosts
// it.
func (w *worker) sendAsIs(ctx context.Context, j *job, read *progressReader) error {
	var err error
	if j.desc, err = j.blob.Identify(ctx); err != nil {
		return &sourceError{err}
	}
	if j.present, err = w.has(ctx, j.desc.Digest); j.present || err != nil {
		return err
	}
	if name, at, ok := w.masked.find(j.desc.Digest, j.blob.V1ID); ok && j.layer {
		return w.link(ctx, j, name, at)
	}
	src, err := openSource(j.blob, read)
	if err != nil {
		return err
	}
	defer src.Close()
	return src.cause(w.push(ctx, j.desc, src))
}

// linkUnpacked refers to the owner's form of a layer, and reports whether there is one
// that can take the place of our own.
func (w *worker) linkUnpacked(ctx context.Context, j *job) (bool, error) {
	desc, ok := w.masked.unpacked[j.blob.DiffID]
	if !ok || !j.made || !j.layer {
		return false, nil
	}
	j.desc = desc
	var err error
	if j.present, err = w.has(ctx, desc.Digest); j.present || err != nil {
		return true, err
	}
	name, at, _ := w.masked.find(desc.Digest, "")
	return true, w.link(ctx, j, name, at)
}

// link refers to a layer that its owner hosts.
func (w *worker) link(ctx context.Context, j *job, name, at string) error {
	if err := w.linker.LinkBlob(ctx, w.repo, j.desc, at); err != nil {
		return err
	}
	j.linked = true
	if w.o.Linked != nil {
		w.o.Linked(name, at)
	}
	return nil
}

// sendPacked compresses a layer and sends it.
func (w *worker) sendPacked(ctx context.Context, b archive.Blob, read *progressReader) (ocispec.Descriptor, bool, error) {
	src, err := openSource(b, read)
	if err != nil {
		return ocispec.Descriptor{}, false, err
	}
	defer src.Close()
	w.chunks.reset(ctx, w)
	zw, err := w.gzip(&w.chunks)
	if err != nil {
		return ocispec.Descriptor{}, false, err
	}
	_, err = io.Copy(zw, src)
	if err == nil {
		err = zw.Close()
	}
	if err != nil {
		w.chunks.abandon()
		return ocispec.Descriptor{}, false, src.cause(err)
	}
	desc, present, err := w.chunks.commit()
	if err != nil {
		w.chunks.abandon()
	}
	desc.MediaType = ocispec.MediaTypeImageLayerGzip
	return desc, present, err
}

// gzip returns the worker's compressor, writing to out. Its header holds neither
// a name nor a time, so equal layers give equal bytes.
func (w *worker) gzip(out io.Writer) (*gzip.Writer, error) {
	if w.gz != nil {
		w.gz.Reset(out)
		return w.gz, nil
	}
	level := map[Compression]int{Fast: gzip.BestSpeed, Better: 5, Best: gzip.BestCompression}[w.o.Compression]
	var err error
	w.gz, err = gzip.NewWriterLevel(out, level)
	return w.gz, err
}

// push sends a content whose digest and size are known. To a registry all
// contents are of one type; some stores want to hear it.
func (p *publisher) push(ctx context.Context, desc ocispec.Descriptor, r io.Reader) error {
	_, err := p.dst.PushBlob(ctx, p.repo, ociregistry.Descriptor{
		MediaType: "application/octet-stream", Digest: desc.Digest, Size: desc.Size,
	}, r)
	return err
}

// has reports whether the repository has a content, or can have it from another one.
func (p *publisher) has(ctx context.Context, digest ociregistry.Digest) (bool, error) {
	desc, err := p.dst.ResolveBlob(ctx, p.repo, digest)
	if sharer, ok := p.dst.(Sharer); ok && isUnknown(err) {
		desc, err = sharer.ShareBlob(ctx, p.repo, digest)
	}
	if isUnknown(err) {
		return false, nil
	}
	return err == nil && desc.Digest == digest, err
}

// source reads a content of the archive and remembers its own failure: what
// comes back from a push that read from it may no longer tell whose fault it was.
//
// An HTTP client may go on reading for a moment after the push has returned.
type source struct {
	io.ReadCloser
	read   *progressReader
	failed atomic.Pointer[sourceError]
}

func openSource(b archive.Blob, read *progressReader) (*source, error) {
	f, err := b.Open()
	if err != nil {
		return nil, &sourceError{err}
	}
	return &source{ReadCloser: f, read: read}, nil
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	s.read.add(int64(n))
	if err != nil && err != io.EOF {
		se := &sourceError{err}
		s.failed.Store(se)
		return n, se
	}
	return n, err
}

// cause returns the archive's failure in place of err where there was one.
func (s *source) cause(err error) error {
	if se := s.failed.Load(); err != nil && se != nil {
		return se
	}
	return err
}
