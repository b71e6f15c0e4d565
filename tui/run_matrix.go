package tui

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"slimlab/lab"
	"slimlab/lab/report"
	"slimlab/tui/text"
)

// matrixView is the heat map of a matrix that a step has reported: what each layer loses by each
// choice.
type matrixView struct {
	id          lab.MatrixID // zero: the first
	cell        string       // of the run; empty: that of the row under the cursor, else the first
	row, column int          // under the cursor; the row as the matrix has it, however it is sorted
	sorted      int          // column and one; 0: in the matrix's own order
	ascending   bool
	numbers     numbersChoice
	scale       shadesChoice
	made        matrixChart // of the last frame
}

// numbersChoice is whether cells have their numbers: where that leaves all columns in the window,
// or as the user chose.
type numbersChoice uint8

const (
	numbersAuto numbersChoice = iota
	numbersAlways
	numbersNever
	numbersChoices // their number
)

// shadesChoice is how shades go from the lowest value to the highest: as the values ask for it, or
// as the user chose.
type shadesChoice uint8

const (
	shadesAuto shadesChoice = iota
	shadesLinear
	shadesLog
	shadesChoices // their number
)

// matrixChart is what was computed of a matrix for the heat map.
type matrixChart struct {
	of        *lab.Matrix // never changed
	kind      lab.MatrixKind
	sorted    int
	ascending bool
	order     []int // rows from the top
	scale     report.MatrixScale
	number    int  // cells that the widest number takes
	brief     int  // and the widest in a digit or two
	wrong     int  // values that are not finite
	wants     bool // shades by the logarithm: the values ask for it
}

// matrixNow is the matrix that is shown, with its cell; nil where the run has none.
func (r *runScreen) matrixNow(v *lab.View) (cell string, m *lab.MatrixView) {
	ids := v.MatrixIDs()
	if len(ids) == 0 {
		return "", nil
	}
	id := r.matrix.id
	if !slices.Contains(ids, id) {
		id = ids[0]
	}
	if c := v.Cell(r.matrix.cell); c != nil {
		if m = c.Matrix(id); m != nil {
			return c.ID, m
		}
	}
	if r.row < len(v.Rows) {
		for _, cell := range v.Rows[r.row].Cells {
			if c := v.Cell(cell); c != nil && c.Matrix(id) != nil {
				return cell, c.Matrix(id)
			}
		}
	}
	for i := range v.Cells {
		if m = v.Cells[i].Matrix(id); m != nil {
			return v.Cells[i].ID, m
		}
	}
	return "", nil
}

// matrixOf computes what is drawn of a matrix, or takes it from the last frame, and keeps the
// cursor on its cells.
func (r *runScreen) matrixOf(m *lab.MatrixView) *matrixChart {
	v := &r.matrix
	v.row, v.column = max(0, min(v.row, m.Rows-1)), max(0, min(v.column, m.Columns-1))
	if v.sorted > m.Columns {
		v.sorted = 0
	}
	c := &v.made
	if c.of != m.Matrix {
		*c = matrixChart{of: m.Matrix, kind: lab.MatrixOf(m.Name), sorted: -1, scale: report.MatrixScaleOf(lab.MatrixOf(m.Name).Unit, m.Matrix)}
		for _, x := range m.Values {
			c.number, c.brief = max(c.number, text.Width(c.scale.Format(x))), max(c.brief, text.Width(report.BriefNumber(x)))
			if math.IsNaN(x) || math.IsInf(x, 0) {
				c.wrong++
			}
		}
		c.wants = c.scale.Log
	}
	c.scale.Log = v.scale.log(c)
	if c.sorted != v.sorted || c.ascending != v.ascending {
		c.sort(v.sorted, v.ascending)
	}
	return c
}

