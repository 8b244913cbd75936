package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"regcred.dev"
)

// Limits of one tar. An image has a few hundred entries; the legacy kind has
// four for each layer.
const (
	maxEntries    = 100_000
	maxNameLength = 4096
	maxNameBytes  = 16 << 20 // of all names and link targets together
	maxLinkHops   = 16
)

// tarSource reads the entries of a tar in place.
type tarSource struct {
	f       *os.File
	entries map[string]tarEntry
	names   []string // of entries, sorted
}

// tarEntry is a regular file, or a link where link is not empty.
type tarEntry struct {
	offset, size int64
	link         string
	dir          bool
}

func newTarSource(ctx context.Context, f *os.File) (*tarSource, error) {
	block := make([]byte, tarBlock)
	n, err := f.ReadAt(block, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fileError(err)
	}
	if err := checkTar(block[:n]); err != nil {
		return nil, err
	}
	entries, err := indexTar(ctx, f)
	if err != nil {
		return nil, err
	}
	return &tarSource{f: f, entries: entries, names: slices.Sorted(maps.Keys(entries))}, nil
}

func (s *tarSource) Close() error { return s.f.Close() }

func (s *tarSource) size(name string) (int64, error) {
	e, err := s.find(name)
	return e.size, err
}

func (s *tarSource) open(name string) (io.ReadCloser, error) {
	e, err := s.find(name)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(io.NewSectionReader(s.f, e.offset, e.size)), nil
}

func (s *tarSource) list(dir string) ([]string, error) {
	prefix := dir + "/"
	if dir == "." {
		prefix = ""
	}
	at, _ := slices.BinarySearch(s.names, prefix)
	var list []string
	for _, name := range s.names[at:] {
		rest, ok := strings.CutPrefix(name, prefix)
		if !ok {
			break
		}
		first, _, _ := strings.Cut(rest, "/")
		if first != "." && (len(list) == 0 || list[len(list)-1] != first) {
			list = append(list, first)
		}
	}
	slices.Sort(list) // "a-b" stands between "a" and "a/b"
	return slices.Compact(list), nil
}

// find returns the regular file that name stands for.
func (s *tarSource) find(name string) (tarEntry, error) { return resolveEntry(s.entries, name) }

// resolveEntry follows links inside the archive. Only whole names are links: no
// engine writes a link to a directory.
func resolveEntry(entries map[string]tarEntry, name string) (tarEntry, error) {
	target := name
	for range maxLinkHops {
		e, ok := entries[target]
		switch {
		case !ok && target != name:
			return tarEntry{}, &missingTarget{name, target}
		case !ok || e.dir:
			return tarEntry{}, fs.ErrNotExist
		case e.link == "":
			return e, nil
		}
		target = e.link
	}
	return tarEntry{}, regcred.Errorf(regcred.Invalid, "entry %q: its links lead in a circle, or over more than %d steps", name, maxLinkHops)
}

// missingTarget is the error for a link to nothing.
type missingTarget struct{ name, target string }

func (e *missingTarget) Error() string {
	return "entry \"" + e.name + "\" links to \"" + e.target + "\", which is not in the archive"
}

func (e *missingTarget) Unwrap() error { return fs.ErrNotExist }

// tarBlock is the size of a tar's header, in bytes.
const tarBlock = 512

// checkTar returns an error where a file that begins with block is no tar.
func checkTar(block []byte) error {
	_, err := tar.NewReader(bytes.NewReader(block)).Next()
	if len(block) == tarBlock && !errors.Is(err, tar.ErrHeader) {
		return nil
	}
	return regcred.Errorf(regcred.Invalid, "it is no archive: neither a tar, nor one compressed with gzip or zstd")
}

// indexTar reads all headers of a tar, seeking over the contents, and returns
// its entries by their clean names. It refuses whatever no image needs and an
// attacker might.
func indexTar(ctx context.Context, f io.ReadSeeker) (map[string]tarEntry, error) {
	ix := tarIndex{entries: make(map[string]tarEntry)}
	tr := tar.NewReader(f)
	last := ""
	for {
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			return nil, tarError(err, last)
		}
		offset, err := f.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, fileError(err)
		}
		if err := ix.add(h, offset); err != nil {
			return nil, err
		}
		last = h.Name
	}
	return ix.finish()
}

