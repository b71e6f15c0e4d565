package tui

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"slimlab/internal/plural"
	"slimlab/lab"
	"slimlab/lab/report"
	"slimlab/lab/sweep"
	"slimlab/tui/grid"
	"slimlab/tui/text"
)

// grouping reports whether groups are shown in place of rows.
func (r *runScreen) grouping() bool { return len(r.by) > 0 && r.within == nil && !r.detail }

// groupFooter names the key in the footer of a sweep, where it matters.
func (r *runScreen) groupFooter() string {
	if r.last == nil || len(r.last.sweep.Axes) == 0 {
		return ""
	}
	return "g group"
}

// groupKeys are the keys of the table of groups.
func (r *runScreen) groupKeys() []binding {
	column := func(n int) func() { return func() { r.groups.MoveColumn(n) } }
	return append([]binding{
		{keys: []string{"enter"}, footer: "enter rows", help: "the rows of the group", when: func() bool { return r.groups.Rows > 0 }, do: act(r.openGroup)},
		r.samplesKey(),
		{keys: []string{"g"}, footer: "g group", help: "choose what the rows are grouped by: step, axes", do: act(r.chooseGroups)},
		{keys: []string{"<", "left"}, help: "column cursor left (also ←)", do: act(column(-1))},
		{keys: []string{">", "right"}, footer: "< > column", help: "column cursor right (also →)", do: act(column(1))},
		{keys: []string{"s"}, footer: "s sort", help: "sort the groups by the column under the cursor; again: the other way round", do: act(r.sortGroups)},
		aggregateKey("choose what the column under the cursor shows of a group: mean, median, best, last, min, max, n; on another column, what all show", r.chooseGroupAggregate),
		{keys: []string{"i"}, help: "show or hide the spread (low–high) of the rows beside means and medians", do: act(func() {
			r.narrow = !r.narrow
			r.groups.Forget()
		})},
		{keys: []string{"z"}, help: "unsort: in the order of what they are grouped by", when: func() bool { return r.groupSorted != columnID{} }, do: act(func() { r.groupSorted = columnID{} })},
		{keys: []string{"/"}, footer: "/ filter", help: "filter the rows before they are grouped: " + sweep.FilterSyntax, do: act(r.typeFilter)},
		{keys: []string{"esc"}, help: "clear the filter; without one: rows in place of groups", do: act(func() {
			if r.line.String() != "" {
				r.clearFilter()
			} else {
				r.by = nil
			}
		})},
	}, r.chartKeys()...)
}

// chooseGroups asks what the rows are grouped by. The column under the cursor is proposed where it
// is an axis.
func (r *runScreen) chooseGroups() {
	c := &chooser{workbench: r.workbench, title: "Group the rows by", about: "the first taken orders the groups; with none taken, rows are shown"}
	by := r.by
	r.session.read(func(v *lab.View) {
		t := r.tableNow(v)
		if at := r.grid.Column; len(by) == 0 && at < len(t.shown) && t.shown[at].Kind == sweep.Value {
			by = []columnID{t.shown[at].id()}
		}
		all := []columnID{{sweep.Step, "step"}}
		for i := range t.sweep.Axes {
			all = append(all, columnID{sweep.Value, t.sweep.Axes[i].Key})
		}
		for _, id := range slices.Concat(by, all) {
			if !slices.ContainsFunc(c.choices, func(c choice) bool { return c.id == id }) {
				c.choices = append(c.choices, choice{id: id, name: text.Clean(id.key), about: aboutGrouping(t, id), on: slices.Contains(by, id)})
			}
		}
	})
	c.take = func(choices []choice) {
		r.by, r.within, r.groupSorted = nil, nil, columnID{}
		for _, one := range choices {
			if one.on {
				r.by = append(r.by, one.id)
			}
		}
		r.groups.Forget()
		r.groups.Row, r.groups.Column, r.arranged = 0, 0, arrangement{}
	}
	r.push(c)
}

func aboutGrouping(t *table, id columnID) string {
	if id.kind == sweep.Step {
		return "what the pipeline does"
	}
	return "axis: " + text.Clean(strings.Join(t.sweep.Axes[t.sweep.Axis(id.key)].Values, ", "))
}

