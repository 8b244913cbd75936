// Package file reads the files on the server that an admin names: tokens and keys.
package file

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Read returns the content of a regular file of at most so many bytes. Anything else,
// such as a pipe or a device, is not opened: it might never end, or never begin.
//
// The error says why it cannot be read, without naming the file.
func Read(name string, most int64) (string, error) {
	info, err := os.Stat(name)
	if err != nil {
		return "", pathless(err)
	}
	if !info.Mode().IsRegular() {
		return "", errors.New("it is no regular file")
	}
	f, err := os.Open(name)
	if err != nil {
		return "", pathless(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return "", pathless(err)
	}
	if int64(len(data)) > most {
		return "", fmt.Errorf("it has more than %d bytes", most)
	}
	return string(data), nil
}

func pathless(err error) error {
	if wrapped, ok := errors.AsType[*fs.PathError](err); ok {
		return wrapped.Err
	}
	return err
}
