// Package shareddata finds the real models, tokenizers and data sets that some tests are checked
// against. They are not part of the project and are not needed to build, run or test it: a test
// that wants them is skipped, saying so, where they are absent.
package shareddata

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// Path returns the path of a file or folder of the shared data, or skips the test when it is
// absent.
func Path(t testing.TB, elem ...string) string {
	t.Helper()
	_, self, _, _ := runtime.Caller(0)
	root := filepath.Join(filepath.Dir(self), "..", "..", "..", "shared", "data")
	path := filepath.Join(append([]string{root}, elem...)...)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("skipped: shared data %s is absent", filepath.Join(elem...))
	}
	return path
}