// groupRows computes the groups of the rows that the filter keeps.
func (r *runScreen) groupRows(t *table, rows []int) {
	var by []sweep.Column
	for _, id := range r.by {
		by = append(by, t.column(id))
	}
	var metrics []lab.Metric
	for i := range t.columns {
		metrics = append(metrics, t.columns[i].Metric)
	}
	var orders []sweep.Order
	if r.groupSorted != (columnID{}) {
		orders = append(orders, sweep.Order{Column: t.column(r.groupSorted), Descending: r.groupDescending})
	}
	r.means = t.sweep.Only(rows).GroupBy(by, metrics, r.aggregates, orders...)
	r.groups.Rows = len(r.means.Groups)
}

// keepsGroup reports whether a row is of the group that is open.
func (r *runScreen) keepsGroup(t *table, row *sweep.Row) bool {
	for i, id := range r.by {
		value := row.Name
		if id.kind == sweep.Value {
			value = t.sweep.Value(row, t.sweep.Axis(id.key))
		}
		if value != r.within[i] {
			return false
		}
	}
	return true
}

// whereWithin is a filter line that keeps the rows of the group that is open, if one is.
func (r *runScreen) whereWithin(line string) string {
	if r.within == nil {
		return line
	}
	var conditions []string
	for i, id := range r.by {
		if value := r.within[i]; id.kind == sweep.Value && value == "" {
			conditions = append(conditions, sweep.Lacks(id.key))
		} else {
			conditions = append(conditions, sweep.Equals(id.key, value))
		}
	}
	return sweep.Narrow(line, strings.Join(conditions, " "))
}

func (r *runScreen) openGroup() {
	if r.groups.Row >= len(r.means.Groups) {
		return
	}
	// other columns may have been chosen in a window too small to show the groups
	if values := r.means.Groups[r.groups.Row].Values; len(values) == len(r.by) {
		r.within, r.grid.Row = values, 0
	}
}

// groupName names a group: "ratio=0.25 loss=fkl"; an axis on which its rows do not depend is "any".
func (r *runScreen) groupName(values []string) string {
	var words []string
	for i, id := range r.by {
		value := values[i]
		if value == "" {
			value = report.AnyValue
		}
		words = append(words, id.key+"="+value)
	}
	return text.Clean(strings.Join(words, " "))
}

// The columns of the table of groups: what they are grouped by, n, the best row, the metrics.
func (r *runScreen) groupColumn(column int) (metric int, id columnID) {
	switch {
	case column < len(r.by):
		return -1, r.by[column]
	case column >= len(r.by)+2 && column-len(r.by)-2 < len(r.means.Metrics):
		metric = column - len(r.by) - 2
		return metric, columnID{sweep.Metric, r.means.Metrics[metric].Key}
	}
	return -1, columnID{}
}

// chooseGroupAggregate chooses what the column under the cursor shows; on a column that is no
// metric's, what all columns do.
func (r *runScreen) chooseGroupAggregate() {
	r.look(func(*table) {})
	metric, _ := r.groupColumn(r.groups.Column)
	if metric < 0 {
		r.chooseAggregate("Every column shows of a group", lab.Metric{Better: lab.Higher}, func(a sweep.Aggregate) {
			r.aggregates = sweep.Choice{All: a}
			r.groups.Forget()
		})
		return
	}
	m := r.means.Metrics[metric]
	r.chooseAggregate(m.Label+" shows of a group", m, func(a sweep.Aggregate) {
		only := maps.Clone(r.aggregates.Only)
		if only == nil {
			only = map[string]sweep.Aggregate{}
		}
		only[m.Key] = a
		r.aggregates.Only = only
		r.groups.Forget()
	})
}

func (r *runScreen) sortGroups() {
	_, id := r.groupColumn(r.groups.Column)
	switch {
	case id == columnID{}:
		r.say("groups are sorted by what they are grouped by and by metrics; move the column cursor with < and >")
	case r.groupSorted == id:
		r.groupDescending = !r.groupDescending
	default:
		r.groupSorted, r.groupDescending = id, false
	}
}