// tarError puts an error of archive/tar in words. last is the entry before it.
func tarError(err error, last string) error {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF) && last == "":
		return regcred.Errorf(regcred.Corrupt, "it ends in the middle of its first entry: it was cut short, copy or write it again")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return regcred.Errorf(regcred.Corrupt, "it ends in the middle, in or after entry %q: it was cut short, copy or write it again", last)
	case errors.Is(err, tar.ErrHeader):
		return regcred.Errorf(regcred.Corrupt, "the header after entry %q is damaged: copy or write it again", last)
	}
	return regcred.Errorf(regcred.Corrupt, "after entry %q: %w", last, err)
}

// tarIndex collects and checks entries.
type tarIndex struct {
	entries   map[string]tarEntry
	count     int
	nameBytes int
}

func (ix *tarIndex) add(h *tar.Header, offset int64) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	if ix.count++; ix.count > maxEntries {
		return regcred.Errorf(regcred.TooLarge, "it has more than %d entries", maxEntries)
	}
	if len(h.Name) > maxNameLength || len(h.Linkname) > maxNameLength {
		return regcred.Errorf(regcred.TooLarge, "the name of entry %.40q... is longer than %d bytes", h.Name, maxNameLength)
	}
	if ix.nameBytes += len(h.Name) + len(h.Linkname); ix.nameBytes > maxNameBytes {
		return regcred.Errorf(regcred.TooLarge, "its entries' names are longer than %d MiB together", maxNameBytes>>20)
	}
	if isSparse(h) {
		return regcred.Errorf(regcred.Invalid, "entry %q is a sparse file: write the archive without --sparse", h.Name)
	}
	if h.Typeflag == tar.TypeDir && h.Name == "/" {
		return nil // Pulp 2 begins its exports with it.
	}
	name, err := cleanName(h.Name)
	if err != nil {
		return regcred.Errorf(regcred.Invalid, "entry %q: %w", h.Name, err)
	}
	e, err := newEntry(h, name, offset)
	if err != nil {
		return err
	}
	if old, ok := ix.entries[name]; ok && !(old.dir && e.dir) {
		return regcred.Errorf(regcred.Invalid, "entry %q is there twice, and readers differ in which one counts: write the archive anew", name)
	}
	ix.entries[name] = e
	return nil
}

// newEntry turns a header into an entry, where it is of a kind that images use.
func newEntry(h *tar.Header, name string, offset int64) (tarEntry, error) {
	var target string
	switch h.Typeflag {
	case tar.TypeReg, '\x00':
		return tarEntry{offset: offset, size: h.Size}, nil
	case tar.TypeDir:
		return tarEntry{dir: true}, nil
	case tar.TypeSymlink: // relative to the directory that it is in
		target = h.Linkname
		if !path.IsAbs(target) {
			target = path.Dir(name) + "/" + target
		}
	case tar.TypeLink: // relative to the archive
		target = h.Linkname
	default:
		return tarEntry{}, regcred.Errorf(regcred.Invalid,
			"entry %q is neither a file, a directory nor a link (tar type %q): no image export has such entries", h.Name, h.Typeflag)
	}
	target, err := cleanName(target)
	if err != nil {
		return tarEntry{}, regcred.Errorf(regcred.Invalid, "entry %q links to %q, which is outside of the archive: write it with `tar --dereference`", h.Name, h.Linkname)
	}
	return tarEntry{link: target}, nil
}

// finish checks every link.
func (ix *tarIndex) finish() (map[string]tarEntry, error) {
	if ix.count == 0 {
		return nil, regcred.Errorf(regcred.Invalid, "it is an empty tar")
	}
	for name, e := range ix.entries {
		if e.link == "" {
			continue
		}
		if _, err := resolveEntry(ix.entries, name); err != nil && !isNotExist(err) {
			return nil, err
		}
	}
	return ix.entries, nil
}

// isSparse reports whether the entry is a sparse file in any of GNU tar's forms.
func isSparse(h *tar.Header) bool {
	if h.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}

// cleanName returns a name within the archive in its one clean form, "." for
// the top.
func cleanName(name string) (string, error) {
	switch {
	case name == "":
		return "", errors.New("the name is empty")
	case path.IsAbs(name):
		return "", errors.New("the path is absolute, so it would leave the archive")
	case strings.ContainsAny(name, "\\\x00"):
		return "", errors.New("the path holds a backslash or a zero byte")
	}
	name = path.Clean(name)
	if !fs.ValidPath(name) {
		return "", errors.New("the path leaves the archive with \"..\", or is no valid text")
	}
	return name, nil
}