// sort orders the rows by a column, counted from 1, what is not a number last; 0 is the matrix's
// own order.
func (c *matrixChart) sort(column int, ascending bool) {
	c.sorted, c.ascending, c.order = column, ascending, make([]int, c.of.Rows)
	for i := range c.order {
		c.order[i] = i
	}
	if column == 0 {
		return
	}
	slices.SortStableFunc(c.order, func(a, b int) int {
		x, y := c.of.At(a, column-1), c.of.At(b, column-1)
		switch {
		case math.IsNaN(x) || math.IsNaN(y):
			return number(math.IsNaN(x)) - number(math.IsNaN(y))
		case ascending:
			return cmp.Compare(x, y)
		}
		return cmp.Compare(y, x)
	})
}

// goodness is where a value lies between the worst, 0, and the best, 1; from the lowest to the
// highest where neither is better.
func (c *matrixChart) goodness(x float64) float64 {
	if at := c.scale.Place(x); c.kind.Better == lab.Lower && c.scale.High > c.scale.Low {
		return 1 - at
	} else {
		return at
	}
}

// hasMatrix reports whether the run has a matrix.
func (r *runScreen) hasMatrix() (some bool) {
	r.session.read(func(v *lab.View) {
		for i := 0; i < len(v.Cells) && !some; i++ {
			some = len(v.Cells[i].Matrices) > 0
		}
	})
	return some
}

func (r *runScreen) matrixKeys() []binding {
	column := func(n int) func() tea.Cmd { return act(func() { r.moveMatrix(0, n) }) }
	next := func(n int) func() tea.Cmd { return act(func() { r.nextMatrix(n) }) }
	some := func() bool { return r.hasMatrix() }
	why := func() (why string) {
		r.session.read(func(v *lab.View) { why = "no matrix: " + v.NoMatrix() })
		return why
	}
	keys := []binding{
		{keys: []string{"left", "<"}, shown: "← →", footer: "←→↑↓ move", help: "cell on the left (also <)", do: column(-1)},
		{keys: []string{"right", ">"}, shown: "→", help: "cell on the right (also >)", do: column(1)},
		{keys: []string{"v"}, footer: "v matrix", help: "choose the matrix: KL, output error", do: act(r.chooseMatrix)},
		{keys: []string{"n"}, help: "next matrix; the one before: N", do: next(1)},
		{keys: []string{"N"}, help: "the matrix before", do: next(-1)},
		{keys: []string{"s"}, footer: "s sort", help: "sort the rows by the column under the cursor, the highest first; again: the other way round", do: act(r.sortMatrix)},
		{keys: []string{"z"}, help: "unsort: the layers' own order", do: act(func() { r.matrix.sorted = 0 })},
		{keys: []string{"i"}, footer: "i numbers", help: "numbers in the cells: where all columns fit with them, always, never", do: act(func() { r.matrix.numbers = (r.matrix.numbers + 1) % numbersChoices })},
		{keys: []string{"l"}, footer: "l log", help: "shades: by themselves, linear, logarithmic", do: act(func() { r.matrix.scale = (r.matrix.scale + 1) % shadesChoices })},
		{keys: []string{"enter"}, footer: "enter detail", help: "all that is known of the row of the step that has reported the matrix", do: act(r.openMatrixRow)},
	}
	for i := range keys {
		keys[i].when, keys[i].why = some, why
	}
	several := func() (several bool) {
		r.session.read(func(v *lab.View) { several = len(v.Cells) > 1 })
		return several && some()
	}
	one := func() string {
		if some() {
			return "the run has one cell"
		}
		return why()
	}
	return append(keys, binding{keys: []string{"w"}, footer: "w cell", help: "choose the cell of the run whose matrix is shown: a seed, a point of the sweep", when: several, why: one, do: act(r.chooseMatrixCell)})
}

// onMatrix calls f with the matrix that is shown, where there is one.
func (r *runScreen) onMatrix(f func(v *lab.View, cell string, m *lab.MatrixView, c *matrixChart)) {
	r.look(func(t *table) {
		if cell, m := r.matrixNow(t.view); m != nil {
			f(t.view, cell, m, r.matrixOf(m))
		}
	})
}

