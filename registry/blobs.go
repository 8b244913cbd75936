package registry

import (
	"context"
	"errors"
	"io"
	"iter"
	"net/url"
	"strings"
	"time"

	"regcred.dev"
)

// Blobs keeps objects by key: the registry's storage. Implementations live in
// registry/blob and run regcredtest.TestBlobs.
//
// A key is made of segments that CheckKey allows, joined by slashes. No key may
// be a directory of another: where "a" is stored, "a/b" must not be. Objects
// appear whole or not at all, and one whose write was acknowledged survives a
// kill.
//
// Every method returns Invalid for a bad key, and may return Unavailable where
// the storage cannot be reached. All may be called concurrently, by several
// processes too.
type Blobs interface {
	// Get opens an object for reading. A reader goes on reading what it opened,
	// whatever becomes of the key, or fails: it never reads anything else, and never
	// ends early. It may fail once ctx has ended. Errors: NotFound.
	Get(ctx context.Context, key string) (Object, error)

	// Stat describes an object without reading it. Errors: NotFound.
	Stat(ctx context.Context, key string) (Info, error)

	// Read returns the content of a small object and its version, for Put and
	// Delete. Errors: NotFound; TooLarge over MaxSmall bytes.
	Read(ctx context.Context, key string) (data []byte, version string, err error)

	// Put stores a small object, of at most MaxSmall bytes, in place of any that
	// is there. Over a network the answer may be lost: after Unavailable the object may
	// have been stored, and after Exists or Stale it may have been, and then replaced.
	// Errors: TooLarge; Exists or Stale where the condition does not hold.
	Put(ctx context.Context, key string, data []byte, c Condition) error

	// Delete removes an object. One that is not there is no error without a
	// condition. Errors: Stale where the condition does not hold.
	Delete(ctx context.Context, key string, c Condition) error

	// List yields the objects whose keys begin with prefix and are greater than
	// after, in the order of their keys as bytes. What changes meanwhile may or may
	// not be seen. After an error it ends.
	List(ctx context.Context, prefix, after string) iter.Seq2[Info, error]

	// CreateUpload begins an upload, which becomes an object when it is committed.
	// The id is one key segment. Errors: Exists.
	CreateUpload(ctx context.Context, id string) (Upload, error)

	// OpenUpload goes on with an upload that was closed, perhaps by a process that
	// was killed. Errors: NotFound; Stale where somebody else has it open.
	OpenUpload(ctx context.Context, id string) (Upload, error)

	// CleanUploads removes uploads that nobody has open and that were last written
	// before a time, and returns how many.
	CleanUploads(ctx context.Context, before time.Time) (int, error)
}

// Locator is implemented by Blobs whose objects clients can fetch from the storage
// itself.
type Locator interface {
	// Locate returns a URL from which whoever has it may read an object, ranges
	// included, for a time. It is for one method, GET or HEAD: those who sign URLs
	// sign the method too. Whether the object is there is not looked at.
	Locate(ctx context.Context, key, method string, lifetime time.Duration) (*url.URL, error)
}

// Reserver is implemented by Blobs that keep some room for small objects by which others
// are deleted.
type Reserver interface {
	// PutReserved is Put, and takes of that room where there is no other.
	PutReserved(ctx context.Context, key string, data []byte, c Condition) error
}

// Stamper is implemented by Blobs that can tell at little cost whether an object is
// still what was read.
type Stamper interface {
	// Stamp returns an object's stamp. A change of the object gives it another one,
	// but for changes within the same moment of the storage's clock. Errors: NotFound.
	Stamp(ctx context.Context, key string) (Stamp, error)
}

// Stamp tells one state of an object from another: of a file, which one it is and
// when it last changed.
type Stamp struct {
	Device, File uint64
	Size         int64 // bytes
	ChangedAt    time.Time
}

// ErrNoSpace is in the errors of Put, and of what an Upload does, where the storage is
// full: what is deleted makes room.
var ErrNoSpace = errors.New("no space left")

// MaxSmall bounds what Put stores and Read returns, in bytes. It is the size
// that the OCI distribution specification asks registries to accept of a
// manifest, at least.
const MaxSmall = 4 << 20

// Info describes an object.
type Info struct {
	Key        string
	Size       int64 // bytes
	ModifiedAt time.Time
}

// Object is an open object. Its reader is an *os.File where the storage has one,
// which lets the kernel send it.
type Object struct {
	io.ReadSeekCloser
	Info Info
}

// Upload is a write in progress, held by one caller. Its methods are not to be
// called concurrently.
type Upload interface {
	// Write appends. What was written before a kill may be there or not: Size
	// tells.
	io.Writer
	// Size returns the number of bytes written, in earlier turns too.
	Size() int64
	// Content returns all that was written, from its beginning. It is valid until
	// the next call of another method.
	Content() (io.Reader, error)
	// Commit makes the upload the object of that key, in place of any that is
	// there, and ends the upload.
	Commit(ctx context.Context, key string) error
	// Cancel discards the upload. After Commit, Cancel or Close it does nothing.
	Cancel() error
	// Close lets go of the upload; OpenUpload goes on with it. After Commit,
	// Cancel or Close it does nothing.
	Close() error
}

// Condition guards a change of an object. The zero Condition always holds.
type Condition struct {
	absent  bool
	version string
}

// IfAbsent holds where there is no object; Put then answers Exists otherwise.
var IfAbsent = Condition{absent: true}

// IfVersion holds where the object has the version that Read returned.
func IfVersion(version string) Condition { return Condition{version: version} }

// Absent reports whether there must be no object.
func (c Condition) Absent() bool { return c.absent }

// Version returns the version that the object must have, "" for any or none.
func (c Condition) Version() string { return c.version }

// Bounds of a key, in bytes: S3 allows keys of 1,024, most file systems segments
// of 255.
const (
	maxKey     = 1024
	maxSegment = 255
)

// CheckKey returns an Invalid error where key is none: where it has no segments,
// or one that is empty, too long, begins with a dot, or has characters other than
// ASCII letters, digits and "-._+". That keeps it the same in a path, a URL and
// an S3 key.
func CheckKey(key string) error {
	if len(key) > maxKey {
		return regcred.Errorf(regcred.Invalid, "a key of %d bytes is too long, at most %d are allowed", len(key), maxKey)
	}
	for segment := range strings.SplitSeq(key, "/") {
		if segment == "" || segment[0] == '.' || len(segment) > maxSegment || span(segment, isKeyByte) != len(segment) {
			return regcred.Errorf(regcred.Invalid, "%q is no key: segment %q is not allowed", key, segment)
		}
	}
	return nil
}

// CheckUploadID returns an Invalid error where id is not one segment of a key.
func CheckUploadID(id string) error {
	if strings.Contains(id, "/") {
		return regcred.Errorf(regcred.Invalid, "%q is no upload id: it has a slash", id)
	}
	return CheckKey(id)
}

func isKeyByte(c byte) bool { return isTagByte(c) || c == '+' }
