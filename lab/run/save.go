package run

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// SaveRow copies the model of a run's row, the first seed's, to a folder, which is made when needed; files of the same names are replaced.
func (l *Lab) SaveRow(run, row, folder string) error {
	from, err := l.rowFolder(run + "/" + row)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("save %s: %w", row, err)
	}
	entries, err := fs.ReadDir(from, ".")
	if err != nil {
		return fmt.Errorf("save %s: %w", row, err)
	}
	for _, e := range entries {
		if e.IsDir() || !isModelFile(e.Name()) {
			continue
		}
		content, err := fs.ReadFile(from, e.Name())
		if err != nil {
			return fmt.Errorf("save %s: %w", row, err)
		}
		if err := os.WriteFile(filepath.Join(folder, e.Name()), content, 0o644); err != nil {
			return fmt.Errorf("save %s: %w", row, err)
		}
	}
	return nil
}
