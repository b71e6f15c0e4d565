package home

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"slimlab/internal/atomicfile"
	"slimlab/internal/filelock"
	"slimlab/internal/wrongfile"
	"slimlab/lab/recipe"
	"slimlab/model/checkpoint"
)

// SaveRow copies the model of a run's row, the first seed's, to a new or empty folder (CheckSave),
// which is there whole or not at all. The caller sees to it that nothing else writes the folder
// meanwhile.
func (h *Home) SaveRow(run, row, folder string) error {
	from, err := h.rowFolder(run + "/" + row)
	if err == nil {
		err = h.CheckSave(folder)
	}
	if err == nil {
		err = copyModel(folder, from)
	}
	if err != nil {
		return fmt.Errorf("save row %s: %w", row, err)
	}
	return nil
}

// CheckSave reports why no model can be saved into a folder: it holds something, it is no folder,
// or it lies within the home, whose files have their own names.
func (h *Home) CheckSave(folder string) error {
	if within(h.Folder, folder) {
		return fmt.Errorf("%s lies within the home %s, expected a folder outside", folder, h.Folder)
	}
	if checkpoint.Unfinished(folder) {
		return fmt.Errorf("%s holds the unfinished work of another command: repeat that command to finish it, or remove the folder", checkpoint.PartialFolder(folder))
	}
	if err := wrongfile.Replaceable(folder); err != nil {
		return err
	}
	info, err := os.Stat(folder)
	switch {
	case err != nil: // nothing is there
		return wrongfile.FolderPlace(folder)
	case !info.IsDir():
		return fmt.Errorf("%s is a file, expected a new folder", folder)
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s holds %s already, expected a new folder", folder, entries[0].Name())
	}
	return nil
}

// within reports whether a path is a folder or below it, links followed.
func within(folder, path string) bool {
	above, err := filelock.TargetPath(folder)
	if err != nil {
		return false
	}
	below, err := filelock.TargetPath(path)
	if err != nil {
		return false
	}
	relative, err := filepath.Rel(above, below)
	return err == nil && filepath.IsLocal(relative)
}

// copyModel writes the files of a model into a new folder, which is there whole or not at all.
func copyModel(folder string, from fs.FS) (err error) {
	entries, err := fs.ReadDir(from, ".")
	if err != nil {
		return err
	}
	parent := filepath.Dir(filepath.Clean(folder))
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return err
	}
	partial, err := os.MkdirTemp(parent, filepath.Base(filepath.Clean(folder))+".partial-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(partial) // the first error counts
		}
	}()
	if err := os.Chmod(partial, 0o755); err != nil {
		return err
	}
	for _, e := range entries {
		if !recipe.ModelFile(e) {
			continue
		}
		source, err := from.Open(e.Name())
		if err != nil {
			return err
		}
		err = atomicfile.Write(filepath.Join(partial, e.Name()), func(w io.Writer) error {
			_, err := io.Copy(w, source)
			return err
		})
		source.Close() // only read
		if err != nil {
			return err
		}
	}
	if err := os.Remove(folder); err != nil && !errors.Is(err, fs.ErrNotExist) { // empty
		return err
	}
	if err := os.Rename(partial, folder); err != nil {
		return err
	}
	return atomicfile.SyncDir(parent)
}
