package imagebuild

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// DefaultName is the image's name. Its host keeps clients from looking for a local
// image at Docker Hub, where somebody else may own the name.
const DefaultName = "localhost/regcred:latest"

// What Build writes, in Options.Out.
const (
	layoutName  = "regcred-image"
	archiveName = "regcred-image.tar"
)

// Architectures returns those that an image is for, as GOARCH has them. The system is
// always linux.
func Architectures() []string { return []string{"amd64", "arm64"} }

// Options say what to build.
type Options struct {
	// Source is the directory of regcred's module. Where it is a git checkout, the
	// programs carry its revision, and "+dirty" after changes.
	Source string
	// Out is where the results go; what stands there already is replaced.
	Out string
	// Name is the image's name and tag; empty means DefaultName.
	Name string
	// Architectures are some of Architectures(), all of them where there are none.
	Architectures []string
	// Created is the image's date; zero means that of the commit, or 1970 where the
	// source is no checkout. See SourceDate.
	Created time.Time
}

// Result is what was built.
type Result struct {
	// Layout is the directory of the OCI image layout, and Archive the file that
	// `docker load` takes.
	Layout, Archive string
	// Digest is that of the image index, which is in both.
	Digest digest.Digest
	// Version is what `regcred version` says.
	Version string
}

// SourceDate reads SOURCE_DATE_EPOCH: seconds since 1970
// (https://reproducible-builds.org/specs/source-date-epoch/). Empty gives the zero
// time.
func SourceDate(value string) (time.Time, error) {
	if value == "" {
		return time.Time{}, nil
	}
	seconds, err := strconv.ParseInt(value, 10, 64)
	if err != nil || seconds < 0 {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH=%q: write seconds since 1970", value)
	}
	return time.Unix(seconds, 0).UTC(), nil
}

// Build builds the programs and writes the image. Nothing is left in Out but whole
// results.
func Build(ctx context.Context, o Options) (Result, error) {
	name, err := o.normalize()
	if err != nil {
		return Result{}, err
	}
	if err := os.MkdirAll(o.Out, 0o755); err != nil {
		return Result{}, err
	}
	work, err := os.MkdirTemp(o.Out, ".regcred-image-")
	if err != nil {
		return Result{}, err
	}
	defer func() { _ = os.RemoveAll(work) }()

	b := &builder{Options: o, name: name, work: work, layout: layout{filepath.Join(work, layoutName)}}
	result, err := b.build(ctx)
	if err != nil {
		return Result{}, err
	}
	for from, to := range map[string]*string{layoutName: &result.Layout, archiveName: &result.Archive} {
		*to = filepath.Join(o.Out, from)
		if err := os.RemoveAll(*to); err != nil {
			return Result{}, err
		}
		if err := os.Rename(filepath.Join(work, from), *to); err != nil {
			return Result{}, err
		}
	}
	return result, nil
}

// normalize fills in what the options leave out, and returns the image's whole name.
func (o *Options) normalize() (reference.NamedTagged, error) {
	if o.Name == "" {
		o.Name = DefaultName
	}
	named, err := reference.ParseNormalizedNamed(o.Name)
	if err != nil {
		return nil, fmt.Errorf("image name %q: %w", o.Name, err)
	}
	tagged, ok := reference.TagNameOnly(named).(reference.NamedTagged)
	if !ok {
		return nil, fmt.Errorf("image name %q: an image is built under a tag, not a digest", o.Name)
	}
	if len(o.Architectures) == 0 {
		o.Architectures = Architectures()
	}
	slices.Sort(o.Architectures)
	o.Architectures = slices.Compact(o.Architectures)
	for _, arch := range o.Architectures {
		if !slices.Contains(Architectures(), arch) {
			return nil, fmt.Errorf("architecture %q: there are %v", arch, Architectures())
		}
	}
	return tagged, nil
}

// builder builds one image.
type builder struct {
	Options

	name   reference.NamedTagged
	work   string // for what is on the way
	layout layout
}

func (b *builder) build(ctx context.Context) (Result, error) {
	base, err := b.layout.addLayer(baseFiles())
	if err != nil {
		return Result{}, err
	}
	var images []ocispec.Descriptor
	var version string
	for _, arch := range b.Architectures {
		built, err := compile(ctx, b.Source, arch, filepath.Join(b.work, arch))
		if err != nil {
			return Result{}, err
		}
		image, err := b.image(arch, built, base)
		if err != nil {
			return Result{}, err
		}
		images, version = append(images, image), built.version
	}
	index, err := b.layout.addJSON(ocispec.MediaTypeImageIndex, imageIndex(images))
	if err != nil {
		return Result{}, err
	}
	if err := b.layout.finish(index, b.name); err != nil {
		return Result{}, err
	}
	if err := writeArchive(filepath.Join(b.work, archiveName), b.layout, b.local(images), b.name); err != nil {
		return Result{}, err
	}
	return Result{Digest: index.Digest, Version: version}, nil
}

// image adds the image for one architecture.
func (b *builder) image(arch string, built programs, base layer) (ocispec.Descriptor, error) {
	files, err := built.files()
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	own, err := b.layout.addLayer(files)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	created := b.Created
	if created.IsZero() {
		created = built.time
	}
	config, err := b.layout.addJSON(ocispec.MediaTypeImageConfig, imageConfig(arch, created, built, base, own))
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	image, err := b.layout.addJSON(ocispec.MediaTypeImageManifest, imageManifest(config, base, own))
	image.Platform = &ocispec.Platform{OS: "linux", Architecture: arch}
	return image, err
}

// local returns the image for this machine, or the first.
func (b *builder) local(images []ocispec.Descriptor) ocispec.Descriptor {
	for _, image := range images {
		if image.Platform.Architecture == runtime.GOARCH {
			return image
		}
	}
	return images[0]
}
