package shareddata

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// recorder stands in for a test, to see how Path ends it.
type recorder struct {
	testing.TB
	skipped, failed bool
}

func (r *recorder) Helper()               {}
func (r *recorder) Skipf(string, ...any)  { r.skipped = true; runtime.Goexit() }
func (r *recorder) Fatalf(string, ...any) { r.failed = true; runtime.Goexit() }

// find calls Path as a test would and reports how it ended.
func find(elem ...string) (path string, r recorder) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		path = Path(&r, elem...)
	}()
	<-done
	return path, r
}

func TestPath(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "here"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv(Variable, "")
	if _, r := find("here"); !r.skipped || r.failed {
		t.Errorf("without %s: skipped %v, failed %v, expected a skip", Variable, r.skipped, r.failed)
	}
	t.Setenv(Variable, dir)
	if path, r := find("here"); r.skipped || r.failed || path != filepath.Join(dir, "here") {
		t.Errorf("a file that is there: %q, skipped %v, failed %v", path, r.skipped, r.failed)
	}
	if _, r := find("absent"); r.skipped || !r.failed {
		t.Errorf("an absent file with %s set: skipped %v, failed %v, expected a failure", Variable, r.skipped, r.failed)
	}
}
