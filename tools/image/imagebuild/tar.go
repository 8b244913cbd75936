package imagebuild

import (
	"archive/tar"
	"io"
	"strings"
	"time"
)

// file is a file of a tar, or a directory where the name ends in "/".
type file struct {
	name  string
	mode  int64
	owner int // user and group
	body  []byte
}

// epoch is the time of every file in a tar. It is no commit's, so that a layer with
// the same files stays the same.
var epoch = time.Unix(0, 0)

// writeTar writes files in their order. The same files give the same bytes.
func writeTar(w io.Writer, files []file) error {
	t := tar.NewWriter(w)
	for _, f := range files {
		if err := t.WriteHeader(f.header()); err != nil {
			return err
		}
		if _, err := t.Write(f.body); err != nil {
			return err
		}
	}
	return t.Close()
}

func (f file) header() *tar.Header {
	h := &tar.Header{
		Typeflag: tar.TypeReg, Name: f.name, Size: int64(len(f.body)), Mode: f.mode,
		Uid: f.owner, Gid: f.owner, ModTime: epoch, Format: tar.FormatUSTAR,
	}
	if strings.HasSuffix(f.name, "/") {
		h.Typeflag = tar.TypeDir
	}
	return h
}
