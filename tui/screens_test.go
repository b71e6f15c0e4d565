package tui

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the goldens in testdata")

// Every screen at the sizes that matter, as text.
func TestScreens(t *testing.T) {
	sizes := [][2]int{{80, 24}, {120, 40}, {200, 60}, {60, 15}, {40, 10}}
	screens := []struct{ name, keys string }{
		{"bench", ""},
		{"live", "Q"},
		{"done", "jjjj<enter>"},
		{"compare", "jjjj<space><space>c"},
	}
	for _, size := range sizes {
		for _, one := range screens {
			name := fmt.Sprintf("%s-%dx%d", one.name, size[0], size[1])
			t.Run(name, func(t *testing.T) {
				golden(t, name, newScript(t, size[0], size[1], Options{}).keys(one.keys).screen())
			})
			if size[0] == 40 {
				break // all the same
			}
		}
	}
	for _, one := range []struct{ name, keys string }{
		{"run-none", "2"},
		{"run-sorted", "jjjj<enter>>>>>>>ss"},
		{"run-filtered", "jjjj<enter>/auc_soft>0.76 not kd<enter>"},
		{"run-filter-wrong", "jjjj<enter>/loss=no"},
		{"run-intervals", "jjjj<enter>i"},
		{"run-marked-log", "jjjj<enter>j<space>j<space>l"},
		{"run-metric", "jjjj<enter>>>>>>>M"},
		{"run-trade", "jjjj<enter>magainst<enter>"},
		{"run-detail", "jjjj<enter>j<enter>"},
		{"run-inspect", "jjjj<enter>j<enter><left><left><left><left>"},
		{"run-expectations", "jjjj<enter>v"},
		{"run-errors", "jjjj<enter>!"},
		{"run-replay", "jjjjpfffff"},
		{"run-stop", "Qx"},
		{"compare-none", "3"},
		{"compare-differences", "jjjj<space><space>cd"},
		{"help-bench", "?"},
		{"help-run", "jjjj<enter>?"},
		{"palette", "jjjj<enter>:chart"},
		{"export", "jjjje"},
		{"scenario-broken", "jjj"},
		{"scenario-failing", "jr"},
		{"quit-live", "Qq"},
	} {
		t.Run(one.name, func(t *testing.T) {
			golden(t, one.name, newScript(t, 100, 30, Options{}).keys(one.keys).screen())
		})
	}
	t.Run("ascii", func(t *testing.T) {
		s := newScript(t, 100, 30, Options{ASCII: true}).keys("jjjj<enter>j")
		for _, r := range s.screen() {
			if r >= 0x80 {
				t.Fatalf("%q in an ASCII screen", r)
			}
		}
		golden(t, "ascii", s.screen())
	})
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	lines := strings.Split(got, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	got = strings.Join(lines, "\n") + "\n"
	path := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("screen differs from %s; got\n%s", path, got)
	}
}
