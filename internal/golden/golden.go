// Package golden compares what a test made with a file that was read and committed. It is for tests
// alone; its flag, -update, writes the files anew, and the diff is then read before it is
// committed.
package golden

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

// Updating reports whether the golden files are to be written anew.
func Updating() bool { return *update }

// Equal fails the test where got is not the content of the file in testdata, byte for byte.
func Equal(t testing.TB, file, got string) {
	t.Helper()
	path := filepath.Join("testdata", filepath.FromSlash(file))
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; -update writes it", err)
	}
	if got != string(want) {
		t.Errorf("%s: found\n%s\nexpected\n%s", path, got, want)
	}
}
