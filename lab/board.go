package lab

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// Board is the fold of a run's log: all views of a run, live or replayed, read it.
//
// Apply is the only reducer: deterministic, total (an event that does not fit adds a note and never
// panics), and the same whether a log is applied at once or as it grows. Any number of goroutines
// may Apply and Read. A screen compares Version, which costs one atomic load, and calls Read when
// it has changed. Memory is bounded by the plan that Begin announces: curves are decimated and
// notes are capped.
type Board struct {
	version atomic.Uint64
	mu      sync.RWMutex
	view    View
	index   boardIndex
}

// boardIndex finds what an event is about.
type boardIndex struct {
	cells   map[string]int    // cell id → View.Cells
	rows    map[rowKey]int    // → View.Rows
	group   []int             // of each cell → groups
	groups  [][]int           // rows of each sweep point
	stale   []int             // groups whose rows are to be summed up before they are read
	isStale []bool            // of each group
	misfits map[string]int    // text of a note of Apply → View.Notes
	series  map[seriesKey]int // → View.Cells[cell].Series
}

type rowKey struct {
	group int
	name  string
}

type seriesKey struct {
	cell int
	name string
}

// maxNotes caps View.Notes: a run that warns at every step must not fill the memory of its
// observers.
const maxNotes = 2000

// NewBoard returns a Board that waits for a begin event.
func NewBoard() *Board {
	return &Board{index: boardIndex{
		cells: map[string]int{}, rows: map[rowKey]int{}, misfits: map[string]int{}, series: map[seriesKey]int{},
	}}
}

// Version grows with every event. Equal versions mean equal views.
func (b *Board) Version() uint64 { return b.version.Load() }

// Read calls f with the view under the Board's read lock. f must be quick, must not call Apply, and
// must not keep or change v.
func (b *Board) Read(f func(v *View)) {
	b.lockSettled()
	defer b.mu.RUnlock()
	f(&b.view)
}

// lockSettled takes the read lock with rows that are summed up. That is done when they are read: an
// event costs the same however many seeds have reported.
func (b *Board) lockSettled() {
	for b.mu.RLock(); len(b.index.stale) > 0; b.mu.RLock() {
		b.mu.RUnlock()
		b.settle()
	}
}

func (b *Board) settle() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, group := range b.index.stale {
		for _, r := range b.index.groups[group] {
			b.view.Rows[r].sumUp()
		}
		b.rowStates(group)
		b.index.isStale[group] = false
	}
	b.index.stale = b.index.stale[:0]
}

// changed has the rows of a sweep point summed up before they are read.
func (b *Board) changed(group int) {
	if !b.index.isStale[group] {
		b.index.isStale[group] = true
		b.index.stale = append(b.index.stale, group)
	}
}

// Snapshot returns a deep copy of the view, for slow readers: reports, comparisons.
func (b *Board) Snapshot() *View {
	b.lockSettled()
	defer b.mu.RUnlock()
	return b.view.clone()
}

// Fold applies a whole log to a fresh Board.
func Fold(events []Event) *Board {
	b := NewBoard()
	for _, e := range events {
		b.Apply(e)
	}
	return b
}

// Apply folds one event in.
func (b *Board) Apply(e Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.version.Add(1)
	v := &b.view
	v.Events++
	if e.Time > v.Time {
		v.Time = e.Time
	}
	if !v.Begun && e.Kind != KindBegin && e.Kind != KindNote {
		b.warn(e, "%s event before the run began", e.Kind)
	}
	switch e.Kind {
	case KindBegin:
		b.begin(e)
	case KindCell:
		b.cell(e)
	case KindPoint:
		b.point(e)
	case KindRow:
		b.row(e)
	case KindNote:
		b.note(Note{Time: e.Time, Level: e.Level, Cell: e.Cell, Text: e.Text, Count: 1})
	case KindVerdict:
		v.Verdicts = append(v.Verdicts, Verdict{Time: e.Time, Text: e.Name, Held: e.Held, Reason: e.Text, Unjudged: e.Unjudged, Warnings: e.Warnings})
	case KindEnd:
		b.end(e)
	case KindMatrix:
		b.matrix(e)
	case KindSample:
		b.sample(e)
	default:
		b.warn(e, "event of unknown kind %d", uint8(e.Kind))
	}
}

