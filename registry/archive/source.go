package archive

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"

	"regcred.dev"
)

// A source gives access to the files of an archive by their clean,
// slash-separated names. It is safe for concurrent use.
type source interface {
	// size returns the size of a regular file in bytes. The error is
	// fs.ErrNotExist where there is none.
	size(name string) (int64, error)
	// open returns the file's content.
	open(name string) (io.ReadCloser, error)
	// list returns the names of what is directly within a directory, "." for the
	// top, sorted; none where there is no such directory.
	list(dir string) ([]string, error)
	io.Closer
}

func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// openSource opens a directory, a tar that can be read in place, or a stream
// that has to be spooled.
func openSource(ctx context.Context, path string, o Options) (source, error) {
	switch {
	case path == Stdin:
		m := o.meter(Unpacking, 0)
		defer m.stop()
		return openStream(ctx, m.reader(o.Stdin), unknown, o)
	case isURL(path):
		return openURL(ctx, path, o)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fileError(err)
	}
	if info.IsDir() {
		return openDir(path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fileError(err)
	}
	src, err := openFile(ctx, f, info, o)
	if err != nil {
		return nil, closeAfter(f, err)
	}
	if src.f != f { // it was spooled
		return src, closeAfter(f, nil)
	}
	return src, nil
}

// closeAfter closes what is no longer needed, or was only read from, and returns
// err: a failure to close that loses nothing.
func closeAfter(c io.Closer, err error) error {
	_ = c.Close()
	return err
}

// openFile reads a plain tar in place. It spools one that is compressed or that
// cannot be read in place, as a named pipe.
func openFile(ctx context.Context, f *os.File, info fs.FileInfo, o Options) (*tarSource, error) {
	m := o.meter(Unpacking, info.Size())
	defer m.stop()
	if !info.Mode().IsRegular() {
		return openStream(ctx, m.reader(f), unknown, o)
	}
	magic := make([]byte, magicLen)
	n, err := io.ReadFull(f, magic)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, fileError(err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, fileError(err)
	}
	comp, err := sniff(magic[:n])
	if err != nil {
		return nil, err
	}
	if comp == plain {
		return newTarSource(ctx, f)
	}
	return openStream(ctx, m.reader(f), comp, o)
}

// openStream spools r, unpacked, and reads the tar that it is. The compression
// is found out where it is unknown.
func openStream(ctx context.Context, r io.Reader, comp compression, o Options) (*tarSource, error) {
	br := bufio.NewReaderSize(r, 64<<10)
	if comp == unknown {
		magic, err := br.Peek(magicLen)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fileError(err)
		}
		if comp, err = sniff(magic); err != nil {
			return nil, err
		}
	}
	f, err := spool(ctx, br, comp, o)
	if err != nil {
		return nil, err
	}
	src, err := newTarSource(ctx, f)
	if err != nil {
		return nil, closeAfter(f, err)
	}
	return src, nil
}

// compression says how an archive or layer is compressed.
type compression uint8

const (
	unknown compression = iota
	plain
	gzipped
	zstded
)

// magicLen is how many bytes sniff wants.
const magicLen = 6

// sniff tells the compression of content by its first bytes.
func sniff(magic []byte) (compression, error) {
	for _, known := range []struct {
		magic string
		comp  compression
		tool  string
	}{
		{"\x1f\x8b", gzipped, ""},
		{"\x28\xb5\x2f\xfd", zstded, ""},
		{"\xfd7zXZ\x00", unknown, "xz -d"},
		{"BZh", unknown, "bzip2 -d"},
		{"PK\x03\x04", unknown, "unzip"},
	} {
		if !bytes.HasPrefix(magic, []byte(known.magic)) {
			continue
		}
		if known.comp == unknown {
			return unknown, regcred.Errorf(regcred.Invalid,
				"it is compressed in a way that is not supported: unpack it with `%s` first, or compress it with gzip or zstd", known.tool)
		}
		return known.comp, nil
	}
	if len(magic) == 0 {
		return unknown, regcred.Errorf(regcred.Invalid, "it is empty: write it again with `docker save`, and check that command's own errors")
	}
	return plain, nil
}

// fileError puts a failure of the file system in words.
func fileError(err error) error {
	cause := err
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		cause = pe.Err
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return regcred.Errorf(regcred.NotFound, "there is no such file: check the path")
	case errors.Is(err, fs.ErrPermission):
		return regcred.Errorf(regcred.Denied, "it may not be read: check its permissions")
	}
	return regcred.Errorf(regcred.Unavailable, "cannot read it: %w", cause)
}