// groupLines draws the groups, what is under the cursors, and the chart of their rows.
func (r *runScreen) groupLines(t *table, width, height int) []string {
	rows := max(3, min(max(3, height*r.split/100), len(r.means.Groups)+2))
	if height-rows < 6 {
		rows = height
	}
	r.fillGroups(t)
	lines := r.groups.Render(width, rows-1)
	if len(r.means.Groups) == 0 && len(lines) > 1 {
		lines[1] = text.Fit("  no row meets the filter; esc clears it", width)
	}
	line := "  " + rowsSeen(&r.groups)
	if value, ok := r.explainGroup(); ok {
		line = text.Fit(line+value, width)
	} else {
		line = withLegend(line+strings.Join(report.GroupNotes(r.means), " · "), &r.groups, width)
	}
	lines = append(lines, r.theme.dim.On(line))
	// below the status line
	r.gridTakesMouse(&r.groups, 1, width, rows-1, gridActions{sort: r.sortGroups, open: pressEnter})
	return append(lines, r.chartBelow(t, rows, width, height)...)
}

func (r *runScreen) fillGroups(t *table) {
	g := &r.groups
	g.Columns = nil
	for _, id := range r.by {
		g.Columns = append(g.Columns, grid.Column{Title: text.Cut(text.Clean(id.key), axisTitleWidth), Right: id.kind == sweep.Value && t.sweep.Axes[t.sweep.Axis(id.key)].Numbers != nil})
	}
	best := "best"
	if r.means.BestBy != nil {
		best += " " + r.means.BestBy.Label
	}
	g.Columns = append(g.Columns, grid.Column{Title: "n", Right: true}, grid.Column{Title: best})
	columns := report.GroupColumns(r.means)
	for _, c := range columns {
		g.Columns = append(g.Columns, grid.Column{Title: c.Metric.Label, Right: true})
	}
	g.Sorted, g.Descending, g.Paints, g.Frozen = 0, r.groupDescending, r.theme.grid(), len(r.by)
	for i := range g.Columns {
		if _, id := r.groupColumn(i); id == r.groupSorted && id != (columnID{}) {
			g.Sorted = i + 1
		}
	}
	g.At = func(row, column int) grid.Cell { return r.groupCell(columns, row, column) }
}

func (r *runScreen) groupCell(columns []report.GroupColumn, row, column int) grid.Cell {
	one := &r.means.Groups[row]
	metric, _ := r.groupColumn(column)
	switch {
	case column < len(r.by):
		if one.Values[column] == "" {
			return grid.Cell{Text: report.AnyValue, Paint: r.theme.dim}
		}
		return grid.Cell{Text: text.Cut(text.Clean(one.Values[column]), axisValueWidth)}
	case column == len(r.by):
		return grid.Cell{Text: strconv.Itoa(len(one.Rows))}
	case metric < 0:
		return grid.Cell{Text: text.Cut(text.Clean(report.BestRow(r.means, one)), 2*axisValueWidth)}
	}
	value := columns[metric].Cell(one)
	cell := grid.Cell{Text: value.Value, Mark: warningMark(value.Warnings)}
	if value.Interval != "" && !r.narrow {
		cell.Text += " " + value.Interval
	}
	if value.Best {
		cell.Paint = r.theme.bold
	}
	return cell
}

// explainGroup says what a metric comes to in the group under the cursors, if they are on one.
func (r *runScreen) explainGroup() (said string, ok bool) {
	metric, _ := r.groupColumn(r.groups.Column)
	if metric < 0 || r.groups.Row >= len(r.means.Groups) {
		return "", false
	}
	one, m := &r.means.Groups[r.groups.Row], r.means.Metrics[metric]
	total, a := one.Totals[metric], r.means.Choice.Of(m.Key)
	said = a.String() + " " + m.Key + " of " + r.groupName(one.Values)
	switch {
	case total.N == 0:
		return m.Key + " of " + r.groupName(one.Values) + ": not measured", true
	case !has(m, a):
		return said + ": neither more nor less is better (B)", true
	}
	scale := report.ScaleOf(report.Aggregated(m, a).Unit, total.Value)
	said += " = " + scale.Format(total.Value)
	if total.Row >= 0 && total.N > 1 {
		said += ", of " + text.Clean(r.means.Rest(&r.means.Table.Rows[total.Row]))
	}
	if total.N > 1 && a != sweep.Count {
		said += fmt.Sprintf(" (low %s, high %s)", scale.Format(total.Low), scale.Format(total.High))
	}
	return fmt.Sprintf("%s over %d of %s · %s", said, total.N, plural.Of(len(one.Rows), "row"), sweep.SpreadMeaning), true
}
