// Package behaviour holds the code of a stage to its version, for tests. The name of an artifact
// has the version of the stage that made it, so a stage that comes to compute something else under
// the same version would hand out artifacts of the old code for the new. A test runs each stage on
// a small fixed input and records the stage's version with a hash of the output.
package behaviour

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Record is what a version of a stage computes from the fixed input.
type Record struct {
	Stage   string // without spaces
	Version int
	Hash    string
}

// Check compares what the stages compute with the records of a file. With update it writes the file
// anew, but no output that has changed under the same version: that needs another version first.
func Check(t testing.TB, file string, found []Record, update bool) {
	t.Helper()
	known, err := read(file)
	if err != nil && !(update && errors.Is(err, fs.ErrNotExist)) {
		t.Fatal(err)
	}
	changed := false
	for _, r := range found {
		i := slices.IndexFunc(known, func(k Record) bool { return k.Stage == r.Stage })
		switch {
		case i >= 0 && known[i].Version == r.Version && known[i].Hash != r.Hash:
			changed = true
			t.Errorf("%s: version %d of stage %s computes %.12s, recorded is %.12s: artifacts of the old code would be taken for those of the new: raise the version of the stage, then run the test with -update",
				file, r.Version, r.Stage, r.Hash, known[i].Hash)
		case !update && (i < 0 || known[i] != r):
			t.Errorf("%s: version %d of stage %s is not recorded; run the test with -update", file, r.Version, r.Stage)
		}
	}
	for _, k := range known {
		if !update && !slices.ContainsFunc(found, func(r Record) bool { return r.Stage == k.Stage }) {
			t.Errorf("%s: stage %s is recorded but was not run", file, k.Stage)
		}
	}
	if update && !changed {
		if err := write(file, found); err != nil {
			t.Fatal(err)
		}
	}
}

func read(file string) (records []Record, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		var r Record
		if _, err := fmt.Sscan(lines.Text(), &r.Stage, &r.Version, &r.Hash); err != nil {
			return nil, fmt.Errorf("%s: %q: %w", file, lines.Text(), err)
		}
		records = append(records, r)
	}
	return records, lines.Err()
}

func write(file string, records []Record) error {
	var b strings.Builder
	b.WriteString("# stage, version, hash of what it computes from the test's input\n")
	for _, r := range records {
		fmt.Fprintln(&b, r.Stage, r.Version, r.Hash)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(b.String()), 0o644)
}
