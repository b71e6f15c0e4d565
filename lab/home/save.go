package home

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"slimlab/internal/atomicfile"
	"slimlab/lab/recipe"
)

// SaveRow copies the model of a run's row, the first seed's, to a folder, which is made when
// needed; files of the same names are replaced. The caller sees to it that nothing else writes the
// folder meanwhile.
func (h *Home) SaveRow(run, row, folder string) error {
	from, err := h.rowFolder(run + "/" + row)
	if err == nil {
		err = copyModel(folder, from)
	}
	if err != nil {
		return fmt.Errorf("save row %s: %w", row, err)
	}
	return nil
}

// copyModel writes the files of a model into a folder, each at once.
func copyModel(folder string, from fs.FS) error {
	entries, err := fs.ReadDir(from, ".")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
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
		err = atomicfile.Write(filepath.Join(folder, e.Name()), func(w io.Writer) error {
			_, err := io.Copy(w, source)
			return err
		})
		source.Close() // only read
		if err != nil {
			return err
		}
	}
	return nil
}
