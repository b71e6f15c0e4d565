package lab

import "fmt"

// Kind is the kind of an Event.
type Kind uint8

const (
	KindBegin Kind = iota + 1 // the run: Name is the scenario, Begin is set
	// a cell's state: Cell, State, Stage, Step of Total, Text what the stage says or the error
	KindCell
	KindPoint // a point of a curve: Cell, Name is the series, Step, Value
	// measured values of one row: Cell, Row, Values, Influence, Key, Machine, Test, Timings,
	// Tokens, Chosen
	KindRow
	KindNote // a message: Level, Text, optionally Cell
	// an expectation's outcome: Name is its text, Held or Unjudged, Text is the reason,
	// Warnings
	KindVerdict
	KindEnd    // the run's end: State, Text is the error
	KindMatrix // a table of numbers such as a heat map: Cell, Stage, Name, Matrix
	KindSample // an answer that was written during a training: Cell, Stage, Step, Sample
)

func (k Kind) String() string {
	names := [...]string{"?", "begin", "cell", "point", "row", "note", "verdict", "end", "matrix", "sample"}
	if int(k) >= len(names) {
		return "?"
	}
	return names[k]
}

// Event is one flat record of a run's log. Fields that a kind does not use are zero.
type Event struct {
	Kind Kind    `msgpack:"k" json:"kind"`
	Time float64 `msgpack:"t" json:"time"` // seconds since the run began
	Cell string  `msgpack:"c,omitempty" json:"cell,omitempty"`
	// name of the step that is being worked on
	Stage string `msgpack:"g,omitempty" json:"stage,omitempty"`
	State State  `msgpack:"s,omitempty" json:"state,omitempty"`
	Name  string `msgpack:"n,omitempty" json:"name,omitempty"`
	// the step whose model was measured
	Row    string             `msgpack:"r,omitempty" json:"row,omitempty"`
	Step   int                `msgpack:"i,omitempty" json:"step,omitempty"`
	Total  int                `msgpack:"m,omitempty" json:"total,omitempty"`
	Value  float64            `msgpack:"v,omitempty" json:"value,omitempty"`
	Values map[string]Measure `msgpack:"w,omitempty" json:"values,omitempty"` // by metric key
	Level  Level              `msgpack:"l,omitempty" json:"level,omitempty"`
	Held   bool               `msgpack:"h,omitempty" json:"held,omitempty"`
	// Unjudged says that a failed cell left the expectation without what it compares.
	Unjudged bool   `msgpack:"j,omitempty" json:"unjudged,omitempty"`
	Text     string `msgpack:"x,omitempty" json:"text,omitempty"`
	// Warnings are those of the values that an expectation compares, each once.
	Warnings []string `msgpack:"q,omitempty" json:"warnings,omitempty"`
	Begin    *Begin   `msgpack:"b,omitempty" json:"begin,omitempty"`
	// Key names the artifact of the row's model, or the content of a loaded one.
	Key string `msgpack:"a,omitempty" json:"key,omitempty"`
	// Machine is where the row was measured; empty in logs that name it only in Begin.
	Machine string `msgpack:"p,omitempty" json:"machine,omitempty"`
	// Test names what the row was measured on, by content; empty in older logs.
	Test string `msgpack:"e,omitempty" json:"test,omitempty"`
	// Timings say how the row's timings were taken; none in older logs.
	Timings []Timing `msgpack:"y,omitempty" json:"timings,omitempty"`
	Matrix  *Matrix  `msgpack:"z,omitempty" json:"matrix,omitempty"`
	Sample  *Sample  `msgpack:"u,omitempty" json:"sample,omitempty"`
	// Tokens names the artifact that holds what the row's model and its teacher, or the baseline,
	// say at each token of a few answers; empty where none was made.
	Tokens string `msgpack:"d,omitempty" json:"tokens,omitempty"`
	// Chosen is what a search of the row's step has chosen, such as "learning_rate=0.002 ce=0";
	// empty where there was none.
	Chosen string `msgpack:"f,omitempty" json:"chosen,omitempty"`
	// KV is the format of the KV cache that the row was measured with; empty for the usual one.
	KV string `msgpack:"kv,omitempty" json:"kv,omitempty"`
	// Influence is that of the test set's units on a row's values, by metric key; none in older
	// logs. It is for comparisons of runs, and in no JSON.
	Influence map[string]Influence `msgpack:"o,omitempty" json:"-"`
}

// Matrix is a table of numbers with labels.
type Matrix struct {
	Rows    int `msgpack:"r" json:"rows"`
	Columns int `msgpack:"c" json:"columns"`
	// Labels of rows and columns; none, or one each.
	RowLabels    []string  `msgpack:"s,omitempty" json:"row_labels,omitempty"`
	ColumnLabels []string  `msgpack:"d,omitempty" json:"column_labels,omitempty"`
	Values       []float64 `msgpack:"v" json:"values"` // row by row
}

// maxMatrix bounds the values of a matrix: a screen shows far fewer.
const maxMatrix = 1 << 20

// At returns a value.
func (m *Matrix) At(row, column int) float64 { return m.Values[row*m.Columns+column] }

