package home

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"slimlab/internal/atomicfile"
)

// baselineFile names the run that is pinned as baseline.
const baselineFile = "baseline"

// Baseline is the run that Pin has kept; "" is none.
func (h *Home) Baseline() string {
	data, err := os.ReadFile(filepath.Join(h.Folder, baselineFile))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// Pin keeps a run as the baseline of later workbenches; "" is none.
func (h *Home) Pin(run string) error {
	name := filepath.Join(h.Folder, baselineFile)
	if run == "" {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("baseline: %w", err)
		}
		return nil
	}
	if err := os.MkdirAll(h.Folder, 0o755); err != nil {
		return fmt.Errorf("baseline: %w", err)
	}
	if err := atomicfile.Write(name, func(w io.Writer) error {
		_, err := io.WriteString(w, run+"\n")
		return err
	}); err != nil {
		return fmt.Errorf("baseline: %w", err)
	}
	return nil
}
