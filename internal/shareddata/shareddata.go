// Package shareddata finds the real models, tokenizers and data sets that some tests are checked
// against. They are not part of the project and are not needed to build, run or test it. The
// environment variable SLIMLAB_SHARED_DATA names their folder. Without it a test that wants them is
// skipped, saying so; with it a missing file fails the test, so that a mistyped folder cannot turn
// every check off.
package shareddata

import (
	"os"
	"path/filepath"
	"testing"
)

// Variable names the environment variable that holds the folder.
const Variable = "SLIMLAB_SHARED_DATA"

// Path returns the path of a file or folder of the shared data. It skips the test when no folder is
// named, and fails it when the folder is named and the file is absent.
func Path(t testing.TB, elem ...string) string {
	t.Helper()
	root := os.Getenv(Variable)
	if root == "" {
		t.Skipf("skipped: %s is not set; it names the folder of %s", Variable, filepath.Join(elem...))
	}
	path := filepath.Join(append([]string{root}, elem...)...)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("shared data: %v; %s is %s", err, Variable, root)
	}
	return path
}
