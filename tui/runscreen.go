package tui

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"slimlab/lab"
	"slimlab/lab/report"
	"slimlab/tui/grid"
	"slimlab/tui/text"
)

// runScreen is the Run screen: a run's table over a chart, and the detail of one row.
type runScreen struct {
	session *session
	grid    grid.Grid
	order   []int // the rows that are shown, of View.Rows, in their order
	row     int   // under the cursor, of View.Rows: it stays when rows are sorted or filtered
	marks   map[int]bool

	sorted     int // column + 1; 0: the run's own order
	descending bool
	filter     filter
	line       input
	isTyped    bool  // the filter line is typed
	wrong      error // why what is typed is no filter yet

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

// show turns to another session; the layout stays, what belongs to the rows does not.
func (r *runScreen) show(s *session) {
	*r = runScreen{session: s, split: r.split, intervals: r.intervals, logX: r.logX, logY: r.logY, marks: map[int]bool{}, inspect: -1}
}

// columns of the table: the label, the state, the metrics, the trend of the loss.
const (
	columnLabel = iota
	columnState
	columnMetrics
)

// table is what one frame or one key needs of the view: columns with their scales, and the order of
// rows.
type table struct {
	view    *lab.View
	metrics []lab.Metric
	scales  []report.Scale
	best    []float64
	now     float64
}

func (m *model) table(v *lab.View) *table {
	t := &table{view: v, metrics: v.Columns(), now: v.Time}
	for _, metric := range t.metrics {
		best := math.NaN()
		values := make([]float64, 0, len(v.Rows))
		for i := range v.Rows {
			s, ok := v.Rows[i].Metric(metric.Key)
			if !ok {
				continue
			}
			values = append(values, s.Value)
			if math.IsNaN(best) || metric.Better == lab.Higher && s.Value > best || metric.Better == lab.Lower && s.Value < best {
				best = s.Value
			}
		}
		if metric.Better == lab.Neither || len(values) < 2 {
			best = math.NaN()
		}
		t.scales = append(t.scales, report.ScaleOf(metric.Unit, values...))
		t.best = append(t.best, best)
	}
	return t
}

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
	case c-columnMetrics < len(t.metrics):
		key := t.metrics[c-columnMetrics].Key
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

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}

// runLines draws the Run screen.
func (m *model) runLines(width, height int) []string {
	r := &m.run
	if r.session == nil {
		return centred([]string{
			"No run is open.",
			"",
			"Choose a scenario on the Bench (1) and run it with r, or Q for its quick version;",
			"or open a past run there with enter.",
		}, width, height)
	}
	var lines []string
	r.session.read(func(v *lab.View) {
		if !v.Begun {
			lines = centred([]string{"The run has not begun yet."}, width, height)
			return
		}
		t := m.table(v)
		r.arrange(t)
		lines = append(lines, m.statusLine(v, width))
		if r.detail && len(r.order) > 0 {
			lines = append(lines, m.detailLines(t, width, height-1)...)
			return
		}
		lines = append(lines, m.tableAndChart(t, width, height-1)...)
	})
	return lines
}

// tableAndChart shares the height: the table takes no more than it has rows, the chart no less than
// it can use.
func (m *model) tableAndChart(t *table, width, height int) []string {
	r := &m.run
	rows := max(3, height*r.split/100)
	rows = min(rows, len(r.order)+2) // head, rows, explanation
	rows = max(rows, 3)
	if height-rows < 6 {
		rows = height
	}
	m.fillGrid(t, width)
	lines := r.grid.Render(width, rows-1)
	if len(r.order) == 0 && len(lines) > 1 {
		lines[1] = text.Fit("  no row meets the filter; esc clears it", width)
	}
	lines = append(lines, m.explain(t, width))
	if height > rows {
		lines = append(lines, m.chartLines(t, height-rows, width)...)
	}
	return lines
}

// fillGrid gives the grid what it needs of this view.
func (m *model) fillGrid(t *table, width int) {
	r := &m.run
	columns := []grid.Column{{Title: "step"}, {Title: "state"}}
	for _, metric := range t.metrics {
		columns = append(columns, grid.Column{Title: metric.Label, Right: true})
	}
	trend := false
	for i := range t.view.Cells {
		trend = trend || len(t.view.Cells[i].Series) > 0
	}
	if trend {
		columns = append(columns, grid.Column{Title: "loss curve"})
	}
	if len(columns) != len(r.grid.Columns) || t.view.State != r.drawn {
		r.grid.Forget() // what a running row has to say is longer than what it says in the end
	}
	r.drawn = t.view.State
	r.grid.Columns, r.grid.Paints = columns, m.theme.grid()
	r.grid.Sorted, r.grid.Descending = r.sorted, r.descending
	r.grid.Marked = func(row int) bool { return r.marks[r.order[row]] }
	r.grid.At = func(row, column int) grid.Cell { return m.cell(t, &t.view.Rows[r.order[row]], column) }
}

func (m *model) cell(t *table, row *lab.TableRow, column int) grid.Cell {
	switch {
	case column == columnLabel:
		return grid.Cell{Text: text.Clean(row.Label())}
	case column == columnState:
		glyph, word, paint := m.rowState(t.view, row)
		return grid.Cell{Text: glyph + " " + word, Paint: paint}
	case column-columnMetrics < len(t.metrics):
		return m.metricCell(t, row, column-columnMetrics)
	}
	return grid.Cell{Text: trend(t.view, row), Paint: m.theme.dim}
}

