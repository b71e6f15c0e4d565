package chart

import (
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"slimlab/tui/text"
)

func curve(n int, f func(i int) float64) Line {
	var l Line
	for i := range n {
		l.Points = append(l.Points, Point{float64(i), f(i)})
	}
	return l
}

func plain(lines ...Line) *Chart {
	return &Chart{X: Axis{Title: "step"}, Lines: lines, Cursor: math.NaN()}
}

// topmost is the line of the picture that holds the highest pixel.
func topmost(lines []string) int {
	for i, line := range lines {
		_, area, _ := strings.Cut(strings.NewReplacer("┤", "│").Replace(line), "│")
		if strings.ContainsFunc(area, func(r rune) bool { return r > 0x2800 && r <= 0x28ff }) {
			return i
		}
	}
	return -1
}

// A spike of one point among a hundred thousand must be drawn at the top.
func TestSpikeSurvives(t *testing.T) {
	c := plain(curve(100_000, func(i int) float64 {
		if i == 31_417 {
			return 100
		}
		return 1
	}))
	lines := c.Render(60, 12)
	if top := topmost(lines); top != 0 {
		t.Errorf("the highest pixel is in line %d, expected 0:\n%s", top, strings.Join(lines, "\n"))
	}
}

func TestBreakLeavesAGap(t *testing.T) {
	whole := plain(curve(100, func(int) float64 { return 1 }))
	broken := plain(curve(100, func(i int) float64 {
		if i > 20 && i < 60 {
			return math.NaN()
		}
		return 1
	}))
	count := func(c *Chart) int {
		return strings.Count(strings.Join(c.Render(60, 12), ""), "⠒") + strings.Count(strings.Join(c.Render(60, 12), ""), "⠤") + strings.Count(strings.Join(c.Render(60, 12), ""), "⠉")
	}
	if a, b := count(whole), count(broken); b > a*7/10 || b < a/3 {
		t.Errorf("%d cells without and %d with a gap of 40%%", a, b)
	}
}

func TestLogarithmicAxisIsEven(t *testing.T) {
	s := newScale(true)
	s.include(1)
	s.include(10_000)
	for i, v := range []float64{1, 10, 100, 1000, 10_000} {
		if got, want := s.place(v), float64(i)/4; math.Abs(got-want) > 1e-12 {
			t.Errorf("place(%g) = %g, expected %g", v, got, want)
		}
	}
}

func TestTicksAreRoundAndWithin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newScale(rapid.Bool().Draw(t, "log"))
		a, b := rapid.Float64Range(1e-9, 1e9).Draw(t, "a"), rapid.Float64Range(1e-9, 1e9).Draw(t, "b")
		s.include(a)
		s.include(b)
		s.widen(0)
		n := rapid.IntRange(2, 12).Draw(t, "n")
		ticks := s.ticks(n)
		if len(ticks) > 2*n+4 {
			t.Fatalf("%d ticks, about %d asked for", len(ticks), n)
		}
		for i, v := range ticks {
			if v < s.low*(1-1e-9) || v > s.high*(1+1e-9) {
				t.Fatalf("tick %g outside of [%g, %g]", v, s.low, s.high)
			}
			if i > 0 && v <= ticks[i-1] {
				t.Fatalf("ticks %v do not ascend", ticks)
			}
		}
	})
}

// Whatever the values and the size: the asked number of lines, none wider, no panic.
func TestSizeIsExact(t *testing.T) {
	any := rapid.OneOf(rapid.Float64(), rapid.Float64Range(-5, 5), rapid.Just(math.NaN()), rapid.Just(math.Inf(1)), rapid.Just(0.0))
	rapid.Check(t, func(t *rapid.T) {
		width, height := rapid.IntRange(1, 250).Draw(t, "width"), rapid.IntRange(1, 80).Draw(t, "height")
		c := plain()
		c.X.Log, c.Y.Log, c.ASCII = rapid.Bool().Draw(t, "x"), rapid.Bool().Draw(t, "y"), rapid.Bool().Draw(t, "ascii")
		c.Cursor = any.Draw(t, "cursor")
		var names []string
		dots := Dots{X: c.X, Baseline: any.Draw(t, "baseline"), Selected: rapid.IntRange(0, 5).Draw(t, "dot"), Words: func(i int) (name, value string) { return names[i], "0.5" }}
		scatter := Scatter{X: c.X, Y: c.Y}
		for range rapid.IntRange(0, 4).Draw(t, "lines") {
			values := rapid.SliceOfN(any, 0, 40).Draw(t, "values")
			c.Lines = append(c.Lines, curve(len(values), func(i int) float64 { return values[i] }))
			name := text.Clean(rapid.String().Draw(t, "name"))
			names = append(names, name)
			m := Mark{X: any.Draw(t, "x"), Low: any.Draw(t, "low"), High: any.Draw(t, "high")}
			dots.Marks = append(dots.Marks, m)
			scatter.Spots = append(scatter.Spots, Spot{
				Name: name, X: m.X, Y: any.Draw(t, "y"), LowX: any.Draw(t, "low"), HighX: any.Draw(t, "high"), LowY: m.Low, HighY: m.High,
				Glyph: '●', Selected: rapid.Bool().Draw(t, "selected"),
			})
			Spark(values, width)
		}
		scatter.Lines, scatter.ASCII = c.Lines, c.ASCII
		if n := len(scatter.Spots); n > 0 {
			from := rapid.IntRange(0, n-1).Draw(t, "from")
			if at := scatter.Next(from, rapid.IntRange(-1, 1).Draw(t, "dx"), rapid.IntRange(-1, 1).Draw(t, "dy")); at < 0 || at >= n {
				t.Fatalf("the next of %d spots is %d", n, at)
			}
		}
		for what, lines := range map[string][]string{"chart": c.Render(width, height), "dots": dots.Render(width, height), "scatter": scatter.Render(width, height)} {
			if len(lines) != height {
				t.Fatalf("%s: %d lines, expected %d", what, len(lines), height)
			}
			for _, line := range lines {
				if w := text.Width(line); w > width {
					t.Fatalf("%s: line %q is %d wide, expected at most %d", what, line, w, width)
				}
			}
		}
	})
}

