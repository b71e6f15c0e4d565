package wrongfile

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Replaceable reports why a new folder cannot take the place of the empty one at a path: it is the
// working directory, of which a shell would keep what was removed, or another disk is mounted
// there. Where nothing is, or the folder has something in it, it reports nothing.
func Replaceable(path string) error {
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() {
		return nil
	}
	if entries, err := os.ReadDir(path); err != nil || len(entries) > 0 {
		return nil
	}
	within := filepath.Join(path, "model")
	if here, err := os.Stat("."); err == nil && os.SameFile(info, here) {
		return fmt.Errorf("%s is the working directory, expected a folder that the new one can take the place of: name one within it, such as %s", path, within)
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	if above, err := os.Stat(filepath.Dir(absolute)); err == nil && otherDisk(info, above) {
		return fmt.Errorf("%s is a mount point, expected a folder that the new one can take the place of: name one within it, such as %s", path, within)
	}
	return nil
}

// otherDisk reports whether two folders are on different disks, as far as the system tells.
func otherDisk(a, b fs.FileInfo) bool {
	x, known := disk(a)
	y, alsoKnown := disk(b)
	return known && alsoKnown && x != y
}
