package archive

import (
	"bytes"
	"context"
	"io"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"regcred.dev"
	"regcred.dev/registry/dockerv1"
)

// readers is how many layers are read at once for a conversion.
const readers = 2

// chainLink is one image of a chain of v1.
type chainLink struct {
	document    dockerv1.Document
	json, layer Blob
}

// layerFacts are what reading a layer tells.
type layerFacts struct {
	packed, unpacked digest.Digest
	empty            bool // the tar has no entries
}

// converter makes images of today out of those of v1.
type converter struct {
	*reader

	mu    sync.Mutex
	facts map[string]layerFacts // by file, of layers that were read
}

// image returns the image of a chain, its own link first, to be converted when it is
// resolved. companion says that the chain is one that clients of v1 knew.
func (c *converter) image(names []string, chain []chainLink, companion bool) Image {
	os, arch := chain[0].document.Platform()
	platform := &ocispec.Platform{OS: os, Architecture: arch}
	return Image{
		Names: names,
		Root:  &Manifest{Descriptor: ocispec.Descriptor{MediaType: dockerv1.MediaTypeConverted, Platform: platform}},
		resolve: func(ctx context.Context) (Image, error) {
			img, err := c.convert(ctx, chain, companion)
			if err != nil {
				return Image{}, c.wrap(err)
			}
			img.Names, img.Root.Descriptor.Platform = names, platform
			return img, nil
		},
	}
}

func (c *converter) convert(ctx context.Context, chain []chainLink, companion bool) (Image, error) {
	if err := c.readLayers(ctx, chain); err != nil {
		return Image{}, err
	}
	links := make([]dockerv1.Link, 0, len(chain))
	layers := make(map[string]Blob)
	for _, l := range chain {
		f, _ := c.known(l.layer.file)
		l.layer.Descriptor.Digest, l.layer.DiffID = f.packed, f.unpacked
		layers[l.document.ID] = l.layer
		links = append(links, dockerv1.Link{Document: l.document, Layer: l.layer.Descriptor, DiffID: f.unpacked, Empty: f.empty})
	}
	converted, err := dockerv1.Convert(links)
	if err != nil {
		return Image{}, err
	}
	img := Image{Root: madeManifest(converted.ManifestDescriptor(), converted.Manifest)}
	img.Root.Config = c.madeBlob(converted.ConfigDescriptor(), converted.Config)
	for _, l := range converted.Layers {
		img.Root.Layers = append(img.Root.Layers, layers[l.Document.ID])
	}
	if !companion {
		return img, nil
	}
	m, err := c.companion(img.Root.Descriptor, chain, layers)
	img.Attached = []Attachment{{Manifest: m}}
	return img, err
}

// companion makes the artifact that keeps what clients of v1 are served.
func (c *converter) companion(subject ocispec.Descriptor, chain []chainLink, layers map[string]Blob) (*Manifest, error) {
	doc := dockerv1.Companion{Subject: subject}
	var blobs []Blob
	for _, l := range chain {
		layer := layers[l.document.ID]
		blobs = append(blobs, l.json, layer)
		doc.Images = append(doc.Images, dockerv1.Image{ID: l.document.ID, JSON: l.json.Descriptor, Layer: layer.Descriptor})
	}
	data, err := doc.Encode()
	if err != nil {
		return nil, err
	}
	desc := ocispec.Descriptor{MediaType: dockerv1.MediaTypeManifest, Digest: digest.FromBytes(data), Size: int64(len(data))}
	m := madeManifest(desc, data)
	config := dockerv1.Config()
	m.Config, m.Layers = c.madeBlob(config, config.Data), blobs
	return m, nil
}

// madeManifest and madeBlob return what an archive has not, but passes for its own.
func madeManifest(desc ocispec.Descriptor, data []byte) *Manifest {
	return &Manifest{Descriptor: desc, read: func() ([]byte, error) { return data, nil }}
}

func (c *converter) madeBlob(desc ocispec.Descriptor, data []byte) Blob {
	desc.Data = nil
	return Blob{Descriptor: desc, data: data, r: c.reader}
}

func (c *converter) known(file string) (layerFacts, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f, ok := c.facts[file]
	return f, ok
}

func (c *converter) learn(file string, f layerFacts) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.facts == nil {
		c.facts = make(map[string]layerFacts)
	}
	c.facts[file] = f
}

// readLayers reads those layers of a chain that no other image has had read.
func (c *converter) readLayers(ctx context.Context, chain []chainLink) error {
	var unread []Blob
	var total int64
	for _, l := range chain {
		if _, ok := c.known(l.layer.file); !ok {
			unread, total = append(unread, l.layer), total+l.layer.Descriptor.Size
		}
	}
	m := c.o.meter(Reading, total)
	defer m.stop()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(readers)
	for _, b := range unread {
		g.Go(func() error {
			f, err := b.measure(ctx, m)
			if err == nil {
				c.learn(b.file, f)
			}
			return err
		})
	}
	return g.Wait()
}

// measure reads a layer of v1.
func (b Blob) measure(ctx context.Context, m *meter) (layerFacts, error) {
	var facts layerFacts
	comp, err := b.r.sniffFile(b.file)
	if err != nil {
		return facts, err
	}
	if comp != gzipped {
		return facts, regcred.Errorf(regcred.Invalid, "layer %q is not compressed by gzip, as layers of v1 are", b.file)
	}
	f, err := b.r.src.open(b.file)
	if err != nil {
		return facts, missing(b.file, err)
	}
	defer f.Close()
	unpacked, zeros := digest.Canonical.Digester(), zeros{all: true}
	facts.packed, err = b.unpack(ctx, m.reader(f), comp, io.MultiWriter(unpacked.Hash(), &zeros))
	if err != nil {
		return facts, err
	}
	facts.unpacked, facts.empty = unpacked.Digest(), zeros.all
	if want := b.Descriptor.Digest; want != "" && want != facts.packed {
		return facts, wrongDigest(b.file, facts.packed, want)
	}
	return facts, nil
}

// zeros finds out whether all that is written to it is zeros, as a tar without
// entries is.
type zeros struct{ all bool }

func (z *zeros) Write(p []byte) (int, error) {
	z.all = z.all && len(bytes.Trim(p, "\x00")) == 0
	return len(p), nil
}
