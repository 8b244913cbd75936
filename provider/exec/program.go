package exec

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"regcred.dev"
)

// find returns the absolute path of a helper. Whoever can write to it, or put another
// in its place, acts as the server: where that is everybody it is refused.
func find(helper string, dirs []string) (string, error) {
	if filepath.IsAbs(helper) {
		return helper, usable(helper)
	}
	for _, dir := range dirs {
		path := filepath.Join(dir, programName(helper))
		if !filepath.IsAbs(path) {
			continue
		}
		if err := usable(path); !errors.Is(err, fs.ErrNotExist) {
			return path, err
		}
	}
	return "", regcred.Errorf(regcred.Invalid, "there is no program %s in %s on the server: install it there, or set %q to its path", programName(helper), strings.Join(dirs, ", "), settingHelper)
}

// usable returns an error where path is no program, or one that anybody may change.
func usable(path string) error {
	refuse := func(err error) error {
		return regcred.Errorf(regcred.Invalid, "the server cannot use the program %s: %w", path, err)
	}
	file, err := filepath.EvalSymlinks(path)
	if err != nil {
		return refuse(withoutPath(err))
	}
	info, err := os.Stat(file)
	if err != nil {
		return refuse(withoutPath(err))
	}
	if !info.Mode().IsRegular() || !executable(info) {
		return refuse(errors.New("it is not an executable file"))
	}
	if writableByAll(info) {
		return refuse(errors.New("anybody may write to it: take that right away with chmod o-w"))
	}
	for _, place := range []string{path, file} {
		if dir := openTo(place); dir != "" {
			return refuse(errors.New("anybody may write to the directory " + dir + ", and so replace it: take that right away with chmod o-w"))
		}
	}
	return nil
}

// openTo returns a directory of path in which everybody may put another file or
// directory in path's place, "" where there is none. In a sticky directory, such as
// /tmp, only what stands there already is safe from others: a directory, but not the
// program itself, which need not have been put there by whom the admin thinks.
func openTo(path string) string {
	parent := filepath.Dir(path)
	for dir := parent; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return dir
		}
		if writableByAll(info) && (dir == parent || info.Mode()&fs.ModeSticky == 0) {
			return dir
		}
		if dir == filepath.Dir(dir) {
			return ""
		}
	}
}

// withoutPath returns the cause of a file system error that names its path.
func withoutPath(err error) error {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return pathErr.Err
	}
	return err
}

// environ returns the environment that a helper runs in: PATH, HOME and the variables
// of these names, as far as the server has them. In PATH only absolute directories
// are kept.
func environ(names []string) []string {
	var env []string
	for _, name := range slices.Compact(slices.Sorted(slices.Values(append([]string{"PATH", "HOME"}, names...)))) {
		value, ok := os.LookupEnv(name)
		if !ok {
			continue
		}
		if name == "PATH" {
			value = absolute(value)
		}
		env = append(env, name+"="+value)
	}
	return env
}

// absolute returns a search path without the directories that depend on the current
// one.
func absolute(path string) string {
	dirs := slices.DeleteFunc(filepath.SplitList(path), func(dir string) bool { return !filepath.IsAbs(dir) })
	return strings.Join(dirs, string(filepath.ListSeparator))
}
