package tui

import (
	"fmt"
	"slimlab/internal/golden"
	"strings"
	"testing"
)

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
				goldenScreen(t, name, newScript(t, size[0], size[1], Options{}).keys(one.keys).screen())
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
		{"compare-three", "jjjj<space><space><space>c"},
		{"compare-three-baseline", "jjjj<space><space><space>c>>>o"},
		{"compare-curves", "jjjj<space><space><space>cTw"},
		{"compare-curve-chosen", "jjjj<space><space>cTmkd.loss<enter>l"},
		{"compare-rows", "jjjj<enter>j<space>j<space>j<space>c"},
		{"compare-row-curves", "jjjj<enter>j<space>jj<space>cT"},
		{"compare-pinned", "jjjjbjc"},
		{"compare-export", "jjjj<space><space>ce"},
		{"run-deltas", "jjjjjbk<enter>B>>>>>>"},
		{"run-deltas-none", "jjjj<enter>B"},
		{"bench-pinned", "jjjjb<space>"},
		{"compare-differences", "jjjj<space><space>cd"},
		{"help-bench", "?"},
		{"help-run", "jjjj<enter>?"},
		{"palette", "jjjj<enter>:chart"},
		{"export", "jjjje"},
		{"scenario-broken", "jjj"},
		{"scenario-failing", "jQ"},
		{"scenario-look", "jjj<enter>"},
		{"sheet", "r"},
		{"sheet-typed", "rdistilled.steps=50 task.me"},
		{"sheet-wrong", "rdistiled.steps=50"},
		{"repeat", "jjjjjR"},
		{"new-model", "n"},
		{"new-data", "n<enter>"},
		{"new-points", "n<enter>text<enter>"},
		{"new-wrong", "nnowhere<enter><enter><enter>"},
		{"delete", "jjjjD"},
		{"bench-query", "/auc_soft>0.7 took>1m"},
		{"bench-query-wrong", "/auc_sof>0.7"},
		{"quit-live", "Qq"},
	} {
		t.Run(one.name, func(t *testing.T) {
			goldenScreen(t, one.name, newScript(t, 100, 30, Options{}).keys(one.keys).screen())
		})
	}
	t.Run("ascii", func(t *testing.T) {
		s := newScript(t, 100, 30, Options{ASCII: true}).keys("jjjj<enter>j")
		for _, r := range s.screen() {
			if r >= 0x80 {
				t.Fatalf("%q in an ASCII screen", r)
			}
		}
		goldenScreen(t, "ascii", s.screen())
	})
}

func goldenScreen(t *testing.T, name, got string) {
	t.Helper()
	lines := strings.Split(got, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	got = strings.Join(lines, "\n") + "\n"
	golden.Equal(t, name+".txt", got)
}
