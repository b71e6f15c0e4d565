package tui

import (
	"cmp"
	"math"
	"slices"

	"slimlab/lab"
	"slimlab/lab/report"
	"slimlab/tui/grid"
)

// runScreen is the Run screen: a run's table over a chart, and the detail of one row.
type runScreen struct {
	*workbench
	grid  grid.Grid
	order []int // the rows that are shown, of View.Rows, in their order
	row   int   // under the cursor, of View.Rows: it stays when rows are sorted or filtered
	marks map[int]bool

	sorted     int // column + 1; 0: the run's own order
	descending bool
	filter     filter
	line       input
	wrong      error // why the typed text is no filter yet

	version   uint64    // of the board, in the last picture
	drawn     lab.State // of the run, in the last table
	intervals bool
	split     int // height of the table, per cent
	chart     chartChoice
	logX      bool
	logY      bool

	detail  bool
	metrics grid.Grid // of the detail
	curve   chartChoice
	// where values are read off a curve, in 1/40 of its width from the right; -1: nowhere
	inspect int
}

const inspectSteps = 40

// forget turns to another run: the layout stays, what belongs to the rows does not.
func (r *runScreen) forget() {
	*r = runScreen{workbench: r.workbench, split: r.split, intervals: r.intervals, logX: r.logX, logY: r.logY, marks: map[int]bool{}, inspect: -1}
}

// chartKind is what the chart below the table shows.
type chartKind int

const (
	// the training loss of the marked rows, of the step in progress, or of the row under the cursor
	chartAuto   chartKind = iota
	chartSeries           // one series by its name
	chartMetric           // one metric of all rows
	chartTrade            // quality against bytes
)

type chartChoice struct {
	kind chartKind
	name string // series or metric key
}

// columns of the table: the label, the state, the metrics, the trend of the loss.
const (
	columnLabel = iota
	columnState
	columnMetrics
)

// table is what one frame or one key needs of the view.
type table struct {
	view    *lab.View
	columns []report.Column
}

func newTable(v *lab.View) *table { return &table{view: v, columns: report.Columns(v)} }

// arrange filters and sorts the rows and puts the cursor on its row.
func (r *runScreen) arrange(t *table) {
	r.order = r.order[:0]
	for i := range t.view.Rows {
		if r.filter.keeps(&t.view.Rows[i]) {
			r.order = append(r.order, i)
		}
	}
	if r.sorted > 0 {
		slices.SortStableFunc(r.order, func(a, b int) int { return r.compare(t, a, b) })
	}
	r.grid.Rows = len(r.order)
	if at := slices.Index(r.order, r.row); at >= 0 {
		r.grid.Row = at
	} else {
		r.grid.Move(0)
		r.keepRow()
	}
}

// keepRow remembers which row the cursor is on.
func (r *runScreen) keepRow() {
	if r.grid.Row < len(r.order) {
		r.row = r.order[r.grid.Row]
	}
}

// compare orders two rows by the sorted column; what was not measured comes last in either
// direction.
func (r *runScreen) compare(t *table, a, b int) int {
	sign := 1
	if r.descending {
		sign = -1
	}
	ra, rb := &t.view.Rows[a], &t.view.Rows[b]
	switch c := r.sorted - 1; {
	case c == columnLabel:
		return sign * cmp.Compare(ra.Label(), rb.Label())
	case c == columnState:
		return sign * cmp.Compare(ra.State, rb.State)
	case c-columnMetrics < len(t.columns):
		key := t.columns[c-columnMetrics].Metric.Key
		sa, hasA := ra.Metric(key)
		sb, hasB := rb.Metric(key)
		hasA, hasB = hasA && !math.IsNaN(sa.Value), hasB && !math.IsNaN(sb.Value)
		if !hasA || !hasB {
			return cmp.Compare(number(!hasA), number(!hasB))
		}
		return sign * cmp.Compare(sa.Value, sb.Value)
	}
	return 0
}
