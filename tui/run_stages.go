package tui

import (
	"fmt"
	"slices"
	"strings"

	"slimlab/lab"
	"slimlab/tui/chart"
	"slimlab/tui/text"
)

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
		for _, series := range lab.CurveKeys() {
			if set := r.stageCurves(v, &v.Rows[r.row], series); len(set.shown) > 0 {
				entries = append(entries, entry{series + " by stage", "all trainings of the model, one after the other: " + stageNames(set), act(func() { r.curve = chartChoice{chartStages, series} })})
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

// trained are the stages of which series are shown, in the order in which they are worked on.
func trained(t *table, names []string) []string {
	has := map[string]bool{}
	for _, name := range names {
		has[stepOf(t, name)] = true
	}
	var stages []string
	for _, step := range t.view.Begin.Rows {
		if has[step] && !slices.Contains(stages, step) {
			stages = append(stages, step)
		}
	}
	return stages
}

// curveKinds are the kinds of curves that series are of: "loss" of "distilled.loss".
func curveKinds(t *table, names []string) []string {
	var others []string
	has := map[string]bool{}
	for _, name := range names {
		step := stepOf(t, name)
		if step == "" {
			continue
		}
		key := strings.TrimPrefix(name, step+".")
		if !has[key] && !slices.Contains(lab.CurveKeys(), key) {
			others = append(others, key)
		}
		has[key] = true
	}
	kinds := slices.DeleteFunc(lab.CurveKeys(), func(key string) bool { return !has[key] })
	return append(kinds, others...)
}

// stagePictures are a chart for each kind of curve: all stages one after the other on one axis, or
// the chosen one alone. Stages of all charts begin at the same steps.
func (r *runScreen) stagePictures(t *table, names []string) []picture {
	stages, kinds := trained(t, names), curveKinds(t, names)
	alone := slices.Index(stages, r.curves.stage)
	begins := r.stageBegins(t, names, stages)
	var list []picture
	for _, kind := range kinds {
		one := picture{kind, func() curves {
			var out curves
			several := false
			for i, stage := range stages {
				if name := stage + "." + kind; slices.Contains(names, name) && (alone < 0 || alone == i) {
					of := r.curvesNamed(t, []string{name}, true)
					out.join(of, stage, i, begins[i])
					several = several || len(of.shown) > 1
				}
			}
			for i := range out.shown {
				if one := &out.shown[i]; several {
					one.group, one.axis = one.name, "stage"
				}
				if alone < 0 {
					out.shown[i].total = begins[len(stages)]
				} else if !several {
					out.shown[i].name = "" // the title says it
				}
			}
			return out
		}}
		if alone >= 0 {
			one.title = stages[alone] + "." + kind
			if !slices.Contains(names, one.title) {
				continue
			}
			begins[alone] = 0
		}
		list = append(list, one)
	}
	return list
}

// stageBegins are the steps after which stages begin where they stand one after the other, and
// those of all stages.
func (r *runScreen) stageBegins(t *table, names, stages []string) []float64 {
	begins, at := make([]float64, len(stages)+1), 0.0
	for i, stage := range stages {
		begins[i] = at
		last := 0
		for _, name := range names {
			if strings.HasPrefix(name, stage+".") && stepOf(t, name) == stage {
				for _, c := range r.curvesNamed(t, []string{name}, true).shown {
					last = max(last, c.series.Last.Step)
				}
			}
		}
		at += float64(last)
	}
	begins[len(stages)] = at
	return begins
}

// join adds the curves of a stage in the style of its place.
func (c *curves) join(of curves, stage string, place int, from float64) {
	for _, one := range of.shown {
		one.style, one.from, one.staged = place, from, true
		one.name, one.group, one.axis = text.Cut(text.Clean(stage), axisValueWidth), "", ""
		c.shown = append(c.shown, one)
	}
	c.hidden += of.hidden
}

// stagesLegend names the stages in their styles, and which one is seen.
func (r *runScreen) stagesLegend(t *table, names []string) string {
	stages := trained(t, names)
	parts := []string{r.theme.dim.On("stages one after the other:")}
	alone := slices.Contains(stages, r.curves.stage)
	if alone {
		parts[0] = r.theme.dim.On("one stage alone:")
	}
	for i, stage := range stages {
		name := text.Cut(text.Clean(stage), axisValueWidth)
		if alone && stage == r.curves.stage {
			name = r.theme.bold.On("[" + name + "]")
		}
		parts = append(parts, r.theme.line(i).On(chart.Sample(i, r.theme.ascii))+" "+name)
	}
	return strings.Join(parts, "  ")
}

// inStages reports whether charts have a curve of every stage.
func (r *runScreen) inStages() bool { return r.curves.stages }

func (r *runScreen) turnStages() {
	r.curves.stages, r.curves.stage, r.curves.first = !r.curves.stages, "", 0
}

// nextStage shows the next stage alone; behind the last one and before the first all are shown.
func (r *runScreen) nextStage(by int) {
	r.look(func(t *table) {
		stages := trained(t, r.shownSeries(t))
		at := slices.Index(stages, r.curves.stage) + 1 // 0: all
		at = (at + by + len(stages) + 1) % (len(stages) + 1)
		r.curves.stage, r.curves.first = "", 0
		if at > 0 {
			r.curves.stage = stages[at-1]
		}
	})
}

// stageSeries are the series of the stage that is seen alone.
func (r *runScreen) stageSeries(t *table) (names []string) {
	if !r.curves.stages || r.curves.stage == "" {
		return nil
	}
	for _, name := range r.shownSeries(t) {
		if stepOf(t, name) == r.curves.stage {
			names = append(names, name)
		}
	}
	return names
}

// curveAbout says what a series is.
func curveAbout(series string) string {
	kind := lab.CurveOf(series)
	switch {
	case kind.About == "":
		return "curve over steps"
	case kind.Share:
		return kind.About + ", in % over steps"
	case kind.Noun != "":
		return kind.About + ", in " + kind.Noun + " over steps"
	}
	return kind.About + ", over steps"
}
