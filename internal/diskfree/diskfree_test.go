package diskfree

import (
	"path/filepath"
	"testing"
)

// TestExistingFolder: free space is that of the folder that is there, however much of the path is
// not.
func TestExistingFolder(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]string{dir: dir, filepath.Join(dir, "a"): dir, filepath.Join(dir, "a", "b", "c"): dir, filepath.Join(dir, "..", "absent"): filepath.Dir(dir)} {
		if got := existing(path); got != want {
			t.Errorf("%s: %s, expected %s", path, got, want)
		}
	}
	if root := existing(string(filepath.Separator)); root != string(filepath.Separator) {
		t.Errorf("the root is %s", root)
	}
}

// TestBytes: a disk that can be written has something free, and a path that is not there yet has
// what its folder has.
func TestBytes(t *testing.T) {
	if n := Bytes(filepath.Join(t.TempDir(), "a", "b")); n <= 0 {
		t.Errorf("%d bytes are free", n)
	}
}
