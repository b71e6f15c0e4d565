package wrongfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestReplaceable: an empty folder gives way but for the working directory and mount points; what
// is not there, or holds something, is for others to refuse.
func TestReplaceable(t *testing.T) {
	dir := t.TempDir()
	empty, full := filepath.Join(dir, "empty"), filepath.Join(dir, "full")
	for _, folder := range []string{empty, filepath.Join(full, "a")} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{empty, full, filepath.Join(dir, "none"), "/proc"} {
		if err := Replaceable(path); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	t.Chdir(empty)
	for _, path := range []string{empty, "."} {
		if err := Replaceable(path); err == nil || !strings.Contains(err.Error(), path+" is the working directory, expected a folder that the new one can take the place of: name one within it, such as "+filepath.Join(path, "model")) {
			t.Errorf("%s: %v", path, err)
		}
	}
	mounted, err := os.Stat("/proc")
	above, errAbove := os.Stat("/")
	if err != nil || errAbove != nil {
		t.Skip("skipped: no /proc here")
	}
	if !otherDisk(mounted, above) || otherDisk(above, above) {
		t.Error("/proc is on the disk of /, or / is not")
	}
}
