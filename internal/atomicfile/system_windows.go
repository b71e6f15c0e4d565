package atomicfile

import (
	"errors"
	"os"
)

// duplicate fails: Windows has no names of open files.
func duplicate(_ int, name string) (*os.File, error) {
	return nil, &os.PathError{Op: "open", Path: name, Err: errors.ErrUnsupported}
}

// writable is left to the opening of the file.
func writable(string) error { return nil }

// keepOwner does nothing: a file that is renamed into a folder has the folder's rules.
func keepOwner(*os.File, os.FileInfo) {}
