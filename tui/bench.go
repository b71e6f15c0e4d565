package tui

import (
	"context"
	"time"

	"slimlab/lab"
	"slimlab/lab/report"
	"slimlab/lab/tokenview"
)

// Bench is what the workbench needs from the lab. Its methods may take time: they are called from
// commands, never in Update or View.
type Bench interface {
	// Library lists what can be run. Entries that are Pending have only ID, Place, File and Stamp.
	Library(ctx context.Context) (Library, error)
	// Scenario reads an entry of the library, by its ID. One that cannot be read has its Err.
	Scenario(ctx context.Context, id string) ScenarioInfo
	// Runs lists past runs, newest first.
	Runs(ctx context.Context) ([]RunInfo, error)
	// Figures reads what a run measured, for the list of runs.
	Figures(ctx context.Context, run string) (RunFigures, error)
	// Preview says what Start would do. Its error is what Start would refuse.
	Preview(ctx context.Context, r Request) (Preview, error)
	// Start begins a run, which stops when ctx ends.
	Start(ctx context.Context, r Request) (*Live, error)
	// Follow shows a run that another process is writing: its Board grows as the log does. Cancel
	// ends the following, never the run. It returns nil for a run that nobody is writing, or that
	// is not there: Open reads it, or says why not.
	Follow(ctx context.Context, run string) *Live
	// Open reads a run's log; DemoRun is the recorded demo.
	Open(ctx context.Context, run string) (*lab.Board, error)
	// Events reads all events of a run's log, for a replay.
	Events(ctx context.Context, run string) ([]lab.Event, error)
	// Model reads how a row's model is made and where it lies.
	Model(ctx context.Context, q ModelQuery) ModelInfo
	// Tokens reads what a row's model says of a few answers, by the key of its artifact.
	Tokens(ctx context.Context, key string) (*tokenview.View, error)
	// Export writes a run's report to a file in one of the formats of lab/report, with the rows and
	// columns of a selection.
	Export(ctx context.Context, run, format, path string, shown report.Shown) error
	// Settings derives the settings of a run's scenario from its log, for a comparison.
	Settings(b lab.Begin) ([]report.Setting, error)
	// ExportComparison writes a comparison to a file in one of report.RunsFormats.
	ExportComparison(ctx context.Context, c *report.Runs, format, path string) error
	// Pin keeps a run as the baseline of later workbenches; "" is none.
	Pin(run string) error
	// Candidates finds the models and the data of the working directory.
	Candidates(ctx context.Context) (Candidates, error)
	// Compress writes a scenario and returns its ID, with notes on what was chosen.
	Compress(ctx context.Context, c Compression) (id string, notes []string, err error)
	// Kept reports whether the log of a run is still there.
	Kept(ctx context.Context, run string) bool
	// Servable finds the models that could be served.
	Servable(ctx context.Context) ([]Candidate, error)
	// Attach starts an engine on a model, or attaches to the server of a URL.
	Attach(ctx context.Context, target string) (Engine, error)
	// Delete removes a run's log. A run in progress is an error.
	Delete(ctx context.Context, run string) error
}

// DemoRun is the id under which a Bench opens the recorded demo.
const DemoRun = "demo"

// RunScenario is the ID, and the Request.Scenario, of the scenario that a run had, as its log holds
// it.
func RunScenario(run string) string { return "run:" + run }

// Request says which run to begin.
type Request struct {
	Scenario string   // the ID of an entry of the library, or RunScenario
	Set      []string // key=value each, in order
	Seeds    int      // seeds of each sweep point; 0 is the scenario's number
	Seed     int      // the first seed; 0 is 1
	Quick    bool     // apply the scenario's quick overrides
	Retime   bool     // measure serving again
	Fresh    bool     // make every artifact again
}

