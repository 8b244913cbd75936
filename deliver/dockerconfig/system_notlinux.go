//go:build !linux

package dockerconfig

import "os"

// exchange swaps two files in one step, which only Linux can.
func exchange(string, string) error { return errUnsupported }

// renameNew gives a file a name that no file has yet; write removes the old one.
// Errors: fs.ErrExist.
func renameNew(from, to string) error { return os.Link(from, to) }