func (m *model) metricCell(t *table, row *lab.TableRow, i int) grid.Cell {
	s, ok := row.Metric(t.metrics[i].Key)
	if !ok {
		missing := report.Missing
		if row.State == lab.Waiting || row.State == lab.Running {
			missing = "·"
		}
		return grid.Cell{Text: missing, Paint: m.theme.dim}
	}
	c := grid.Cell{Text: t.scales[i].Format(s.Value)}
	if half := s.HalfWidth(); m.run.intervals && half > 0 {
		c.Text += " " + t.scales[i].Width(half)
	}
	if len(s.Warnings) > 0 {
		c.Mark = "*"
	}
	if s.Value == t.best[i] {
		c.Paint = m.theme.bold
	}
	return c
}

// halfWidth is the longer side of an interval, 0 when there is none.
func halfWidth(s lab.Summary) float64 {
	if !s.Interval {
		return 0
	}
	return max(s.High-s.Value, s.Value-s.Low)
}

// rowState says how far a row is: the share of the step that is being worked on, and how many seeds
// have reported.
func (m *model) rowState(v *lab.View, row *lab.TableRow) (glyph, word string, p text.Paint) {
	glyph, p = m.theme.state(row.State)
	word = row.State.String()
	seeds := fmt.Sprintf("%d/%d seeds", row.Done, row.Of)
	if row.State != lab.Running {
		if row.Done > 0 && row.Done < row.Of {
			word += " " + seeds
		}
		return glyph, word, p
	}
	for _, id := range row.Cells {
		c := v.Cell(id)
		if c == nil || c.State != lab.Running || c.Stage != row.Name {
			continue
		}
		if c.Total > 0 {
			word += fmt.Sprintf(" %d%%", 100*c.Step/c.Total)
		} else if n := len(c.Stages); n > 0 && c.Stages[n-1].Text != "" {
			word += " " + text.Cut(text.Clean(c.Stages[n-1].Text), 12)
		}
		if row.Done > 0 {
			word += fmt.Sprintf(" %d/%d", row.Done, row.Of)
		}
		return glyph, word, p
	}
	return "◌", seeds, m.theme.dim // nobody is at it: other seeds will come to it
}

// trend is the row's training loss in a few cells.
func trend(v *lab.View, row *lab.TableRow) string {
	for _, id := range row.Cells {
		c := v.Cell(id)
		if c == nil {
			continue
		}
		if s := c.Find(row.Name + lossSuffix); s != nil {
			return sparkline(s)
		}
	}
	return ""
}

// explain says what stands under the cursors: the metric, the value with its interval, and what to
// warning.
func (m *model) explain(t *table, width int) string {
	r := &m.run
	i := r.grid.Column - columnMetrics
	if len(r.order) == 0 || r.grid.Row >= len(r.order) {
		return text.Blank(width)
	}
	row := &t.view.Rows[r.order[r.grid.Row]]
	if i < 0 || i >= len(t.metrics) {
		return m.theme.dim.On(text.Fit("  "+rowsSeen(&r.grid)+m.stepText(t.view, row), width))
	}
	metric := t.metrics[i]
	parts := []string{"  " + rowsSeen(&r.grid) + metric.Key}
	if s, ok := row.Metric(metric.Key); ok {
		value := t.scales[i].Format(s.Value)
		if s.Interval {
			value += fmt.Sprintf(" [%s, %s]", t.scales[i].Format(s.Low), t.scales[i].Format(s.High))
		}
		parts[0] += " = " + value
		if len(s.Warnings) > 0 {
			parts = append(parts, "* "+text.Clean(strings.Join(s.Warnings, "; ")))
		}
	}
	about := metric.About
	switch metric.Better {
	case lab.Higher:
		about += " (more is better)"
	case lab.Lower:
		about += " (less is better)"
	}
	parts = append(parts, about)
	return m.theme.dim.On(text.Fit(strings.Join(parts, " · "), width))
}

// rowsSeen says which rows are seen, when not all are.
func rowsSeen(g *grid.Grid) string {
	from, to := g.Seen()
	if from == 0 && to == g.Rows {
		return ""
	}
	return fmt.Sprintf("rows %d–%d of %d · ", from+1, to, g.Rows)
}

// stepText is what a row's stage said of itself last.
func (m *model) stepText(v *lab.View, row *lab.TableRow) string {
	parts := []string{row.Label()}
	for _, id := range row.Cells {
		c := v.Cell(id)
		if c == nil {
			continue
		}
		for _, s := range c.Stages {
			if s.Name == row.Name {
				parts = append(parts, m.stageText(v, c, s))
			}
		}
	}
	if len(parts) == 1 {
		parts = append(parts, "not begun")
	}
	return text.Clean(strings.Join(parts, " · "))
}

func (m *model) stageText(v *lab.View, c *lab.CellView, s lab.StageView) string {
	end := s.Ended
	if end == 0 {
		end = v.Time
	}
	out := fmt.Sprintf("seed %d: %s %s", c.Seed, s.State, report.Duration(max(0, end-s.Started)))
	if s.Total > 0 && s.State == lab.Running {
		out += fmt.Sprintf(" (%d of %d)", s.Step, s.Total)
	}
	if s.Text != "" && s.State != lab.Done { // what a finished step was at last is no news
		out += ", " + s.Text
	}
	return out
}

func centred(lines []string, width, height int) []string {
	out := make([]string, height)
	top := max(0, (height-len(lines))/2)
	for i, line := range lines {
		if top+i < height {
			out[top+i] = text.Blank((width-text.Width(line))/2) + line
		}
	}
	return out
}
