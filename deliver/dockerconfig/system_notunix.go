//go:build !unix

package dockerconfig

import (
	"io/fs"
	"os"
)

// noFollow does nothing: there is no such flag here.
const noFollow = 0

// tryLock takes no lock: there is none that all regcreds could take here, and one
// of them to a file is safe.
func tryLock(*os.File) (bool, error) { return true, nil }

// keepOwner does nothing: a file has no owner to keep.
func keepOwner(*os.File, fs.FileInfo) error { return nil }
