package tui

import (
	"context"
	"time"

	"slimlab/lab"
)

// Bench is what the workbench needs from the lab. Its methods may take time: they are called from
// commands, never in Update or View.
type Bench interface {
	// Scenarios lists what can be run, the default first. A file that cannot be read stays in the
	// list with its Err.
	Scenarios(ctx context.Context) ([]ScenarioInfo, error)
	// Runs lists past runs, newest first.
	Runs(ctx context.Context) ([]RunInfo, error)
	// Start begins a run, which stops when ctx ends.
	Start(ctx context.Context, scenario string, quick bool) (*Live, error)
	// Open reads a run's log; DemoRun is the recorded demo.
	Open(ctx context.Context, run string) ([]lab.Event, error)
	// Export writes a run's report to a file in one of the formats of lab/report.
	Export(ctx context.Context, run, format, path string) error
}

// DemoRun is the id under which a Bench opens the recorded demo.
const DemoRun = "demo"

// ScenarioInfo is one scenario of the list.
type ScenarioInfo struct {
	Name   string
	About  string
	Cells  int      // sweep points × seeds
	Seeds  int      // of each sweep point
	Rows   []string // names of the steps, a row of the table each
	Sweep  []string // one line an axis: "loss: fkl, jsd:0.5"
	Steps  []string // what the pipeline does, one line a step
	Expect []string // expectations as the file has them
	Err    error    // why it cannot be run
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
	Err      error // why its log cannot be read, or, where Started is known, only its beginning
}

// readable reports whether there is something of the run to open.
func (r *RunInfo) readable() bool { return r.Err == nil || !r.Started.IsZero() }

// Live is a run in progress.
type Live struct {
	RunID  string
	Board  *lab.Board
	Cancel func()          // asks it to stop; what is finished is kept
	Done   <-chan struct{} // closed when it has ended and its log is complete
}

// Options say how the workbench opens.
type Options struct {
	Scenario string  // selected at start
	Replay   string  // run to replay at once
	Speed    float64 // of replays; 0 is 1
	ASCII    bool    // only ASCII characters
	Palette  string  // one of Palettes; empty: dark or light, as COLORFGBG says
	Machine  string  // shown in the title
}
