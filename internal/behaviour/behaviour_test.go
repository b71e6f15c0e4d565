package behaviour

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// listener collects what a check says.
type listener struct {
	testing.TB
	said []string
}

func (l *listener) Helper() {}
func (l *listener) Errorf(format string, a ...any) {
	l.said = append(l.said, fmt.Sprintf(format, a...))
}

// TestCheck: output that changes under its version fails, with and without -update.
func TestCheck(t *testing.T) {
	file := filepath.Join(t.TempDir(), "new", "behaviour.golden")
	check := func(update bool, want string, found ...Record) {
		t.Helper()
		l := &listener{TB: t}
		Check(l, file, found, update)
		if said := strings.Join(l.said, "\n"); (want == "") != (said == "") || !strings.Contains(said, want) {
			t.Errorf("said %q, expected %q", said, want)
		}
	}
	train, prune := Record{"train", 1, "aa"}, Record{"prune", 4, "bb"}
	check(true, "", train, prune)
	check(false, "", train, prune)
	changed := Record{"train", 1, "cc"}
	for _, update := range []bool{false, true} {
		check(update, "stage train computes cc, recorded is aa: artifacts of the old code would be taken for those of the new: raise the version", changed, prune)
	}
	check(false, "", train, prune) // nothing was written
	changed.Version = 2
	check(false, "version 2 of stage train is not recorded; run the test with -update", changed, prune)
	check(true, "", changed, prune)
	check(false, "", changed, prune)
	check(false, "prune is recorded but was not run", changed)
	if err := os.WriteFile(file, []byte("train\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := read(file); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("half a record: %v", err)
	}
}