// Preview is what a run would do.
type Preview struct {
	Name     string // of the scenario
	Cells    int
	Points   int // of the sweep
	Seeds    int // of each sweep point
	Build    int // steps to build
	Cached   int // steps whose models are there
	Shared   int // steps that an earlier cell builds
	Loaded   int // steps that measure a model as it is
	Bytes    int64
	Free     int64  // bytes on the disk of the home; -1: not known
	Folder   string // the home
	Duration string // estimate with its grounds; empty: not known
	Notes    []string
	Keys     []string // that can be set
}

// Library is what can be run.
type Library struct {
	Folder    string // of the entries with Place Own
	Scenarios []ScenarioInfo
	Others    int // YAML files of the folder that are no scenarios
}

// Place is where a scenario is from.
type Place uint8

const (
	Shipped Place = iota // with slimlab
	Own                  // a file of the working directory, or one that was named
	Earlier              // the log of an earlier run, and in no other place
)

// ScenarioInfo is one scenario of the list.
type ScenarioInfo struct {
	ID      string
	Place   Place
	File    string // on disk; empty for the others
	Stamp   string // changes when the file does
	Pending bool   // the rest is not read yet
	Name    string // what its runs are called
	About   string
	Cells   int      // sweep points × seeds
	Seeds   int      // of each sweep point
	Rows    []string // names of the steps, a row of the table each
	Sweep   []string // one line an axis: "loss: fkl, jsd:0.5"
	Steps   []string // what the pipeline does, one line a step
	Expect  []string // expectations as the file has them
	Err     error    // why it cannot be run
	Text    string   // the scenario's, as it is written
	Line    int      // of the Text, that Err is about; 0: not known
}

// RunInfo is one past run.
type RunInfo struct {
	ID       string
	Scenario string
	State    lab.State
	Started  time.Time
	Duration time.Duration
	Machine  string
	Quick    bool
	Settings []string // that the run changed in its scenario
	Seeds    int      // of each sweep point
	Seed     int      // the first one
	Bytes    int64    // of its log, which grows with the run
	Progress Progress // of a run that is running
	NoDelete string   // why it cannot be deleted; empty: it can
	Silence  string   // of a run that is silent: for how long, and its process
	Err      error    // why its log cannot be read, or, where Started is known, only its beginning
}

// Progress is how far a run is.
type Progress struct {
	Done string // "3/24 cells"
	Left string // "~3m 10s left"
}

// Headline is the metric that counts of the best row; without a Value there is none.
type Headline struct{ Value, Interval, Metric, Row string }

// RunFigures are what a run measured, for its line in the list.
type RunFigures struct {
	Headline Headline
	Models   []string
	Rows     []RowFigures
}

// RowFigures are the metrics of a row, by their keys.
type RowFigures struct {
	Row    string
	Values map[string]float64
}

// readable reports whether there is something of the run to open.
func (r *RunInfo) readable() bool { return r.Err == nil || !r.Started.IsZero() }

// Live is a run in progress.
type Live struct {
	RunID  string
	Board  *lab.Board
	Cancel func()          // asks it to stop; what is finished is kept
	Done   <-chan struct{} // closed when it has ended and its log is complete
	// what the steps of earlier runs of the scenario took
	Earlier lab.Earlier
	// Silence says for how long the process of a followed run has given no sign of life; "" while
	// it gives one. nil for a run of this process.
	Silence func() string
}

// Options say how the workbench opens.
type Options struct {
	Scenario string  // ID of the entry of the library that is selected at start
	Replay   string  // run to replay at once
	Attach   string  // model to serve, or URL of a server, to be watched at once
	Baseline string  // run that is pinned as baseline; empty: none is
	Speed    float64 // of replays; 0 is 1
	ASCII    bool    // only ASCII characters
	NoMouse  bool    // the mouse is the terminal's
	Palette  string  // one of Palettes; empty: dark or light, as COLORFGBG says
	Machine  string  // shown in the title
	Editor   string  // the user's, with its arguments; empty: none is known
}
