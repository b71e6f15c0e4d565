package tui

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"slimlab/tui/text"
)

func (r *runScreen) curvesKeys() []binding {
	return []binding{
		r.smoothKey("w smooth"),
		{keys: []string{"s"}, footer: "s stages", help: "a chart for each kind of curve, with all stages one after the other on one axis; again: a chart for each series", do: act(r.turnStages)},
		{keys: []string{"left", "<"}, shown: "← <", footer: "← → stage", help: "the stage before alone, or all", when: r.inStages, do: act(func() { r.nextStage(-1) })},
		{keys: []string{"right", ">"}, shown: "→ >", help: "the next stage alone, or all", when: r.inStages, do: act(func() { r.nextStage(1) })},
		{keys: []string{"M"}, footer: "M series", help: "show or hide a series", do: act(r.pickSeries)},
		{keys: []string{"l"}, footer: "l log", help: "axes: linear, log y, log x, log-log", do: act(r.turnAxes)},
		{keys: []string{"a"}, footer: "a colour", help: "tell the curves apart by the next axis, or by step", when: func() bool { return !r.inStages() }, why: func() string { return "stages are told apart: s shows a chart for each series" }, do: act(r.turnColour)},
	}
}

// pickSeries offers all series, to show or hide one.
func (r *runScreen) pickSeries() {
	var names, abouts []string
	var shown []string
	r.look(func(t *table) { names, shown = seriesNames(t.view), r.shownSeries(t) })
	if len(names) == 0 {
		r.say("this run has no curves yet")
		return
	}
	for _, name := range names {
		about := "hidden"
		if slices.Contains(shown, name) {
			about = "shown"
		}
		abouts = append(abouts, about)
	}
	p := &picker{workbench: r.workbench, title: "Show or hide a series"}
	p.entries = append(p.entries, entry{"all", "every series of the marked rows, or of all", act(func() { r.curves.picked = nil })})
	for i, name := range names {
		p.entries = append(p.entries, entry{text.Cut(text.Clean(name), 60), abouts[i], act(func() {
			r.curves.picked = slices.Clone(shown)
			if at := slices.Index(shown, name); at >= 0 {
				r.curves.picked = slices.Delete(r.curves.picked, at, at+1)
			} else {
				r.curves.picked = append(r.curves.picked, name)
			}
		})})
	}
	r.push(p)
}

// shownSeries are the series that have a chart, in order of appearance.
func (r *runScreen) shownSeries(t *table) []string {
	names := seriesNames(t.view)
	if len(r.curves.picked) > 0 {
		return slices.DeleteFunc(names, func(name string) bool { return !slices.Contains(r.curves.picked, name) })
	}
	if len(r.marks) == 0 {
		return names
	}
	marked := slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		step := stepOf(t, name)
		return !slices.ContainsFunc(r.curveRows(t), func(i int) bool { return t.sweep.Rows[i].Name == step })
	})
	if len(marked) == 0 {
		return names
	}
	return marked
}

// The smallest chart of small multiples.
const (
	multipleWidth  = 38
	multipleHeight = 8
)

// curvesLines draws the view: a chart for each series, or for each kind of curve with all stages,
// as many as fit.
func (r *runScreen) curvesLines(t *table, width, height int) []string {
	names := r.shownSeries(t)
	if len(names) == 0 {
		return []string{r.chartHeading("training curves", "", width), "", "  no curves yet: no step of this run has trained"}
	}
	pictures := r.seriesPictures(t, names)
	if r.curves.stages {
		pictures = r.stagePictures(t, names)
	}
	across, down := multiples(len(pictures), width, height-1)
	room := across * down
	r.curves.first = max(0, min(r.curves.first, len(pictures)-room))
	seen := pictures[r.curves.first:min(len(pictures), r.curves.first+room)]
	lines := []string{r.multiplesLine(t, names, len(seen), len(pictures), width)}
	each := (height - 1) / down
	for from := 0; from < len(seen); from += across {
		block := make([]string, each)
		for n := range across {
			w := (width - (across - 1)) / across
			if n == across-1 {
				w = width - n*(w+1)
			}
			var cell []string
			if from+n < len(seen) {
				one := seen[from+n]
				cell = r.curveChart(one.title, one.curves(), each, w, math.NaN())
			}
			for i := range block {
				line := ""
				if i < len(cell) {
					line = cell[i]
				}
				block[i] += text.Fit(line, w)
				if n < across-1 {
					block[i] += " "
				}
			}
		}
		lines = append(lines, block...)
	}
	return lines
}

// picture is one of small multiples; its curves are found where it is seen.
type picture struct {
	title  string
	curves func() curves
}

// seriesPictures are a chart for each series.
func (r *runScreen) seriesPictures(t *table, names []string) []picture {
	list := make([]picture, len(names))
	for i, name := range names {
		list[i] = picture{name, func() curves { return r.curvesNamed(t, []string{name}, true) }}
	}
	return list
}

// multiples is how n charts are laid out: as few columns as let all of them be seen.
func multiples(n, width, height int) (across, down int) {
	most := max(1, height/multipleHeight)
	across = 1
	for across < max(1, width/multipleWidth) && (across*most < n || across*across < n) {
		across++
	}
	return across, max(1, min(most, (n+across-1)/across))
}

// multiplesLine says which charts are seen, and of which rows.
func (r *runScreen) multiplesLine(t *table, names []string, seen, all, width int) string {
	what := "series"
	if r.curves.stages {
		what = "charts"
	}
	parts := []string{fmt.Sprintf("%d %s", all, what)}
	if seen < all {
		parts = []string{fmt.Sprintf("%s %d–%d of %d (↑↓)", what, r.curves.first+1, r.curves.first+seen, all)}
	}
	if others := len(seriesNames(t.view)) - len(names); others > 0 {
		parts = append(parts, fmt.Sprintf("%d hidden (M)", others))
	}
	switch {
	case len(r.curveRows(t)) < len(r.seen):
		parts = append(parts, "of the marked rows")
	case r.line.String() != "":
		parts = append(parts, "of the rows that meet the filter")
	}
	if r.curves.stages {
		line := r.theme.dim.On(" "+strings.Join(parts, " · ")+" · ") + r.stagesLegend(t, names)
		return text.Fit(line, width)
	}
	if len(t.sweep.Axes) > 0 {
		by := "the axis that differs"
		if r.colour != "" {
			by = text.Clean(r.colour)
		}
		parts = append(parts, "colour: "+by+" (a)")
	}
	return r.theme.dim.On(text.Fit(" "+strings.Join(parts, " · "), width))
}