func TestPicture(t *testing.T) {
	c := plain(curve(200, func(i int) float64 { return math.Exp(-float64(i) / 40) }), curve(200, func(i int) float64 { return 0.5 }))
	c.Lines[1].Style = 1
	c.ASCII = true
	want := strings.Join([]string{
		"1.0┤*",
		"   │ **",
		"   │  ***",
		"0.5┤++++***++++++++++++++++++++++++++++++",
		"   │       ****",
		"   │          ***********",
		"0.0┤                    *****************",
		"   └0────────────────100──────────── step",
	}, "\n")
	got := strings.Join(c.Render(41, 8), "\n")
	if normal(got) != normal(want) {
		t.Errorf("got\n%s\nexpected\n%s", got, want)
	}
}

func normal(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

func BenchmarkChart(b *testing.B) {
	c := plain(curve(2000, func(i int) float64 { return math.Sin(float64(i) / 100) }))
	for b.Loop() {
		c.Render(180, 25)
	}
}

// Values at the ends of what is drawn leave a range that ends.
func TestLogRangesAreFinite(t *testing.T) {
	s := Scatter{X: Axis{Log: true}, Y: Axis{Log: true}}
	for _, v := range []float64{1 / extreme, 1, extreme} {
		s.Spots = append(s.Spots, Spot{X: v, Y: v, LowX: math.NaN(), HighX: math.Inf(1), LowY: 0, HighY: math.MaxFloat64, Glyph: '●'})
	}
	p := s.plane()
	for _, x := range []scale{p.x, p.y} {
		if !(x.low > 0) || math.IsInf(x.high, 0) || x.low > 1/extreme || x.high < extreme {
			t.Errorf("the range is [%g, %g]", x.low, x.high)
		}
	}
	if lines := s.Render(80, 20); len(lines) != 20 {
		t.Errorf("%d lines", len(lines))
	}
}

// A line is drawn in the pixel columns that its sample in a legend shows.
func TestSampleIsTheLine(t *testing.T) {
	for style := range 8 {
		for x, r := range []rune(Sample(style, false)) {
			// the third pixel on the left and on the right
			for half, dot := range []rune{0x04, 0x20} {
				if sample, drawn := r > 0x2800 && r&dot != 0, dashed(style, 2*x+half); sample != drawn {
					t.Errorf("style %d, column %d: %v in the sample, %v in the chart", style, 2*x+half, sample, drawn)
				}
			}
		}
	}
}

// The cursor is a line through the chart where no curve is, at its place.
func TestCursorIsDrawn(t *testing.T) {
	for _, at := range []float64{0, 50, 100} {
		c := plain(curve(101, func(int) float64 { return 1 }))
		c.Cursor = at
		lines := c.Render(60, 9)
		seen := 0
		for _, line := range lines {
			_, area, found := strings.Cut(strings.NewReplacer("┤", "│").Replace(line), "│")
			if !found {
				continue
			}
			if i := strings.Index(area, "┊"); i >= 0 {
				seen++
				if place, want := float64(len([]rune(area[:i])))/float64(len([]rune(area))-1), at/100; math.Abs(place-want) > 0.05 {
					t.Errorf("the cursor at %g of 100 is drawn at %.2f of the width", at, place)
				}
			}
		}
		if seen != len(lines)-2 { // one is the curve's, one the axis
			t.Errorf("the cursor at %g is in %d of %d lines:\n%s", at, seen, len(lines), strings.Join(lines, "\n"))
		}
	}
}

// A logarithmic axis is widened only where its values cannot be told apart.
func TestNarrowLogAxisStays(t *testing.T) {
	for high, widened := range map[float64]bool{1: true, 1 + 1e-12: true, 1 + 1e-6: false, 1.005: false, 3: false} {
		s := newScale(true)
		s.include(1)
		s.include(high)
		if s.widen(0); (s.low != 1 || s.high != high) != widened {
			t.Errorf("1 to %v is drawn as %v to %v", high, s.low, s.high)
		}
	}
}

// Ticks of logarithmic axes are 1, 2, 5, else 1, 3, else powers of ten, as many as fit.
func TestLogTicks(t *testing.T) {
	for n, want := range map[int][]float64{8: {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000}, 7: {1, 3, 10, 30, 100, 300, 1000}, 5: {1, 3, 10, 30, 100, 300, 1000}, 4: {1, 10, 100, 1000}, 2: {1, 10, 100, 1000}, 1: {1, 100}} {
		s := newScale(true)
		s.include(1)
		s.include(1000)
		if got := s.ticks(n); !slices.EqualFunc(got, want, func(a, b float64) bool { return math.Abs(a/b-1) < 1e-12 }) {
			t.Errorf("about %d: %v, expected %v", n, got, want)
		}
	}
}

// Dots fill their height: as many marks as there are lines above the axis, the selected one among
// them, and the axis in the last line but blank ones.
func TestDotsFillTheirHeight(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, height := rapid.IntRange(1, 12).Draw(t, "marks"), rapid.IntRange(2, 12).Draw(t, "height")
		selected := rapid.IntRange(0, n-1).Draw(t, "selected")
		d := Dots{Baseline: math.NaN(), Selected: selected, Words: func(i int) (name, value string) { return string(rune('a' + i)), "x" }}
		for i := range n {
			d.Marks = append(d.Marks, Mark{X: float64(i), Low: math.NaN(), High: math.NaN()})
		}
		lines := d.Render(60, height)
		marks := 0
		for i, line := range lines {
			if !strings.Contains(line, " │") {
				break
			}
			marks++
			if first := max(0, selected-height+2); !strings.Contains(line, string(rune('a'+first+i))) || strings.HasPrefix(line, "▌") != (first+i == selected) {
				t.Fatalf("line %d of a chart with mark %d selected is %q", i, selected, line)
			}
		}
		if want := min(n, height-1); marks != want || strings.TrimSpace(lines[want]) == "" {
			t.Fatalf("%d marks of %d in %d lines:\n%s", marks, n, height, strings.Join(lines, "\n"))
		}
	})
}

