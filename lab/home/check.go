package home

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Check reports a home that cannot be one: its path is a file or leads through one, or may not be
// read. One that does not exist yet is fine where it could be made.
func (h *Home) Check() error {
	for _, folder := range []string{filepath.Join(h.Folder, "runs"), filepath.Join(h.Folder, "artifacts")} {
		if err := readable(folder); err != nil {
			return fmt.Errorf("the home %s, which %s, cannot be read: %w; set SLIMLAB_HOME to a folder", h.Folder, chosenBy(), err)
		}
	}
	return nil
}

// chosenBy says where the name of the home is from.
func chosenBy() string {
	for _, name := range []string{"SLIMLAB_HOME", "XDG_DATA_HOME"} {
		if os.Getenv(name) != "" {
			return name + " chooses"
		}
	}
	return "lies in your home folder"
}

// readable reports a folder that cannot be listed, or that cannot be made, since its nearest parent
// is no folder or one of the system.
func readable(folder string) error {
	if _, err := os.ReadDir(folder); err == nil {
		return nil
	}
	for at := folder; ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		case err != nil:
			return err
		case !info.IsDir():
			return fmt.Errorf("%s is no folder", at)
		case at == folder: // what it was listed as may be over: another process may have made it
			_, err := os.ReadDir(folder)
			return err
		case ofSystem(at):
			return fmt.Errorf("%s shows the system's state, and no folder can be made in it", at)
		default:
			return nil
		}
	}
}
