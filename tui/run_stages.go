package tui

import (
	"fmt"
	"slices"
	"strings"

	"slimlab/lab"
	"slimlab/tui/text"
)

// stagedSeries are the curves that stages have in common.
var stagedSeries = []string{"loss", "divergence", "validation"}

// stageCurves are the curves of a series of the steps that trained a row's model, one after the
// other on one axis: the second begins where the first ends. None where fewer than two have it.
func (r *runScreen) stageCurves(v *lab.View, row *lab.TableRow, series string) curves {
	var out curves
	from, stages := 0.0, 0
	for _, stage := range r.model.Stages {
		last := 0
		for _, id := range row.Cells {
			c := v.Cell(id)
			if c == nil {
				continue
			}
			s := c.Find(stage + "." + series)
			if s == nil {
				continue
			}
			one := curve{name: text.Clean(stage), series: s, style: stages, from: from, staged: true}
			if len(row.Cells) > 1 {
				one.group, one.axis = stage, "stage"
			}
			out.shown = append(out.shown, one)
			last = max(last, s.Last.Step)
		}
		if last > 0 {
			from, stages = from+float64(last), stages+1
		}
	}
	if stages < 2 {
		return curves{}
	}
	return out
}

// stageEntries offer the curves of which a row's model has several stages.
func (r *runScreen) stageEntries() []entry {
	var entries []entry
	r.session.read(func(v *lab.View) {
		if r.row >= len(v.Rows) {
			return
		}
		for _, series := range stagedSeries {
			if set := r.stageCurves(v, &v.Rows[r.row], series); len(set.shown) > 0 {
				entries = append(entries, entry{series + " by stage", "one after the other: " + stageNames(set), act(func() { r.curve = chartChoice{chartStages, series} })})
			}
		}
	})
	return entries
}

// stageNames lists the stages of curves: "distilled | healed".
func stageNames(set curves) string {
	var names []string
	for _, c := range set.shown {
		name := c.name
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, " | ")
}

// detailTitle names what the chart of the detail shows.
func (r *runScreen) detailTitle(v *lab.View, row *lab.TableRow, set curves) string {
	if r.curve.kind == chartStages && len(set.shown) > 0 && set.shown[0].staged {
		return fmt.Sprintf("%s by stage: %s", r.curve.name, stageNames(set))
	}
	return r.detailSeries(v, row)
}
