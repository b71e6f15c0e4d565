package wrongfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// FolderPlace reports why no folder can be at a path, there or yet to be made: something else is
// there, or is where a folder above it would be.
func FolderPlace(path string) error {
	for at := filepath.Clean(path); ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		switch {
		case err == nil && info.IsDir():
			return nil
		case err == nil && at == filepath.Clean(path):
			return fmt.Errorf("%s is %s, expected a folder, or the name of a new one", path, kindOf(info.Mode()))
		case err == nil:
			return fmt.Errorf("no folder %s can be made: %s is %s, expected a folder", path, at, kindOf(info.Mode()))
		case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR):
			return err
		case at == filepath.Dir(at):
			return nil
		}
	}
}

func kindOf(mode fs.FileMode) string {
	if mode.IsRegular() {
		return "a file"
	}
	return Kind(mode)
}
