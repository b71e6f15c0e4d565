package tui

import (
	"strings"
	"testing"
)

// TestStarsHaveALegend: where a value has a star the line below the table says what it means, with
// the column cursor on the step; on the value it says why. Without stars there is no legend.
func TestStarsHaveALegend(t *testing.T) {
	const legend = "* take with care: > to it says why"
	for _, width := range []int{80, 120, 200} {
		s := newScript(t, width, 30, Options{}).keys("jjjj<enter>")
		stars := strings.Contains(strings.ReplaceAll(s.screen(), legend, ""), "*")
		if stars != strings.Contains(s.screen(), legend) {
			t.Errorf("width %d: stars %v, and the legend does not agree:\n%s", width, stars, s.screen())
		}
	}
	s := newScript(t, 120, 30, Options{}).keys("jjjj<enter>").expect(legend)
	for range 12 {
		if s.keys(">"); strings.Contains(s.screen(), " · * ") {
			s.expectNot(legend)
			return
		}
	}
	t.Error("no value says why it has a star")
}
