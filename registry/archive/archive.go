package archive

import (
	"context"
	"fmt"
	"io"
	"os"

	"regcred.dev"
)

// Stdin is the path that stands for standard input.
const Stdin = "-"

// Default limits of Options.
const (
	DefaultMaxUnpacked = 64 << 30
	DefaultMaxRatio    = 200
)

// Options are the limits of Open and where it puts temporary data. The zero
// value is useful.
type Options struct {
	// SpoolDir is where a compressed archive, or one from standard input, is
	// unpacked to: into a file that loses its name at once, so that it is gone
	// when the archive is closed or the process ends, however that ends. Empty
	// means os.TempDir.
	SpoolDir string
	// MaxUnpacked is how many bytes a compressed archive, one from standard
	// input, or one compressed layer in it may unpack to. Zero means
	// DefaultMaxUnpacked.
	MaxUnpacked int64
	// MaxRatio is how many times its size a compressed archive or layer may
	// unpack to, beyond the first 16 MiB. Zero means DefaultMaxRatio.
	MaxRatio int64
	// Stdin is read for the path "-". Nil means os.Stdin.
	Stdin io.Reader
}

func (o Options) withDefaults() Options {
	if o.MaxUnpacked <= 0 {
		o.MaxUnpacked = DefaultMaxUnpacked
	}
	if o.MaxRatio <= 0 {
		o.MaxRatio = DefaultMaxRatio
	}
	if o.Stdin == nil {
		o.Stdin = os.Stdin
	}
	return o
}

// Archive is an open export. It is safe for concurrent use; what it offers can
// be read until it is closed.
type Archive struct {
	format string
	images []Image
	src    source
}

// A format is a kind of export. To read another kind, add one to formats.
type format struct {
	// name is what users call it.
	name string
	// marker is the file by whose presence it is recognized.
	marker string
	// read returns the images, all of whose documents have been read and
	// checked, and all of whose blobs are known to be there.
	read func(*reader) ([]Image, error)
}

// formats are tried in this order: newer engines write an OCI image layout and
// docker's manifest.json into one archive, and the layout says more.
var formats = []format{
	{name: "OCI image layout", marker: indexFile, read: readLayout},
	{name: "docker save", marker: dockerManifestFile, read: readDocker},
}

// Open opens the export at path: a file, a directory, or "-" for standard
// input. It reads every manifest and config, and no layer.
//
// Errors: NotFound where there is no such file; Invalid where it is no archive,
// none that is known, or unsafe; Corrupt where it is cut short, lacks a part or
// a digest is wrong; TooLarge where it is over a limit. Each names the archive,
// what in it is wrong, and where there is one the entry.
func Open(ctx context.Context, path string, o Options) (*Archive, error) {
	o = o.withDefaults()
	name := path
	if path == Stdin {
		name = "from standard input"
	}
	src, err := openSource(ctx, path, o)
	if err != nil {
		return nil, fmt.Errorf("archive %s: %w", name, err)
	}
	a, err := read(src, name, o)
	if err != nil {
		return nil, closeAfter(src, fmt.Errorf("archive %s: %w", name, err))
	}
	return a, nil
}

// read finds out the format of src and reads its images.
func read(src source, name string, o Options) (*Archive, error) {
	for _, f := range formats {
		if _, err := src.size(f.marker); err != nil {
			if isNotExist(err) {
				continue
			}
			return nil, err
		}
		images, err := f.read(newReader(src, name, o))
		if err != nil {
			return nil, err
		}
		if len(images) == 0 {
			return nil, regcred.Errorf(regcred.Invalid, "%s lists no image", f.marker)
		}
		return &Archive{format: f.name, images: images, src: src}, nil
	}
	if _, err := src.size("repositories"); err == nil {
		return nil, regcred.Errorf(regcred.Invalid, "it is a docker save of before Docker 1.10: load it and save it again with a newer Docker")
	}
	return nil, regcred.Errorf(regcred.Invalid,
		"it holds no image: it has neither %s (OCI image layout) nor %s (docker save) at its top; `docker export` writes a file system, use `docker save`",
		indexFile, dockerManifestFile)
}

// Format returns the kind of export in words, such as "docker save".
func (a *Archive) Format() string { return a.format }

// Images returns what the archive holds, in its own order. There is at least
// one.
func (a *Archive) Images() []Image { return a.images }

// Close ends the use of the archive and removes its temporary data.
func (a *Archive) Close() error { return a.src.Close() }