// TestRangesHold: values that a range is to include are in it, and move no curve out of it; they do
// not make a picture where there is no curve, and have no place on an axis that cannot hold them.
func TestRangesHold(t *testing.T) {
	shares := func() *Chart { return plain(curve(50, func(i int) float64 { return 0.9 + 0.001*float64(i%2) })) }
	c := shares()
	if top := topmost(c.Render(60, 12)); top > 6 { // over its own range it fills the picture
		t.Fatalf("the curve begins in line %d", top)
	}
	c.Y.Holds = []float64{0, 1, math.NaN()}
	lines := c.Render(60, 12)
	if !strings.Contains(lines[10], "0.0┤") || !strings.Contains(lines[0], "1.0┤") || topmost(lines) != 1 {
		t.Errorf("the range is not 0 to 1:\n%s", strings.Join(lines, "\n"))
	}
	c.Y.Log = true
	if lines := c.Render(60, 12); strings.Contains(strings.Join(lines, "\n"), "too small") || topmost(lines) < 0 {
		t.Errorf("no picture on a logarithmic axis:\n%s", strings.Join(lines, "\n"))
	}
	none := plain()
	none.Y.Holds = []float64{0, 1}
	if lines := none.Render(60, 12); !strings.Contains(strings.Join(lines, "\n"), "no points yet") {
		t.Errorf("without a curve:\n%s", strings.Join(lines, "\n"))
	}
}

// TestBoundsAreDrawn: a bound is a vertical line where no curve is; one at an end of the range, or
// out of it, is none.
func TestBoundsAreDrawn(t *testing.T) {
	c := plain(curve(100, func(i int) float64 { return float64(i % 10) }))
	c.Bounds = []float64{0, 50, 99, 500, math.NaN()}
	if lines := c.Render(60, 12); strings.Count(strings.Join(lines, ""), "╎") == 0 || strings.Count(lines[0], "╎") > 1 {
		t.Errorf("bounds:\n%s", strings.Join(lines, "\n"))
	}
	c.Bounds = []float64{0, 99}
	if lines := c.Render(60, 12); strings.Contains(strings.Join(lines, ""), "╎") {
		t.Errorf("bounds at the ends:\n%s", strings.Join(lines, "\n"))
	}
}
