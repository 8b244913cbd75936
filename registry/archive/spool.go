package archive

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"regcred.dev"
)

// ratioFree is how much content may unpack to before its ratio is looked at:
// small archives of mostly zeros are no bombs.
const ratioFree = 16 << 20

// zstdWindow is the largest zstd window, and so about the memory, that one
// unpacking may take. zstd goes beyond it with --ultra or --long only.
const zstdWindow = 32 << 20

// spool unpacks r into a temporary file that has no name any more, and returns it
// at its beginning.
func spool(ctx context.Context, r *bufio.Reader, comp compression, o Options) (*os.File, error) {
	u, err := newUnpacker(r, comp, o)
	if err != nil {
		return nil, err
	}
	defer u.Close()
	br := bufio.NewReaderSize(u, 64<<10)
	block, err := br.Peek(tarBlock)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if err := checkTar(block); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(o.SpoolDir, "regcred-archive-*")
	if err != nil {
		return nil, regcred.Errorf(regcred.Unavailable, "cannot make a temporary file to unpack it into: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, closeAfter(f, regcred.Errorf(regcred.Unavailable, "cannot unlink the open temporary file that it is unpacked into: %w", err))
	}
	if err := copyContext(ctx, f, br); err != nil {
		return nil, closeAfter(f, err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, closeAfter(f, fileError(err))
	}
	return f, nil
}

// copyContext copies until r ends or ctx does.
func copyContext(ctx context.Context, w io.Writer, r io.Reader) error {
	buf := make([]byte, 256<<10)
	for {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		n, err := r.Read(buf)
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return regcred.Errorf(regcred.Unavailable, "cannot write the temporary file that it is unpacked into: %w", err)
			}
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}

// unpacker decompresses a stream and stops at the limits against bombs.
type unpacker struct {
	in    countingReader
	r     io.Reader
	close func()
	out   int64
	o     Options
}

func newUnpacker(r io.Reader, comp compression, o Options) (*unpacker, error) {
	u := &unpacker{in: countingReader{r: r}, o: o, close: func() {}}
	switch comp {
	case gzipped:
		zr, err := gzip.NewReader(&u.in)
		if err != nil {
			return nil, unpackError(err)
		}
		u.r = zr
	case zstded:
		zr, err := zstd.NewReader(&u.in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(zstdWindow), zstd.WithDecoderMaxMemory(zstdWindow))
		if err != nil {
			return nil, unpackError(err)
		}
		u.r, u.close = zr, zr.Close
	default:
		u.r = &u.in
	}
	return u, nil
}

// Read returns unpacked content. Errors: Corrupt where the stream is damaged or
// cut short, TooLarge beyond the limits.
func (u *unpacker) Read(p []byte) (int, error) {
	n, err := u.r.Read(p)
	u.out += int64(n)
	if u.out > u.o.MaxUnpacked {
		return 0, regcred.Errorf(regcred.TooLarge, "it unpacks to more than the limit of %d bytes", u.o.MaxUnpacked)
	}
	if u.out > ratioFree && u.out/u.o.MaxRatio > u.in.n {
		return 0, regcred.Errorf(regcred.TooLarge,
			"it unpacks to more than %d times its size, as a decompression bomb does: if it is genuine, unpack it first", u.o.MaxRatio)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = unpackError(err)
	}
	return n, err
}

func (u *unpacker) Close() error {
	u.close()
	return nil
}

// unpackError puts a decompressor's error in words.
func unpackError(err error) error {
	switch {
	case regcred.CodeOf(err) != regcred.Internal: // reading failed, not unpacking
		return err
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return regcred.Errorf(regcred.Corrupt, "it ends in the middle of its compressed data: it was cut short, copy or write it again")
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return regcred.Errorf(regcred.TooLarge, "its zstd window is over %d MiB: compress it without --long and --ultra", zstdWindow>>20)
	}
	return regcred.Errorf(regcred.Corrupt, "its compressed data is damaged: %w", err)
}

type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	if err != nil && !errors.Is(err, io.EOF) && regcred.CodeOf(err) == regcred.Internal {
		err = fileError(err)
	}
	return n, err
}
