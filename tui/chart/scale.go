package chart

import (
	"math"
	"strconv"
	"strings"

	"slimlab/tui/text"
)

// scale maps values to [0, 1].
type scale struct {
	log       bool
	low, high float64
}

func newScale(log bool) scale { return scale{log: log, low: math.Inf(1), high: math.Inf(-1)} }

// reserved is the share of an axis that stays free at both ends.
const reserved = 0.03

// extreme bounds what is drawn, so that no range overflows or underflows.
const extreme = 1e300

// holds says whether a value has a place on the axis.
func (s *scale) holds(v float64) bool {
	return math.Abs(v) <= extreme && (!s.log || v >= 1/extreme) // false for NaN
}

func (s *scale) include(v float64) { s.low, s.high = min(s.low, v), max(s.high, v) }

func (s *scale) includeAll(values []float64) {
	for _, v := range values {
		if s.holds(v) {
			s.include(v)
		}
	}
}

// widen makes room where the range has no width, and reserves a share of it at both ends of a
// linear axis.
func (s *scale) widen(reserve float64) {
	if s.low > s.high {
		s.low, s.high = 1, 2
	}
	if s.log {
		if s.high/s.low < 1+1e-9 {
			s.low, s.high = s.low/2, s.high*2
		}
		return
	}
	span := s.high - s.low
	if span <= 1e-9*max(math.Abs(s.low), math.Abs(s.high)) || span == 0 {
		half := max(math.Abs(s.low)*0.01, 1e-6)
		s.low, s.high = s.low-half, s.high+half
		return
	}
	s.low, s.high = s.low-span*reserve, s.high+span*reserve
}

func (s *scale) place(v float64) float64 {
	if s.log {
		return (math.Log(v) - math.Log(s.low)) / (math.Log(s.high) - math.Log(s.low))
	}
	return (v - s.low) / (s.high - s.low)
}

// pixel is place over n pixels, clamped.
func (s *scale) pixel(v float64, n int) int {
	return max(0, min(n-1, int(math.Round(s.place(v)*float64(n-1)))))
}

// ticks returns about n round values within the range.
func (s *scale) ticks(n int) []float64 {
	if s.log && s.high/s.low >= 5 {
		for _, steps := range [][]float64{{1, 2, 5}, {1, 3}, {1}} {
			if t := s.decades(steps, 1); len(t) <= n+2 {
				return t
			}
		}
		for every := 2; ; every *= 2 {
			if t := s.decades([]float64{1}, every); len(t) <= n+2 {
				return t
			}
		}
	}
	step := niceStep((s.high - s.low) / float64(n))
	var out []float64
	for k := math.Ceil(s.low / step); k*step <= s.high && len(out) <= 4*n; k++ {
		out = append(out, k*step+0) // +0 turns −0 into 0
	}
	return out
}

func (s *scale) decades(steps []float64, every int) []float64 {
	var out []float64
	from := math.Floor(math.Log10(s.low))
	for e := from; e <= math.Ceil(math.Log10(s.high)); e++ {
		if int(e-from)%every != 0 {
			continue
		}
		for _, k := range steps {
			if v := k * math.Pow(10, e); v >= s.low && v <= s.high {
				out = append(out, v)
			}
		}
	}
	return out
}

// niceStep rounds up to 1, 2 or 5 times a power of ten.
func niceStep(raw float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, k := range []float64{1, 2, 5} {
		if raw <= k*power*(1+1e-9) {
			return k * power
		}
	}
	return 10 * power
}

// labels writes ticks: by the axis' own scale, else as numbers with enough decimals to distinguish
// them.
func (a Axis) labels(ticks []float64) []string {
	format := plainFormat(ticks, a.Log)
	if a.Scale != nil {
		format = a.Scale(ticks)
	}
	out := make([]string, len(ticks))
	for i, t := range ticks {
		out[i] = format(t)
	}
	return out
}

func plainFormat(ticks []float64, log bool) func(float64) string {
	large, step := 0.0, math.Inf(1)
	for i, t := range ticks {
		large = max(large, math.Abs(t))
		if i > 0 {
			step = min(step, t-ticks[i-1])
		}
	}
	decimals := -int(math.Floor(math.Log10(step) + 1e-9))
	if log || len(ticks) < 2 || large >= 1e7 || decimals > 6 {
		return func(x float64) string { return strconv.FormatFloat(x, 'g', 4, 64) }
	}
	return func(x float64) string { return strconv.FormatFloat(x, 'f', max(0, decimals), 64) }
}

// yLabels writes the ticks and finds the width of the widest. Neighbours that would read the same
// lose their label.
func yLabels(ticks []float64, axis Axis) (labels []string, width int) {
	labels = axis.labels(ticks)
	for i, label := range labels {
		if i > 0 && label == labels[i-1] {
			labels[i-1] = ""
		}
		width = max(width, text.Width(label))
	}
	return labels, width
}

// xAxis draws the line below the area with its ticks in it, and the title at its end.
func xAxis(x scale, axis Axis, gutter, columns int) string {
	line := []string{}
	for range columns {
		line = append(line, "─")
	}
	room := columns
	if axis.Title != "" && text.Width(axis.Title)+12 < columns {
		room -= text.Width(axis.Title) + 1
	}
	free := 0
	ticks := x.ticks(max(2, room/14))
	for i, label := range axis.labels(ticks) {
		t := ticks[i]
		from := x.pixel(t, columns) - text.Width(label)/2
		from = max(from, 0)
		if from < free || from+text.Width(label) > room {
			continue
		}
		for j, r := range []rune(label) {
			line[from+j] = string(r)
		}
		free = from + text.Width(label) + 2
	}
	if room < columns {
		for i, r := range []rune(" " + axis.Title) {
			line[room+i] = string(r)
		}
	}
	return text.Blank(gutter) + "└" + strings.Join(line, "")
}
