package wrongfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFolderPlace: a folder can be where one is or nothing, not at a file nor below one.
func TestFolderPlace(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		dir: "", filepath.Join(dir, "new"): "", filepath.Join(dir, "new", "below"): "", "new": "",
		file:                          file + " is a file, expected a folder, or the name of a new one",
		filepath.Join(file, "a", "b"): "no folder " + filepath.Join(file, "a", "b") + " can be made: " + file + " is a file, expected a folder",
		os.DevNull:                    os.DevNull + " is a device, expected a folder",
	} {
		if err := FolderPlace(path); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, expected %q", path, err, want)
		}
	}
}