// moveMatrix moves the cursor over the cells, down the rows as they are sorted.
func (r *runScreen) moveMatrix(dy, dx int) {
	r.onMatrix(func(_ *lab.View, _ string, m *lab.MatrixView, c *matrixChart) {
		at := max(0, min(slices.Index(c.order, r.matrix.row)+dy, m.Rows-1))
		r.matrix.row = c.order[at]
		r.matrix.column = max(0, min(r.matrix.column+dx, m.Columns-1))
	})
}

// nextMatrix goes n matrices on, and from the last to the first.
func (r *runScreen) nextMatrix(n int) {
	r.onMatrix(func(v *lab.View, _ string, m *lab.MatrixView, _ *matrixChart) {
		ids := v.MatrixIDs()
		at := slices.Index(ids, m.ID()) + n + len(ids)
		r.matrix.id = ids[at%len(ids)]
	})
}

// chooseMatrix offers the matrices of the run.
func (r *runScreen) chooseMatrix() {
	p := &picker{workbench: r.workbench, title: "The heat map shows"}
	r.onMatrix(func(v *lab.View, _ string, _ *lab.MatrixView, _ *matrixChart) {
		for _, id := range v.MatrixIDs() {
			p.entries = append(p.entries, entry{text.Cut(text.Clean(id.String()), 60), lab.MatrixOf(id.Name).About, act(func() { r.matrix.id = id })})
		}
	})
	r.push(p)
}

// chooseMatrixCell offers the cells of the run that have the matrix.
func (r *runScreen) chooseMatrixCell() {
	p := &picker{workbench: r.workbench, title: "The matrix of"}
	r.onMatrix(func(v *lab.View, _ string, m *lab.MatrixView, _ *matrixChart) {
		for i := range v.Cells {
			c := &v.Cells[i]
			about := "not measured yet"
			if of := c.Matrix(m.ID()); of != nil {
				about = "at " + report.Duration(of.Time)
			} else if c.State.Over() {
				about = "has none"
			}
			p.entries = append(p.entries, entry{text.Cut(text.Clean(c.ID), 60), about, act(func() { r.matrix.cell = c.ID })})
		}
	})
	r.push(p)
}

// sortMatrix sorts by the column under the cursor; again: the other way round.
func (r *runScreen) sortMatrix() {
	if v := &r.matrix; v.sorted == v.column+1 {
		v.ascending = !v.ascending
	} else {
		v.sorted, v.ascending = v.column+1, false
	}
}

// openMatrixRow shows the row of the step and cell of the matrix.
func (r *runScreen) openMatrixRow() {
	stage, of := "", ""
	r.onMatrix(func(_ *lab.View, cell string, m *lab.MatrixView, _ *matrixChart) { stage, of = m.Stage, cell })
	r.look(func(t *table) {
		for i := range t.sweep.Rows {
			if row := &t.sweep.Rows[i]; row.Name == stage && slices.Contains(row.Cells, of) {
				r.openRow(t, i)
				return
			}
		}
		r.say("the run has no row of step %s", text.Clean(stage))
	})
}

// matrixWhere is the filter of the rows whose cell is shown; empty where no filter tells it from
// others.
func (r *runScreen) matrixWhere(t *table, cell string, m *lab.MatrixView) string {
	if len(t.sweep.Axes) == 0 {
		return ""
	}
	for i := range t.sweep.Rows {
		if row := &t.sweep.Rows[i]; row.Name == m.Stage && slices.Contains(row.Cells, cell) {
			line, _ := t.sweep.LineOf([]int{i})
			return line
		}
	}
	return ""
}