// Check reports sizes that do not fit each other.
func (m *Matrix) Check() error {
	switch {
	case m.Rows < 1 || m.Columns < 1 || m.Rows > maxMatrix/m.Columns:
		return fmt.Errorf("a matrix of %d×%d values, expected 1 to %d", m.Rows, m.Columns, maxMatrix)
	case len(m.Values) != m.Rows*m.Columns:
		return fmt.Errorf("a matrix of %d×%d with %d values", m.Rows, m.Columns, len(m.Values))
	case len(m.RowLabels) != 0 && len(m.RowLabels) != m.Rows:
		return fmt.Errorf("a matrix of %d rows with %d labels of rows", m.Rows, len(m.RowLabels))
	case len(m.ColumnLabels) != 0 && len(m.ColumnLabels) != m.Columns:
		return fmt.Errorf("a matrix of %d columns with %d labels of columns", m.Columns, len(m.ColumnLabels))
	}
	return nil
}

// Measure is one measured value with its interval and warning.
type Measure struct {
	Value float64 `msgpack:"v" json:"value"`
	// Low and High bound the value's 95% interval; both 0 when there is none.
	Low  float64 `msgpack:"l,omitempty" json:"low,omitempty"`
	High float64 `msgpack:"h,omitempty" json:"high,omitempty"`
	// N is the number of samples behind the value, 0 when it is exact.
	N int `msgpack:"n,omitempty" json:"n,omitempty"`
	// Warning says why the value should be taken with care: "7 samples", "timing of another run".
	// Several reasons are separated by "; ".
	Warning string `msgpack:"d,omitempty" json:"warning,omitempty"`
}

// Begin describes a run. It is the first event's payload and the header of its log.
type Begin struct {
	Run      string `msgpack:"run" json:"run"`           // the run's id
	Scenario string `msgpack:"scenario" json:"scenario"` // its name
	About    string `msgpack:"about" json:"about"`
	Hash     string `msgpack:"hash" json:"hash"` // of the resolved scenario
	Version  string `msgpack:"version" json:"version"`
	Machine  string `msgpack:"machine" json:"machine"` // CPU, cores and kernels in one line
	// Process is the id of the process that works on the run, on the machine of the name Host; 0 in
	// older logs.
	Process int    `msgpack:"process,omitempty" json:"process,omitempty"`
	Host    string `msgpack:"host,omitempty" json:"host,omitempty"`
	Started int64  `msgpack:"started" json:"started"` // Unix seconds
	// Nanoseconds of the second in which it started; 0 in logs that have only seconds.
	Nanoseconds int64  `msgpack:"nanoseconds,omitempty" json:"nanoseconds,omitempty"`
	Quick       bool   `msgpack:"quick,omitempty" json:"quick,omitempty"`
	Cells       []Cell `msgpack:"cells" json:"cells"` // all that will be worked on, in order
	// names of the rows that each cell yields, in order
	Rows []string `msgpack:"rows" json:"rows"`
	// Depends has for each of Rows the axes of the sweep that its values depend on: points that
	// differ in others repeat them. nil without a sweep and in older logs.
	Depends [][]string `msgpack:"depends,omitempty" json:"depends,omitempty"`
	// metric keys, in the order of the table
	Columns  []string `msgpack:"columns" json:"columns"`
	Settings []string `msgpack:"settings" json:"settings"` // key=value overrides of this run
	Source   string   `msgpack:"source" json:"source"`     // the scenario file's text
}

// Cell is one unit of work: one point of the sweep with one seed.
type Cell struct {
	// unique in the run: "loss=fkl ratio=0.2 seed=1"
	ID     string  `msgpack:"id" json:"id"`
	Params []Param `msgpack:"params" json:"params"` // the sweep's axes, in the scenario's order
	Seed   int     `msgpack:"seed" json:"seed"`
	// Reuses names the rows whose models the cell need not make: an earlier run has made them, or
	// an earlier cell of this one will. It is what was known when the run began; none in older
	// logs.
	Reuses []string `msgpack:"reuses,omitempty" json:"reuses,omitempty"`
}

// Param is one axis of a sweep at one value.
type Param struct {
	Key   string `msgpack:"k" json:"key"`
	Value string `msgpack:"v" json:"value"`
}

// State is how far a run, a cell, a step or a row is. Its String is the one word for it everywhere:
// on screens, in reports, exports and filters. Logs hold the states up to Stopped; those behind it
// are found by what reads a log.
type State uint8

const (
	Waiting State = iota
	Running
	Done
	Failed
	Stopped // by its user, with Ctrl-C or a signal
	Deleted // a run whose log was deleted while it was followed
	Crashed // its process is gone, and it did not end
	Silent  // its process lives and writes nothing
	NotRun  // a cell, a step or a row to which a run that is over did not come
	Damaged // a run whose log is damaged: how it ended is not known
	Newer   // a run whose log a newer version of slimlab wrote
	Unknown // a cell, a step or a row of a run that is Damaged or Deleted, of which no end was read
)

var stateWords = [...]string{"waiting", "running", "done", "failed", "stopped", "deleted", "crashed", "silent", "not run", "damaged", "newer", "unknown"}

func (s State) String() string {
	if int(s) >= len(stateWords) {
		return "?"
	}
	return stateWords[s]
}

// Over reports whether nothing more will come: what is Waiting, Running or Silent may go on.
func (s State) Over() bool { return s != Waiting && s != Running && s != Silent }

// Interrupted is the text of the end event of a run that its user stopped.
const Interrupted = "interrupted"

// Level is a note's weight.
type Level uint8

const (
	Info Level = iota
	Warning
	Error
)

func (l Level) String() string {
	names := [...]string{"info", "warning", "error"}
	if int(l) >= len(names) {
		return "?"
	}
	return names[l]
}