func (b *Board) begin(e Event) {
	v := &b.view
	if e.Begin == nil {
		b.warn(e, "begin event without its payload")
		return
	}
	if v.Begun {
		b.warn(e, "second begin event, of run %q", e.Begin.Run)
		return
	}
	v.Begun, v.State, v.Begin = true, Running, e.Begin.clone()
	v.RowsChanged++
	v.index = b.index.cells // which only begin changes
	v.measured = map[string]bool{}
	points := map[string]int{}
	for _, c := range v.Begin.Cells {
		if _, twice := b.index.cells[c.ID]; twice {
			b.warn(e, "cell %q announced twice", c.ID)
			continue
		}
		b.index.cells[c.ID] = len(v.Cells)
		v.Cells = append(v.Cells, CellView{Cell: c})
		key := paramsKey(c.Params)
		group, known := points[key]
		if !known {
			group = len(b.index.groups)
			points[key] = group
			b.index.groups, b.index.isStale = append(b.index.groups, nil), append(b.index.isStale, false)
			b.addRows(group, c.Params)
		}
		b.index.group = append(b.index.group, group)
		for _, r := range b.index.groups[group] {
			v.Rows[r].Cells = append(v.Rows[r].Cells, c.ID)
			v.Rows[r].Of++
		}
	}
}

// addRows appends the table's rows of one sweep point.
func (b *Board) addRows(group int, params []Param) {
	v := &b.view
	for _, name := range v.Begin.Rows {
		key := rowKey{group, name}
		if _, twice := b.index.rows[key]; twice {
			continue
		}
		b.index.rows[key] = len(v.Rows)
		b.index.groups[group] = append(b.index.groups[group], len(v.Rows))
		v.Rows = append(v.Rows, TableRow{Name: name, Params: slices.Clone(params), Point: group, Values: map[string]Summary{}})
	}
}

func (b *Board) cell(e Event) {
	i, known := b.index.cells[e.Cell]
	if !known {
		b.warn(e, "cell event for unknown cell %q", e.Cell)
		return
	}
	c := &b.view.Cells[i]
	if c.State == Waiting && e.State != Waiting && e.State != Stopped {
		c.Started = e.Time
	}
	progress := c.State == e.State && (e.Stage == "" || c.Stage == e.Stage)
	begun := c.State != Waiting
	c.State, c.Step, c.Total, c.Ended = e.State, e.Step, e.Total, 0
	if e.State == Stopped && !begun {
		c.State = NotRun
	}
	if e.Stage != "" {
		c.Stage = e.Stage
	}
	if e.State == Failed {
		c.Error = e.Text
	}
	if c.State.Over() && c.State != NotRun {
		c.Ended = e.Time
	}
	c.stage(e)
	if !progress { // which leaves the states of rows as they are
		b.changed(b.index.group[i])
	}
}

// stage keeps the history of a cell's stages.
func (c *CellView) stage(e Event) {
	last := len(c.Stages) - 1
	if e.Stage != "" && (last < 0 || c.Stages[last].Name != e.Stage) {
		if last >= 0 && c.Stages[last].State == Running {
			c.Stages[last].State, c.Stages[last].Ended = Done, e.Time
		}
		c.Stages = append(c.Stages, StageView{Name: e.Stage, Started: e.Time})
		last++
	}
	if last < 0 {
		return
	}
	s := &c.Stages[last]
	s.State = e.State
	if e.Stage != "" {
		if s.Step != e.Step {
			s.Moved = e.Time
		}
		s.Step, s.Total = e.Step, e.Total
		if s.First < 1 && s.Step > 0 {
			s.First, s.Began = s.Step, e.Time
		}
	}
	if e.Text != "" || e.State == Running { // what a running stage says holds until it says more
		s.Text, s.Reused = e.Text, s.Reused || e.Text == FromCache
	}
	if e.State.Over() {
		s.Ended = e.Time
	}
}

func (b *Board) point(e Event) {
	i, known := b.index.cells[e.Cell]
	if !known {
		b.warn(e, "point of series %q for unknown cell %q", e.Name, e.Cell)
		return
	}
	c := &b.view.Cells[i]
	key := seriesKey{i, e.Name}
	at, known := b.index.series[key]
	if !known {
		at = len(c.Series)
		b.index.series[key] = at
		c.Series = append(c.Series, Series{Name: e.Name})
		b.view.RowsChanged++
	}
	if !c.Series[at].add(Point{e.Step, e.Value}) {
		b.warn(e, "series %q of cell %q went back to an earlier step", e.Name, e.Cell)
	}
}

