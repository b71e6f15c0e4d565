package main

import (
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// TestFreshBesideOthers: processes that work on one home at once, some making everything anew and
// one removing what is useless, all end well and with the same figures.
func TestFreshBesideOthers(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the program and runs it many times")
	}
	p := buildProgram(t)
	file := filepath.Join(p.dir, "tiny.yaml")
	writeFile(t, file, tiny)
	want := rows(p.complete(t, "run", file))
	if want == "" {
		t.Fatal("the table has no rows")
	}
	var all sync.WaitGroup
	for _, args := range [][]string{{"run", file, "--fresh"}, {"run", file, "--fresh"}, {"run", file}, {"clean"}} {
		all.Go(func() {
			for range 4 {
				out := p.complete(t, args...)
				if args[0] == "run" && rows(out) != want {
					t.Errorf("slimlab %s:\n%s\nexpected\n%s", strings.Join(args, " "), out, want)
				}
			}
		})
	}
	all.Wait()
	if out := p.complete(t, "check", file); strings.Count(out, "cached") != 3 {
		t.Errorf("then:\n%s", out)
	}
	if out := p.complete(t, "clean"); !strings.Contains(out, "removed 0 folders") {
		t.Errorf("left behind:\n%s", out)
	}
}
