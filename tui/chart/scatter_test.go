package chart

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"slimlab/tui/text"
)

func spots(t *rapid.T) *Scatter {
	s := &Scatter{X: Axis{Log: rapid.Bool().Draw(t, "log x")}, Y: Axis{Log: rapid.Bool().Draw(t, "log y")}}
	for i := range rapid.IntRange(1, 12).Draw(t, "n") {
		s.Spots = append(s.Spots, Spot{
			ID: 100 + i, X: rapid.Float64Range(0.1, 50).Draw(t, "x"), Y: rapid.Float64Range(0.1, 50).Draw(t, "y"),
			LowX: math.NaN(), HighX: math.NaN(), LowY: math.NaN(), HighY: math.NaN(), Glyph: 'A' + rune(i),
		})
	}
	return s
}

// TestNextLiesInTheDirection: a step goes that way or nowhere, and nowhere only at the border.
func TestNextLiesInTheDirection(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := spots(t)
		from := rapid.IntRange(0, len(s.Spots)-1).Draw(t, "from")
		for _, d := range [][2]int{{1, 0}, {-1, 0}, {0, 1}, {0, -1}} {
			along := func(i int) float64 { return float64(d[0])*s.Spots[i].X + float64(d[1])*s.Spots[i].Y }
			next := s.Next(from, d[0], d[1])
			if next != from && along(next) <= along(from) {
				t.Fatalf("%v from %v goes to %v", d, s.Spots[from], s.Spots[next])
			}
			for i := range s.Spots {
				if next == from && along(i) > along(from)+1e-6 {
					t.Fatalf("%v from %v goes nowhere, beside %v", d, s.Spots[from], s.Spots[i])
				}
			}
		}
	})
}

// TestHitFindsWhatIsDrawn: a click on a point takes it.
func TestHitFindsWhatIsDrawn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := spots(t)
		width, height := rapid.IntRange(24, 120).Draw(t, "width"), rapid.IntRange(4, 40).Draw(t, "height")
		lines := s.Render(width, height)
		for y, line := range lines[:height-1] {
			_, area, _ := strings.Cut(strings.NewReplacer("┤", "│").Replace(line), "│")
			gutter := text.Width(line) - text.Width(area)
			for x, r := range []rune(area) {
				if r < 'A' || r > 'L' {
					continue
				}
				if id, ok := s.Hit(width, height, gutter+x, y); !ok || id != 100+int(r-'A') {
					t.Fatalf("a click on %c at %d, %d takes %d (%t)", r, gutter+x, y, id, ok)
				}
			}
		}
	})
}

// TestPointsAreSeen: bars and names cover no point, and the cursor stands around its own.
func TestPointsAreSeen(t *testing.T) {
	s := &Scatter{Spots: []Spot{
		{X: 1, Y: 1, LowY: 0, HighY: 3, LowX: 0.5, HighX: 2, Glyph: 'A', Name: "first"},
		{X: 1, Y: 2, LowY: math.NaN(), HighY: math.NaN(), LowX: 0, HighX: 3, Glyph: 'B', Name: "second", Selected: true},
		{X: 2.5, Y: 2, LowY: math.NaN(), HighY: math.NaN(), LowX: math.NaN(), HighX: math.NaN(), Glyph: 'C'},
	}}
	picture := strings.Join(s.Render(60, 14), "\n")
	for _, part := range []string{"A", "[B]", "C", "first", "second", "┬", "┴", "─"} {
		if !strings.Contains(picture, part) {
			t.Errorf("%s is not seen in\n%s", part, picture)
		}
	}
}