func (b *Board) row(e Event) {
	i, known := b.index.cells[e.Cell]
	if !known {
		b.warn(e, "row %q for unknown cell %q", e.Row, e.Cell)
		return
	}
	group := b.index.group[i]
	r, known := b.index.rows[rowKey{group, e.Row}]
	if !known {
		b.warn(e, "unknown row %q of cell %q", e.Row, e.Cell)
		return
	}
	machine := e.Machine
	if machine == "" { // a log that names it once
		machine = b.view.Begin.Machine
	}
	e.Influence = b.sound(e)
	b.view.Rows[r].merge(b.view.Cells[i].Cell, machine, e)
	b.rowChanged(r)
	for key := range e.Values {
		b.view.measured[key] = true
	}
	b.changed(group)
}

// sound returns the influence on a row's values, without what is damaged, of which it warns.
func (b *Board) sound(e Event) map[string]Influence {
	sound := make(map[string]Influence, len(e.Influence))
	for _, key := range slices.Sorted(maps.Keys(e.Influence)) {
		o := e.Influence[key]
		if err := o.Check(); err != nil {
			b.warn(e, "influence on %s of row %q: %v", key, e.Row, err)
			continue
		}
		sound[key] = o
	}
	return sound
}

// maxMatrices caps the matrices of a cell.
const maxMatrices = 256

// matrix keeps the newest matrix of each stage and name.
func (b *Board) matrix(e Event) {
	i, known := b.index.cells[e.Cell]
	if !known {
		b.warn(e, "matrix %q for unknown cell %q", e.Name, e.Cell)
		return
	}
	if e.Matrix == nil {
		b.warn(e, "matrix %q without its values", e.Name)
		return
	}
	if err := e.Matrix.Check(); err != nil {
		b.warn(e, "matrix %q: %v", e.Name, err)
		return
	}
	c := &b.view.Cells[i]
	next := MatrixView{Stage: e.Stage, Name: e.Name, Time: e.Time, Matrix: e.Matrix}
	at := slices.IndexFunc(c.Matrices, func(m MatrixView) bool { return m.Stage == e.Stage && m.Name == e.Name })
	switch {
	case at >= 0:
		c.Matrices[at] = next
	case len(c.Matrices) < maxMatrices:
		c.Matrices = append(c.Matrices, next)
	default:
		b.warn(e, "more than %d matrices of cell %q", maxMatrices, e.Cell)
	}
}

// maxSamples caps the samples that are held of a cell: the newest are.
const maxSamples = 256

// sample keeps the newest samples of a cell.
func (b *Board) sample(e Event) {
	i, known := b.index.cells[e.Cell]
	if !known {
		b.warn(e, "sample for unknown cell %q", e.Cell)
		return
	}
	if e.Sample == nil {
		b.warn(e, "sample without its texts")
		return
	}
	if err := e.Sample.Check(); err != nil {
		b.warn(e, "%v", err)
		return
	}
	c := &b.view.Cells[i]
	if len(c.Samples) == maxSamples {
		copy(c.Samples, c.Samples[1:])
		c.Samples, c.Forgotten = c.Samples[:maxSamples-1], c.Forgotten+1
	}
	b.view.Sampled++
	c.Samples = append(c.Samples, SampleView{Stage: e.Stage, Step: e.Step, Time: e.Time, Sample: e.Sample})
}

func (b *Board) end(e Event) {
	v := &b.view
	v.State, v.Error = e.State, e.Text
	for i := range v.Cells {
		v.Cells[i].end(e)
	}
	for g := range b.index.groups {
		b.changed(g)
	}
}

// note appends a note, or counts it where there are too many.
func (b *Board) note(n Note) {
	v := &b.view
	switch n.Level {
	case Warning:
		v.Warnings++
	case Error:
		v.Errors++
	}
	if len(v.Notes) >= maxNotes {
		v.Dropped++
		return
	}
	v.Notes = append(v.Notes, n)
}

// warn notes an event that does not fit the run; the same text is noted once and counted.
func (b *Board) warn(e Event, format string, args ...any) {
	text := "log: " + fmt.Sprintf(format, args...)
	if at, known := b.index.misfits[text]; known {
		b.view.Notes[at].Count++
		return
	}
	if len(b.view.Notes) < maxNotes {
		b.index.misfits[text] = len(b.view.Notes)
	}
	b.note(Note{Time: e.Time, Level: Warning, Cell: e.Cell, Text: text, Count: 1})
}

func paramsKey(params []Param) string { return fmt.Sprintf("%q", params) }
