package convert

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slimlab/model/checkpoint"
)

// TestFoldersWithNamesOfFiles: they are refused before the work, and leave nothing.
func TestFoldersWithNamesOfFiles(t *testing.T) {
	from, _ := source(t, checkpoint.F32)
	dir := t.TempDir()
	for _, name := range []string{"e.gguf", "e.GGUF/", "model.safetensors", "pytorch_model.bin"} {
		for verb, run := range map[string]func(to string) (*Result, error){
			"import": func(to string) (*Result, error) { return Import(t.Context(), from, to, Options{Open: open}) },
			"export": func(to string) (*Result, error) { return Export(t.Context(), from, to, "hf", Options{Open: open}) },
		} {
			if _, err := run(dir + "/" + name); err == nil || !strings.Contains(err.Error(), "is a file's, expected that of a folder") {
				t.Errorf("%s to %s: %v", verb, name, err)
			}
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
	if _, err := Export(t.Context(), from, filepath.Join(dir, "v1.5"), "hf", Options{Open: open}); err != nil {
		t.Errorf("a folder with a dot in its name: %v", err)
	}
}
