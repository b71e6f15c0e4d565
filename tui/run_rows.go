package tui

import (
	"fmt"
	"slices"

	"slimlab/lab"
	"slimlab/lab/report"
	"slimlab/lab/sweep"
	"slimlab/tui/grid"
)

// runScreen is the Run screen: a run's table over a chart, and the detail of one row.
type runScreen struct {
	*workbench
	grid   grid.Grid
	order  []int // the rows that are shown, of View.Rows, in their order; of folded ones one
	seen   []int // the same rows, as places in the sweep's table; replaced, never changed
	row    int   // under the cursor, of View.Rows: it stays when rows are sorted or filtered
	marks  map[int]bool
	marked int // how often that has changed by hand

	sorted     columnID // zero: the run's own order
	descending bool
	filter     sweep.Filter
	line       input
	wrong      error // why the typed text is no filter yet

	layouts  map[string]layout // of the columns, by scenario
	all      bool              // rows that differ in no axis stand each for itself
	last     *table            // of the last frame
	lastAll  bool              // whether it was of all rows
	arranged arrangement
	ordered  int // how often the rows were arranged: what is made of them is kept until then

	by     []columnID // what the rows are grouped by; none: they are not
	within []string   // the values of the group that is open; nil: none is
	groups grid.Grid  // of the groups
	means  *sweep.Groups
	// of the groups; zero: by what they are grouped by
	groupSorted     columnID
	groupDescending bool
	aggregates      sweep.Choice // of the groups' columns
	narrow          bool         // no spreads beside them

	version   uint64    // of the board, in the last picture
	drawn     lab.State // of the run, in the last table
	intervals bool
	split     int // height of the table, per cent
	chart     chartChoice
	dots      dots // of a metric's chart
	logX      bool
	logY      bool
	runViews

	tokens  *tokensPane // above the screen; nil: it is not open
	detail  bool
	metrics grid.Grid // of the detail
	model   shownModel
	scroll  int // first line seen of the page beside the metrics
	curve   chartChoice
	// where values are read off a curve, in 1/40 of its width from the right; -1: nowhere
	inspect int
}

const inspectSteps = 40

// forget turns to another run: the layout stays, what belongs to the rows does not.
func (r *runScreen) forget() {
	*r = runScreen{workbench: r.workbench, split: r.split, intervals: r.intervals, logX: r.logX, logY: r.logY, marks: map[int]bool{}, inspect: -1, layouts: r.layouts, runViews: runViews{curves: curvesView{smooth: r.curves.smooth}}}
}

// chartKind is what the chart below the table shows.
type chartKind int

const (
	// the training loss of the marked rows, of the step in progress, or of the row under the cursor
	chartAuto   chartKind = iota
	chartSeries           // one series by its name
	chartMetric           // one metric of all rows
	chartTrade            // two metrics and their front
	chartStages           // of the detail: a curve of the row's trainings, one after the other
)

type chartChoice struct {
	kind chartKind
	name string // series or metric key
}

// table is what frames and keys need of the view, computed once until its rows change.
type table struct {
	view    *lab.View
	changed int // View.RowsChanged
	sweep   *sweep.Table
	columns []metricColumn
	shown   []tableColumn   // of the grid, in order
	place   []int           // of each row of the view, in sweep.Rows
	series  map[string]bool // that a cell has; nil: not looked for
}

// metricColumn is a metric with its scale and its best value, which are found when a cell of it is
// drawn.
type metricColumn struct {
	lab.Metric
	of *report.Column // nil: not yet
}

// metric is a column of the table, of t.columns.
func (t *table) metric(i int) *report.Column {
	c := &t.columns[i]
	if c.of == nil {
		of := report.ColumnOf(c.Metric, t.sweep)
		c.of = &of
	}
	return c.of
}

// hasSeries reports whether a cell has a curve.
func (t *table) hasSeries(name string) bool {
	if t.series == nil {
		t.series = map[string]bool{}
		for i := range t.view.Cells {
			for j := range t.view.Cells[i].Series {
				t.series[t.view.Cells[i].Series[j].Name] = true
			}
		}
	}
	return t.series[name]
}

// tableColumn is a column of the grid.
type tableColumn struct {
	sweep.Column
	metric int  // of table.columns, of a metric
	trend  bool // the training loss in a few cells, and nothing of the Column
}

