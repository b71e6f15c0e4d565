package tui

import (
	"slices"
	"strings"
	"testing"
)

// TestFooterNamesWhatHasSomething: the footer of a run names the views that have something to show,
// in one order; in a view that has nothing it names none of the view's own keys, and these say what
// the view needs.
func TestFooterNamesWhatHasSomething(t *testing.T) {
	pipeline := func(s *script) *script { return s.keys("jjjj<enter>") }
	layers := func(s *script) *script { return s.openLayers(layersLog(2, 4, manyChoices(3)...), 0) }
	for name, c := range map[string]struct {
		open  func(s *script) *script
		shown []string
	}{
		"a pipeline": {pipeline, []string{"t tokens", "P pareto", "T curves"}},
		"a sweep":    {(*script).openSweep, []string{"P pareto", "H heat", "A axis", "T curves"}},
		"layers":     {layers, []string{"P pareto", "L layers"}},
	} {
		footer := footerOf(c.open(newScript(t, 240, 60, Options{})))
		var shown []string
		for _, key := range strings.Split(strings.TrimSpace(footer), "  ") {
			if slices.Contains([]string{"t tokens", "P pareto", "L layers", "H heat", "A axis", "T curves"}, key) {
				shown = append(shown, key)
			}
		}
		if !slices.Equal(shown, c.shown) {
			t.Errorf("%s: the footer names %q, expected %q: %s", name, shown, c.shown, footer)
		}
	}
	for _, c := range []struct {
		open       func(s *script) *script
		keys, own  string
		then, says string
	}{
		{pipeline, "H", "v metric", "v", "a heat map needs two axes"},
		{pipeline, "A", "x axis", "x", "no axis of this run has two numbers"},
		{layers, "T", "M series", "M", "this run has no curves yet"},
	} {
		s := c.open(newScript(t, 240, 60, Options{})).keys(c.keys)
		if footer := footerOf(s); strings.Contains(footer, c.own) || !strings.Contains(footer, "esc table") {
			t.Errorf("%s: the footer is %s", c.keys, footer)
		}
		if s.keys(c.then); !strings.Contains(footerOf(s), c.says) {
			t.Errorf("%s%s: found %q, expected %q", c.keys, c.then, footerOf(s), c.says)
		}
	}
}

func footerOf(s *script) string {
	lines := strings.Split(s.screen(), "\n")
	return lines[len(lines)-1]
}
