package archive

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"

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
	// SpoolDir is where a compressed archive, or one from standard input or a URL, is
	// unpacked to: into a file that loses its name at once, so that it is gone
	// when the archive is closed or the process ends, however that ends. Empty
	// means os.TempDir.
	SpoolDir string
	// MaxUnpacked is how many bytes a compressed archive, one from standard input
	// or a URL, or one compressed layer in it may unpack to. Zero means
	// DefaultMaxUnpacked.
	MaxUnpacked int64
	// MaxRatio is how many times its size a compressed archive or layer may
	// unpack to, beyond the first 16 MiB. Zero means DefaultMaxRatio.
	MaxRatio int64
	// Stdin is read for the path "-". Nil means os.Stdin.
	Stdin io.Reader
	// Transport carries the requests for a URL. Nil means one that verifies servers
	// by the system's certificates, and asks no link-local or metadata address.
	Transport http.RoundTripper
	// AllowHTTP permits URLs of http, whose answers anybody on the way could have
	// changed, to other hosts than this one.
	AllowHTTP bool
	// Progress, if set, hears of what takes long before anything can be published:
	// by one goroutine at a time, often, and the last time at the end of each phase.
	Progress func(Progress)
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
	format   string
	images   []Image
	export   *Export
	warnings []string
	src      source
}

// A format is a kind of export. To read another kind, add one to formats.
type format struct {
	// name is what users call it.
	name string
	// found reports whether a source has what it is recognized by.
	found func(source) (bool, error)
	// read returns the images, all of whose documents have been read and
	// checked, and all of whose blobs are known to be there.
	read func(*reader) ([]Image, error)
}

// formats are tried in this order: newer engines write an OCI image layout and
// docker's manifest.json into one archive, and the layout says more.
var formats = []format{
	{name: "OCI image layout", found: hasFile(indexFile), read: readLayout},
	{name: "docker save", found: hasFile(dockerManifestFile), read: readDocker},
	{name: "Pulp v2 tree", found: hasDir(pulpTree), read: readPulpTree},
	{name: "Pulp v1 export", found: hasDir(pulpWeb), read: readPulpExport},
}

func hasFile(name string) func(source) (bool, error) {
	return func(src source) (bool, error) {
		_, err := src.size(name)
		return err == nil, ignoreNotExist(err)
	}
}

func hasDir(name string) func(source) (bool, error) {
	return func(src source) (bool, error) {
		names, err := src.list(name)
		return len(names) > 0, err
	}
}

// Open opens an export: a file, a directory, an http or https URL, or "-"
// for standard input. It reads every manifest and config, and no layer.
//
// Errors: NotFound where there is no such file; Invalid where it is no archive,
// none that is known, or unsafe; Corrupt where it is cut short, lacks a part or
// a digest is wrong; TooLarge where it is over a limit; Unavailable,
// Unauthenticated and Denied where a server does not give it out. Each names the
// archive, what in it is wrong, and where there is one the entry. A URL is named
// without its user, password and query.
func Open(ctx context.Context, where string, o Options) (*Archive, error) {
	o = o.withDefaults()
	name := where
	switch {
	case where == Stdin:
		name = "from standard input"
	case isURL(where):
		name = printableURL(where)
	}
	src, err := openSource(ctx, where, o)
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
		if found, err := f.found(src); err != nil {
			return nil, err
		} else if !found {
			continue
		}
		r := newReader(src, name, o)
		images, err := f.read(r)
		if err != nil {
			return nil, err
		}
		if len(images) == 0 {
			return nil, regcred.Errorf(regcred.Invalid, "it is of the kind %q, but lists no image", f.name)
		}
		return &Archive{format: f.name, images: images, export: r.export, warnings: r.warnings, src: src}, nil
	}
	if _, err := src.size("repositories"); err == nil {
		return nil, regcred.Errorf(regcred.Invalid, "it is a docker save of before Docker 1.10: load it and save it again with a newer Docker")
	}
	return nil, regcred.Errorf(regcred.Invalid,
		"it holds no image: at its top it has neither %s (OCI image layout) nor %s (docker save), nor %s/ (Pulp v1 export) nor %s/ (Pulp v2 tree); `docker export` writes a file system, use `docker save`",
		indexFile, dockerManifestFile, pulpWeb, path.Dir(pulpTree))
}

// Format returns the kind of export in words, such as "docker save".
func (a *Archive) Format() string { return a.format }

// Images returns what the archive holds, in its own order. There is at least
// one.
func (a *Archive) Images() []Image { return a.images }

// Warnings say, in words for its user, what of the archive is left out, and why.
func (a *Archive) Warnings() []string { return a.warnings }

// Close ends the use of the archive and removes its temporary data.
func (a *Archive) Close() error { return a.src.Close() }
