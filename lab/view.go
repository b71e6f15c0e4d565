package lab

import (
	"slices"
	"strings"
)

// View is the state of a Board. Under Read it belongs to the Board and must be neither changed nor
// kept.
type View struct {
	Begin    Begin   // zero until the run has begun
	Begun    bool    // a begin event has come
	State    State   // of the run: Waiting before begin, Running until end
	Error    string  // why the run failed or stopped
	Time     float64 // of the latest event, seconds since the run began
	Events   int     // applied so far
	Cells    []CellView
	Rows     []TableRow // the live table: sweep points in the order of Begin.Cells × Begin.Rows
	Notes    []Note
	Dropped  int // notes beyond the first maxNotes, which only the log keeps
	Warnings int // notes of level Warning, including dropped ones
	Errors   int // notes of level Error, including dropped ones
	Verdicts []Verdict
	// RowsChanged grows when the table changes: rows, their values and states, and which curves
	// there are. Between equal ones only curves, progress, notes and verdicts have changed.
	RowsChanged int
	Sampled     int // samples of all cells that have come

	index map[string]int // cell id → Cells; nil in a view that no Board made
	// keys of metrics that a row has or has had; nil like index
	measured map[string]bool
}

// CellView is one cell of the plan and how far it is.
type CellView struct {
	Cell
	State   State
	Stage   string  // the current step, or the last one
	Step    int     // of Total, within the stage
	Total   int     // 0 when unknown
	Started float64 // seconds since the run began; 0 until it runs
	Ended   float64 // 0 while it waits or runs
	Error   string  // of a failed cell
	Stages  []StageView
	Series  []Series // in order of first appearance
	// the newest matrix of each stage and name, in order of first appearance
	Matrices []MatrixView
	// the newest samples, in the order in which they were written, and how many others there were
	Samples   []SampleView
	Forgotten int
}

// MatrixView is a matrix that a stage has reported. Its Matrix is never changed.
type MatrixView struct {
	Stage, Name string
	Time        float64 // of the event, seconds since the run began
	*Matrix
}

// SampleView is a sample that a stage has reported. Its Sample is never changed.
type SampleView struct {
	Stage string
	Step  int
	Time  float64 // of the event, seconds since the run began
	*Sample
}

// StageView is one step of a cell's pipeline, in the order in which they were worked on.
type StageView struct {
	Name    string
	State   State
	Step    int
	Total   int
	Started float64
	Moved   float64 // when Step changed last
	First   int     // the first step that it reported: of one that goes on, not the first of all
	Began   float64 // when it reported that
	Ended   float64 // 0 while it runs
	Text    string  // what the stage says now, or said last: FromCache, an error
	Reused  bool    // its model was found made
}

// Note is a message of a run.
type Note struct {
	Time  float64
	Level Level
	Cell  string // empty when it concerns the whole run
	Text  string
	Count int // how often Apply repeated it; 1 for a run's own notes
}

// Verdict is the outcome of one expectation.
type Verdict struct {
	Time   float64
	Text   string // the expectation as the scenario has it
	Held   bool
	Reason string
	// a failed cell left it without what it compares; it is not Held then
	Unjudged bool
	Warnings []string // of the values that are compared, each once
}

// Grounds are the reason with the warnings of the values in it.
func (v *Verdict) Grounds() string {
	if len(v.Warnings) == 0 {
		return v.Reason
	}
	return v.Reason + " (" + strings.Join(v.Warnings, warningSeparator) + ")"
}

// Word says the outcome: held, not held, not judged.
func (v *Verdict) Word() string {
	switch {
	case v.Held:
		return "held"
	case v.Unjudged:
		return "not judged"
	}
	return "not held"
}

// Cell finds a cell by its id; nil when there is none.
func (v *View) Cell(id string) *CellView {
	if v.index != nil {
		if i, known := v.index[id]; known {
			return &v.Cells[i]
		}
		return nil
	}
	for i := range v.Cells {
		if v.Cells[i].ID == id {
			return &v.Cells[i]
		}
	}
	return nil
}

// Count returns how many cells are in a state.
func (v *View) Count(s State) int {
	n := 0
	for i := range v.Cells {
		if v.Cells[i].State == s {
			n++
		}
	}
	return n
}

// Find finds a curve by its name; nil where the cell has none.
func (c *CellView) Find(series string) *Series {
	for i := range c.Series {
		if c.Series[i].Name == series {
			return &c.Series[i]
		}
	}
	return nil
}

// Machines lists where the rows were measured, each machine once; where the run began while there
// are no rows.
func (v *View) Machines() []string {
	var machines []string
	for i := range v.Rows {
		for _, m := range v.Rows[i].Machines {
			if !slices.Contains(machines, m) {
				machines = append(machines, m)
			}
		}
	}
	if len(machines) == 0 && v.Begin.Machine != "" {
		machines = []string{v.Begin.Machine}
	}
	return machines
}

// Columns returns the metrics of the table: those that the scenario chose, or all that were
// measured, in the order of Metrics.
func (v *View) Columns() []Metric {
	var columns []Metric
	for _, key := range v.Begin.Columns {
		if m, ok := MetricByKey(key); ok {
			columns = append(columns, m)
		}
	}
	if len(columns) > 0 {
		return columns
	}
	return v.Measured()
}

// Measured returns the metrics that a row has, in the order of Metrics.
func (v *View) Measured() []Metric {
	var measured []Metric
	for _, m := range Metrics() {
		has := v.measured[m.Key]
		for i := 0; v.measured == nil && !has && i < len(v.Rows); i++ {
			_, has = v.Rows[i].Values[m.Key]
		}
		if has {
			measured = append(measured, m)
		}
	}
	return measured
}

// Axes returns the keys of the sweep, in the scenario's order.
func (v *View) Axes() []string {
	if len(v.Cells) == 0 {
		return nil
	}
	var axes []string
	for _, p := range v.Cells[0].Params {
		axes = append(axes, p.Key)
	}
	return axes
}
