package atomicfile

import (
	"os"
	"path/filepath"
	"testing"

	"slimlab/internal/filelock"
)

// TestRemoveAbandoned: what a killed Write left is removed, and nothing else: no file that is
// written, of another name, or that only looks alike.
func TestRemoveAbandoned(t *testing.T) {
	dir := t.TempDir()
	long := string(make([]byte, 0, 200))
	for range 200 {
		long += "n"
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	stays := map[string]bool{
		".x.gguf-0123abcd": false, ".x.gguf-00000000": false, ".x.gguf-89abcdef": true, // is written
		"." + long[:longestPrefix] + "-0123abcd": false,
		".x.gguf-0123abc":                        true, ".x.gguf-0123abcde": true, ".x.gguf-notes": true, ".y.gguf-0123abcd": true, "x.gguf-0123abcd": true, "x.gguf": true, ".x.gguf.lock": true,
	}
	for name := range stays {
		if err := os.WriteFile(in(name), []byte("part"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.OpenFile(in(".x.gguf-89abcdef"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := filelock.TryLock(f); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"x.gguf", long} {
		if err := RemoveAbandoned(in(name)); err != nil {
			t.Error(err)
		}
	}
	for name, want := range stays {
		if _, err := os.Lstat(in(name)); (err == nil) != want {
			t.Errorf("%s: there: %t, expected %t", name, err == nil, want)
		}
	}
	d, err := find(in("z"))
	if err != nil {
		t.Fatal(err)
	}
	temp, err := d.temporary() // what Write writes is locked
	if err != nil {
		t.Fatal(err)
	}
	defer temp.Close()
	if err := RemoveAbandoned(in("z")); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(temp.Name()); err != nil {
		t.Error(err)
	}
}
