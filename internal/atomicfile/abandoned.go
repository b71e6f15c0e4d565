package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"slimlab/internal/filelock"
)

// temporaryEnd ends the name of a temporary file.
var temporaryEnd = regexp.MustCompile(`^-[0-9a-f]{8}$`)

// RemoveAbandoned removes the temporary files of Writes of name whose processes were killed. One
// that a living process writes is locked, and stays.
func RemoveAbandoned(name string) error {
	d, err := find(name)
	if err != nil || !d.replaced() {
		return nil // Write will say it
	}
	dir, prefix := filepath.Split(d.path)
	prefix = "." + shortened(prefix)
	entries, err := os.ReadDir(filepath.Clean(dir))
	if err != nil {
		return nil
	}
	var failed error
	for _, e := range entries {
		if rest, ok := strings.CutPrefix(e.Name(), prefix); ok && temporaryEnd.MatchString(rest) && e.Type().IsRegular() {
			failed = errors.Join(failed, removeFree(filepath.Join(dir, e.Name())))
		}
	}
	return failed
}

// RemoveAllAbandoned removes the temporary files of Writes of all files of a folder whose processes
// were killed.
func RemoveAllAbandoned(folder string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	var failed error
	for _, e := range entries {
		if at := strings.LastIndexByte(e.Name(), '-'); at > 0 && e.Name()[0] == '.' && temporaryEnd.MatchString(e.Name()[at:]) && e.Type().IsRegular() {
			failed = errors.Join(failed, removeFree(filepath.Join(folder, e.Name())))
		}
	}
	return failed
}

// removeFree removes a file that no process has locked.
func removeFree(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil // another process was faster, or it is another user's
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if err := filelock.TryLock(f); err != nil {
		return nil
	}
	return os.Remove(path)
}

// shortened leaves room for the rest of a temporary file's name.
func shortened(base string) string {
	if len(base) > longestPrefix {
		return strings.ToValidUTF8(base[:longestPrefix], "")
	}
	return base
}
