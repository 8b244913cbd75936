package archive

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/opencontainers/go-digest"

	"regcred.dev"
)

// Limits of documents.
const (
	// MaxDocument is how large a manifest, index or config may be, in bytes. It
	// is what registries accept.
	MaxDocument = 4 << 20
	// maxItems is how long a list in a document may be.
	maxItems = 10_000
	// maxReferences is how many descriptors all documents of an archive may
	// hold together.
	maxReferences = 100_000
	// maxDocuments is how many bytes all documents of an archive may have
	// together.
	maxDocuments = 64 << 20
)

// reader reads the documents and blobs of one archive for its format.
type reader struct {
	src        source
	name       string // of the archive, in errors
	o          Options
	references int
	documents  int64 // bytes read by Open

	// What a format has to say besides images:
	export   *Export
	warnings []string
}

func newReader(src source, name string, o Options) *reader {
	return &reader{src: src, name: name, o: o}
}

// maxWarnings bounds what an archive has to say.
const maxWarnings = 100

// warnf notes, for the user, what is left out.
func (r *reader) warnf(format string, args ...any) {
	if len(r.warnings) < maxWarnings {
		r.warnings = append(r.warnings, fmt.Sprintf(format, args...))
	}
}

// count takes n more references off the archive's budget.
func (r *reader) count(n int) error {
	if r.references += n; r.references > maxReferences {
		return regcred.Errorf(regcred.TooLarge, "its manifests refer to more than %d contents", maxReferences)
	}
	return nil
}

// size returns the size of a file that has to be there.
func (r *reader) size(file string) (int64, error) {
	n, err := r.src.size(file)
	return n, missing(file, err)
}

// missing names the file that is not there.
func missing(file string, err error) error {
	if err == nil || !isNotExist(err) {
		return err
	}
	if mt, ok := errors.AsType[*missingTarget](err); ok {
		return regcred.Errorf(regcred.Corrupt, "%w: the archive is incomplete, write it again", mt)
	}
	return regcred.Errorf(regcred.Corrupt, "%q is missing: the archive is incomplete, write it again", file)
}

// document returns the content of a small file, and takes it off the archive's
// budget.
func (r *reader) document(file string) ([]byte, error) {
	data, err := r.load(file)
	if err != nil {
		return nil, err
	}
	if r.documents += int64(len(data)); r.documents > maxDocuments {
		return nil, regcred.Errorf(regcred.TooLarge, "its manifests and configs have more than %d MiB together", maxDocuments>>20)
	}
	return data, nil
}

// load returns the content of a small file.
func (r *reader) load(file string) ([]byte, error) {
	n, err := r.size(file)
	if err != nil {
		return nil, err
	}
	if n > MaxDocument {
		return nil, regcred.Errorf(regcred.TooLarge, "%q has %d bytes; a manifest, index or config has at most %d", file, n, MaxDocument)
	}
	f, err := r.src.open(file)
	if err != nil {
		return nil, missing(file, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxDocument))
	if err != nil {
		return nil, fileError(err)
	}
	return data, nil
}

// verifiedDocument is document for a file whose digest is known.
func (r *reader) verifiedDocument(file string, want digest.Digest) ([]byte, error) {
	data, err := r.document(file)
	if err != nil {
		return nil, err
	}
	return data, verify(file, data, want)
}

func verify(file string, data []byte, want digest.Digest) error {
	if got := want.Algorithm().FromBytes(data); got != want {
		return wrongDigest(file, got, want)
	}
	return nil
}

func wrongDigest(file string, got, want digest.Digest) error {
	return regcred.Errorf(regcred.Corrupt, "%q has the digest %s, not %s: the archive is damaged, write it again", file, got, want)
}

// decode reads JSON into v. file says whose it is.
func decode(file string, data []byte, v any) error {
	err := json.Unmarshal(data, v)
	if err == nil {
		return nil
	}
	if regcred.CodeOf(err) != regcred.Internal {
		return fmt.Errorf("%q: %w", file, err)
	}
	return regcred.Errorf(regcred.Invalid, "%q is malformed: %w", file, err)
}

// list is a JSON list of bounded length: a document of 4 MiB can hold a million
// empty objects, which would take far more memory than the document itself.
type list[T any] []T

// UnmarshalJSON decodes a list, or null for an empty one.
func (l *list[T]) UnmarshalJSON(data []byte) error {
	*l = nil
	d := json.NewDecoder(bytes.NewReader(data))
	t, err := d.Token()
	if err != nil || t == nil {
		return err
	}
	if t != json.Delim('[') {
		return fmt.Errorf("there is a %T where a list belongs", t)
	}
	*l = list[T]{} // an empty list is there, unlike null
	for d.More() {
		if len(*l) == maxItems {
			return regcred.Errorf(regcred.TooLarge, "a list has more than %d elements", maxItems)
		}
		var item T
		if err := d.Decode(&item); err != nil {
			return err
		}
		*l = append(*l, item)
	}
	return nil
}

// openBlob opens a blob for reading, with its digest checked at its end.
func (r *reader) openBlob(b Blob) (io.ReadCloser, error) {
	if b.data != nil {
		return io.NopCloser(bytes.NewReader(b.data)), nil
	}
	f, err := r.src.open(b.file)
	if err != nil {
		return nil, r.wrap(missing(b.file, err))
	}
	v := &verifier{f: f, r: r, b: b}
	if b.Descriptor.Digest != "" {
		v.h = b.Descriptor.Digest.Algorithm().Hash()
	}
	return v, nil
}

// wrap names the archive in an error that leaves the package after Open.
func (r *reader) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("archive %s: %w", r.name, err)
}

// verifier reads a file and compares its digest at the end. It reads no more
// than the blob's size, which Open has compared with the file's.
type verifier struct {
	f io.ReadCloser
	r *reader
	b Blob
	h hash.Hash // nil where the digest is not known
	n int64
}

func (v *verifier) Read(p []byte) (int, error) {
	n, err := v.f.Read(p)
	v.n += int64(n)
	if v.h != nil {
		v.h.Write(p[:n])
	}
	switch {
	case err == io.EOF:
		if err := v.check(); err != nil {
			return n, v.r.wrap(err)
		}
	case err != nil:
		return n, v.r.wrap(fmt.Errorf("%q: %w", v.b.file, fileError(err)))
	case v.n > v.b.Descriptor.Size:
		return n, v.r.wrap(v.check())
	}
	return n, err
}

func (v *verifier) check() error {
	if v.n != v.b.Descriptor.Size {
		return regcred.Errorf(regcred.Corrupt, "%q does not have the %d bytes that it should: the archive changed while it was read", v.b.file, v.b.Descriptor.Size)
	}
	if v.h == nil {
		return nil
	}
	want := v.b.Descriptor.Digest
	if got := digest.NewDigest(want.Algorithm(), v.h); got != want {
		return wrongDigest(v.b.file, got, want)
	}
	return nil
}

func (v *verifier) Close() error { return v.f.Close() }

// sniffFile tells how a file is compressed.
func (r *reader) sniffFile(file string) (compression, error) {
	f, err := r.src.open(file)
	if err != nil {
		return unknown, missing(file, err)
	}
	defer f.Close()
	magic, err := bufio.NewReaderSize(f, 16).Peek(magicLen)
	if err != nil && !errors.Is(err, io.EOF) {
		return unknown, fileError(err)
	}
	comp, err := sniff(magic)
	if err != nil {
		return unknown, fmt.Errorf("layer %q: %w", file, err)
	}
	return comp, nil
}
