package tui

import (
	"slices"

	"slimlab/lab"
	"slimlab/lab/sweep"
	"slimlab/tui/text"
)

// layout is the columns of the table behind the step, as a user chose them for a scenario. Columns
// that it does not name stand behind it as they are without a choice.
type layout []layoutColumn

type layoutColumn struct {
	id     columnID
	hidden bool
}

// candidates are the columns that a table can show behind the step, those of the scenario first: a
// measured metric that the scenario did not choose is hidden until a user shows it.
func (t *table) candidates(trend bool) layout {
	var all layout
	for _, c := range t.sweep.Columns()[1:] {
		all = append(all, layoutColumn{id: columnID{c.Kind, c.Key}})
	}
	if trend {
		all = append(all, layoutColumn{id: trendID})
	}
	for _, m := range lab.Metrics() {
		id := columnID{sweep.Metric, m.Key}
		if !all.has(id) && slices.ContainsFunc(t.view.Rows, func(r lab.TableRow) bool { _, ok := r.Values[m.Key]; return ok }) {
			all = append(all, layoutColumn{id, true})
		}
	}
	return all
}

func (l layout) has(id columnID) bool {
	return slices.ContainsFunc(l, func(c layoutColumn) bool { return c.id == id })
}

// merged is the layout of a user, completed by the candidates that it does not name.
func (l layout) merged(candidates layout) layout {
	var all layout
	for _, c := range l {
		if candidates.has(c.id) {
			all = append(all, c)
		}
	}
	for _, c := range candidates {
		if !all.has(c.id) {
			all = append(all, c)
		}
	}
	return all
}

// lay fills the columns that are shown.
func (t *table) lay(l layout) {
	trend := slices.ContainsFunc(t.view.Cells, func(c lab.CellView) bool { return len(c.Series) > 0 })
	t.shown = []tableColumn{{Column: t.sweep.Columns()[0]}}
	if l == nil { // without a look for metrics that nobody asked for
		for _, c := range t.sweep.Columns()[1:] {
			t.show(columnID{c.Kind, c.Key})
		}
		if trend {
			t.show(trendID)
		}
		return
	}
	for _, c := range l.merged(t.candidates(trend)) {
		if !c.hidden {
			t.show(c.id)
		}
	}
}

// show appends a column.
func (t *table) show(id columnID) {
	c := tableColumn{Column: t.column(id), trend: id == trendID}
	if c.Kind == sweep.Metric && !c.trend {
		c.metric = len(t.columns)
		t.columns = append(t.columns, metricColumn{Metric: c.Metric})
	}
	t.shown = append(t.shown, c)
}

// column is the column of an id, whether it is shown or not.
func (t *table) column(id columnID) sweep.Column {
	c := sweep.Column{Kind: id.kind, Key: id.key}
	switch id.kind {
	case sweep.Value:
		c.Axis = t.sweep.Axis(id.key)
	case sweep.Metric:
		c.Metric = metricOf(id.key)
	}
	return c
}

// chooseColumns lets a user show, hide and order the columns.
func (r *runScreen) chooseColumns() {
	c := &chooser{workbench: r.workbench, title: "Columns", about: "behind the step; kept for this scenario until the workbench ends"}
	var scenario string
	r.session.read(func(v *lab.View) {
		t := r.tableNow(v)
		scenario = v.Begin.Scenario
		candidates := t.candidates(slices.ContainsFunc(v.Cells, func(c lab.CellView) bool { return len(c.Series) > 0 }))
		c.initial = func() []choice { return choicesOf(candidates) }
		c.choices = choicesOf(r.layouts[scenario].merged(candidates))
	})
	c.take = func(choices []choice) {
		var l layout
		for _, one := range choices {
			l = append(l, layoutColumn{one.id, !one.on})
		}
		if slices.Equal(choices, c.initial()) {
			l = nil
		}
		if r.layouts == nil {
			r.layouts = map[string]layout{}
		}
		r.layouts[scenario], r.last = l, nil
		r.grid.Forget()
		r.groups.Forget()
	}
	r.push(c)
}

func choicesOf(l layout) []choice {
	var choices []choice
	for _, c := range l {
		one := choice{id: c.id, name: text.Clean(c.id.key), on: !c.hidden}
		switch {
		case c.id == trendID:
			one.about = "training loss in a few cells"
		case c.id.kind == sweep.Value:
			one.about = "axis of the sweep"
		case c.id.kind == sweep.State:
			one.about = "how far the row is"
		default:
			m := metricOf(c.id.key)
			one.about = m.Label + ": " + m.About
		}
		choices = append(choices, one)
	}
	return choices
}