// matrixLines draws the view: heading, scale, cells, and what is under the cursor.
func (r *runScreen) matrixLines(t *table, width, height int) []string {
	cell, m := r.matrixNow(t.view)
	if m == nil {
		return r.noMatrixLines(t.view, width)
	}
	c := r.matrixOf(m)
	under := r.underMatrix(m, c, width, max(1, height/3))
	w := r.matrixFit(m, c, width, height-2-len(under))
	lines := []string{r.matrixHeading(t.view, cell, m, c, w, width), text.Fit(" "+r.matrixLegend(c, width-1), width)}
	lines = append(lines, r.matrixCells(m, c, w, 1+len(lines), width)...)
	for len(lines) < height-len(under) {
		lines = append(lines, "")
	}
	return append(lines[:max(0, height-len(under))], under...)
}

// noMatrixLines say what is awaited, and how far the run is.
func (r *runScreen) noMatrixLines(v *lab.View, width int) []string {
	lines := []string{r.chartHeading("what each layer loses by each choice", "", width), ""}
	for _, line := range text.Wrap("No matrix: "+v.NoMatrix()+".", width-4) {
		lines = append(lines, "  "+line)
	}
	if v.State == lab.Running {
		lines = append(lines, "")
		for _, part := range r.progress(v)[1:] {
			lines = append(lines, "  "+text.Cut(part, width-4))
		}
	}
	return lines
}

// matrixHeading names the matrix, its step and its cell, and which columns are seen where not all
// are.
func (r *runScreen) matrixHeading(v *lab.View, cell string, m *lab.MatrixView, c *matrixChart, w matrixWindow, width int) string {
	title := sided(lab.Metric{Label: text.Clean(m.Name), Better: c.kind.Better}, false)
	if m.Stage != "" {
		title += " of " + text.Cut(text.Clean(m.Stage), 30)
	}
	if len(v.Cells) > 1 {
		title += ", " + text.Cut(text.Clean(cell), 40)
	}
	var about []string
	if ids := v.MatrixIDs(); len(ids) > 1 {
		about = append(about, fmt.Sprintf("%d of %d (v)", slices.Index(ids, m.ID())+1, len(ids)))
	}
	if w.left > 0 || w.right < m.Columns {
		about = append(about, fmt.Sprintf("columns %d–%d of %d", w.left+1, w.right, m.Columns))
	}
	return r.chartHeading(title, r.theme.dim.On(strings.Join(about, " · ")), width)
}

// log says whether shades are logarithmic; a matrix without a positive value cannot have such.
func (s shadesChoice) log(c *matrixChart) bool {
	switch s {
	case shadesLinear:
		return false
	case shadesLog:
		return c.scale.Loggable
	}
	return c.wants
}

// underMatrix says what is under the cursor, in at most so many lines.
func (r *runScreen) underMatrix(m *lab.MatrixView, c *matrixChart, width, most int) []string {
	v := &r.matrix
	x := m.At(v.row, v.column)
	value := fmt.Sprintf("%.6g", x)
	if c.kind.Unit != lab.Plain {
		value += " " + c.kind.Unit.String()
	}
	place := "no rank"
	if rank, of := report.MatrixRank(m.Values, x); rank > 0 {
		in, among := report.MatrixRank(report.MatrixColumn(m.Matrix, v.column), x)
		place = fmt.Sprintf("rank %d of %d, in its column %d of %d, from the highest", rank, of, in, among)
		if width < minWidth {
			place = fmt.Sprintf("rank %d/%d, in its column %d/%d", rank, of, in, among)
		}
	}
	said := fmt.Sprintf("[ ] %s, %s: %s · %s", text.Clean(m.Row(v.row)), text.Clean(m.Column(v.column)), value, place)
	lines := text.Wrap(said, width-2)
	if len(lines) > most {
		lines = append(lines[:most-1:most-1], text.Cut(lines[most-1]+" "+lines[most], width-2))
	}
	for i, line := range lines {
		lines[i] = text.Fit(" "+line, width)
	}
	return lines
}
