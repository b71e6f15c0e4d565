package report

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"slimlab/internal/visible"
	"slimlab/lab"
)

// curveLine is one curve's beginning and end in all cells that have it.
type curveLine struct {
	name        string
	first, last []float64 // by cell
	step        int       // of the last point, the highest of all cells
}

// curveLines lists the curves of a run by name, in order of appearance.
func curveLines(v *lab.View) []curveLine {
	var lines []curveLine
	for i := range v.Cells {
		for j := range v.Cells[i].Series {
			s := &v.Cells[i].Series[j]
			points := s.Points()
			if len(points) == 0 {
				continue
			}
			at := slices.IndexFunc(lines, func(l curveLine) bool { return l.name == s.Name })
			if at < 0 {
				at = len(lines)
				lines = append(lines, curveLine{name: s.Name})
			}
			l := &lines[at]
			l.first, l.last, l.step = append(l.first, points[0].Value), append(l.last, s.Last.Value), max(l.step, s.Last.Step)
		}
	}
	return lines
}

// text writes the curve's first value and its last: "2.31 → 1.02 at step 60". Those of several
// cells are ranges.
func (l *curveLine) text() string {
	text := fmt.Sprintf("%s → %s", l.span(l.first), l.span(l.last))
	if noun := lab.CurveOf(l.name).Noun; noun != "" {
		text += " " + noun
	}
	text += fmt.Sprintf(" at step %d", l.step)
	if n := len(l.last); n > 1 {
		text += fmt.Sprintf(", %d cells", n)
	}
	return text
}

// span writes the range of values, or the value that all have.
func (l *curveLine) span(values []float64) string {
	finite := slices.DeleteFunc(slices.Clone(values), func(x float64) bool { return math.IsNaN(x) || math.IsInf(x, 0) })
	if len(finite) < len(values) {
		return "not finite"
	}
	scale := CurveScale(l.name, lab.Nats, finite...)
	low, high := scale.Format(slices.Min(finite)), scale.Format(slices.Max(finite))
	if low == high {
		return low
	}
	return low + " to " + high
}

// CurveScale chooses how values of a series are written: shares in per cent, lengths as counts,
// others in a unit.
func CurveScale(series string, others lab.Unit, values ...float64) Scale {
	switch kind := lab.CurveOf(series); {
	case kind.Share:
		s := Scale{Suffix: "%", divisor: 0.01}
		for _, x := range values {
			if x *= 100; math.Abs(x-math.Round(x)) > 1e-9 { // false for what is not finite
				s.decimals = 1
			}
		}
		return s
	case kind.Noun != "":
		return ScaleOf(lab.Count, values...)
	}
	return ScaleOf(others, values...)
}

// writeCurves adds the section of the curves, if there are any.
func writeCurves(b *strings.Builder, v *lab.View) {
	lines := curveLines(v)
	widest := 0
	for _, l := range lines {
		widest = max(widest, len(visible.Line(l.name)))
	}
	if len(lines) > 0 {
		b.WriteString("\ncurves\n")
	}
	for _, l := range lines {
		fmt.Fprintf(b, "  %-*s  %s\n", widest, visible.Line(l.name), l.text())
	}
}

type jsonCurve struct {
	Cell   string       `json:"cell"`
	Name   string       `json:"name"`
	Steps  []int        `json:"steps"`
	Values []lab.Number `json:"values"`
}

// newJSONCurves lists the points of all curves, of long ones those that a chart shows.
func newJSONCurves(v *lab.View) []jsonCurve {
	curves := []jsonCurve{}
	for i := range v.Cells {
		c := &v.Cells[i]
		for j := range c.Series {
			one := jsonCurve{Cell: c.ID, Name: c.Series[j].Name, Steps: []int{}, Values: []lab.Number{}}
			for _, p := range c.Series[j].Points() {
				one.Steps, one.Values = append(one.Steps, p.Step), append(one.Values, lab.Number(p.Value))
			}
			curves = append(curves, one)
		}
	}
	return curves
}