func newTable(v *lab.View, s *sweep.Table) *table {
	t := &table{view: v, sweep: s, place: make([]int, len(v.Rows))}
	for i := range s.Rows {
		for _, same := range s.Rows[i].Same {
			t.place[same] = i
		}
	}
	return t
}

// row is a row of the view, by its place there.
func (t *table) row(i int) *sweep.Row { return &t.sweep.Rows[t.place[i]] }

// columnID names a column of the grid, whatever its place: an axis may be called like a metric.
type columnID struct {
	kind sweep.Kind
	key  string
}

func (c *tableColumn) id() columnID { return columnID{c.Kind, c.Key} }

// trendID is the column of the training loss, which is no metric.
var trendID = columnID{sweep.Metric, trendTitle}

// tableNow is the table of what is shown now, from the last frame where nothing has changed since.
// It must be called while the session is read, which keeps the version as it is.
func (r *runScreen) tableNow(v *lab.View) *table {
	last := r.last
	same := last != nil && last.view == v && r.lastAll == r.unfolded()
	if same && last.changed == v.RowsChanged {
		return last
	}
	if same && last.sweep.Renew() {
		r.last = &table{view: v, sweep: last.sweep, place: last.place}
	} else {
		arrange := sweep.Of
		if r.unfolded() {
			arrange = sweep.All
		}
		r.last = newTable(v, arrange(v))
	}
	r.last.lay(r.layouts[v.Begin.Scenario])
	r.last.changed, r.lastAll, r.arranged = v.RowsChanged, r.unfolded(), arrangement{}
	return r.last
}

// unfolded reports whether rows that differ in no axis stand each for itself: in the table, and not
// in what is made of its rows, where a measurement counts once.
func (r *runScreen) unfolded() bool { return r.all && r.view == viewTable && len(r.by) == 0 }

// arrangement is what the order of the rows depends on beside the table.
type arrangement struct {
	filter     string
	sorted     columnID
	descending bool
	by, within string

	groupSorted     columnID
	groupDescending bool
	aggregates      string
	done            bool
}

// arrange filters and sorts the rows and puts the cursor on its row.
func (r *runScreen) arrange(t *table) {
	now := arrangement{
		filter: r.filter.String(), sorted: r.sorted, descending: r.descending, by: fmt.Sprint(r.by), within: fmt.Sprintf("%q", r.within),
		groupSorted: r.groupSorted, groupDescending: r.groupDescending, aggregates: r.aggregates.String(), done: true,
	}
	if now != r.arranged {
		if now.filter != r.arranged.filter {
			r.groups.Forget() // other rows have other means
		}
		r.arranged = now
		r.reorder(t)
		r.stay(t)
	}
	r.grid.Rows = len(r.order)
	if at := slices.Index(r.order, r.row); at >= 0 {
		r.grid.Row = at
	} else {
		r.grid.Move(0)
		r.keepRow()
	}
}

func (r *runScreen) reorder(t *table) {
	rows := t.sweep.Keep(r.filter)
	switch {
	case r.within != nil:
		rows = slices.DeleteFunc(rows, func(i int) bool { return !r.keepsGroup(t, &t.sweep.Rows[i]) })
	case len(r.by) > 0:
		r.groupRows(t, rows)
	}
	if r.sorted != (columnID{}) {
		t.sweep.Sort(rows, sweep.Order{Column: t.column(r.sorted), Descending: r.descending})
	}
	r.seen, r.ordered = rows, r.ordered+1
	r.order = r.order[:0]
	for _, i := range rows {
		r.order = append(r.order, t.sweep.Rows[i].Index)
	}
}

// stay keeps cursor and marks on their rows where another of the folded ones is shown now.
func (r *runScreen) stay(t *table) {
	if r.row < len(t.place) {
		r.row = t.row(r.row).Index
	}
	marks := map[int]bool{}
	for i := range r.marks {
		if i < len(t.place) {
			marks[t.row(i).Index] = true
		}
	}
	r.marks = marks
}

// keepRow remembers which row the cursor is on.
func (r *runScreen) keepRow() {
	if r.grid.Row < len(r.order) {
		r.row = r.order[r.grid.Row]
	}
}
