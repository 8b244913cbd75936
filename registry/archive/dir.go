package archive

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"

	"regcred.dev"
)

// dirSource reads the files below a directory. os.Root keeps every symbolic
// link inside of it.
type dirSource struct{ root *os.Root }

func openDir(path string) (source, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fileError(err)
	}
	return dirSource{root}, nil
}

func (s dirSource) Close() error { return s.root.Close() }

func (s dirSource) size(name string) (int64, error) {
	info, err := s.root.Stat(name)
	if err != nil {
		return 0, dirError(name, err)
	}
	if !info.Mode().IsRegular() {
		return 0, regcred.Errorf(regcred.Invalid, "%q is not a regular file", name)
	}
	return info.Size(), nil
}

func (s dirSource) open(name string) (io.ReadCloser, error) {
	// Opening a named pipe would wait for its writer.
	if _, err := s.size(name); err != nil {
		return nil, err
	}
	f, err := s.root.Open(name)
	if err != nil {
		return nil, dirError(name, err)
	}
	return f, nil
}

func (s dirSource) list(dir string) ([]string, error) {
	f, err := s.root.Open(dir)
	if err != nil {
		return nil, ignoreNotExist(dirError(dir, err))
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.IsDir() {
		return nil, err
	}
	names, err := f.Readdirnames(maxEntries + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, dirError(dir, err)
	}
	if len(names) > maxEntries {
		return nil, regcred.Errorf(regcred.TooLarge, "%q has more than %d entries", dir, maxEntries)
	}
	slices.Sort(names)
	return names, nil
}

func ignoreNotExist(err error) error {
	if isNotExist(err) {
		return nil
	}
	return err
}

func dirError(name string, err error) error {
	if isNotExist(err) {
		return fs.ErrNotExist
	}
	return regcred.Errorf(regcred.Invalid, "cannot read %q within the directory: %w; links out of it are not followed: copy it with `cp -rL` first", name, err)
}
