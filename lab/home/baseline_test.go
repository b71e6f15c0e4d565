package home

import (
	"os"
	"path/filepath"
	"testing"
)

// A pinned run is found again by another process; nothing is pinned in a new home.
func TestPinnedBaseline(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "new")
	for _, run := range []string{"", "20261129-a", "20261129-b", "", ""} {
		if err := Open(folder, "v").Pin(run); err != nil {
			t.Fatal(err)
		}
		if got := Open(folder, "v").Baseline(); got != run {
			t.Errorf("pinned %q, found %q", run, got)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Open(file, "v").Pin("x"); err == nil {
		t.Error("a home that is a file takes a baseline")
	}
}
