package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"slimlab/internal/filelock"
	"slimlab/internal/nearest"
	"slimlab/lab"
	"slimlab/lab/home"
	"slimlab/lab/report"
	"slimlab/lab/run"
	"slimlab/lab/scenario"
	"slimlab/scenarios"
	"slimlab/tui"
)

// defaultScenario is selected when the workbench opens.
const defaultScenario = "figure1"

// lookFlags are the flags of the verbs that open the workbench.
func lookFlags(cmd *cobra.Command, o *tui.Options) {
	cmd.Flags().BoolVar(&o.ASCII, "ascii", false, "draw with ASCII characters only")
	cmd.Flags().StringVar(&o.Palette, "palette", "", "colours: "+strings.Join(tui.Palettes(), ", ")+" (default: $SLIMLAB_PALETTE, else dark, or light where $COLORFGBG says so)")
}

// choosePalette takes the palette from the environment where no flag chose it.
func choosePalette(o *tui.Options) error {
	from := "--palette"
	if o.Palette == "" {
		o.Palette, from = os.Getenv("SLIMLAB_PALETTE"), "SLIMLAB_PALETTE"
	}
	if o.Palette == "" {
		return nil
	}
	if err := nearest.Check(from, o.Palette, tui.Palettes()); err != nil {
		return usage(err)
	}
	return nil
}

// workbench opens the terminal program.
func (p *program) workbench(ctx context.Context, o tui.Options) error {
	if err := choosePalette(&o); err != nil {
		return err
	}
	if !isTerminal(os.Stdin) || !isTerminal(os.Stdout) || os.Getenv("TERM") == "dumb" {
		return usage(errors.New("the workbench needs a terminal; without one, try: slimlab run figure1 --quick"))
	}
	o.Machine, o.Scenario = home.Machine(), defaultScenario
	b := &bench{home: p.home}
	p.inWorkbench.Store(true)
	err := tui.Run(ctx, b, o)
	b.wait.Wait()
	if errors.Is(err, context.Canceled) {
		return failure{exitInterrupted, errors.New("interrupted; what a run has finished is kept, and the next run goes on from there")}
	}
	return broke(err)
}

// bench is the lab as the workbench sees it.
type bench struct {
	home *home.Home
	wait sync.WaitGroup // for runs in progress, so that their logs are complete
}

func (b *bench) Scenarios(context.Context) ([]tui.ScenarioInfo, error) {
	entries, err := scenario.List(scenarios.Files)
	if err != nil {
		return nil, err
	}
	var infos []tui.ScenarioInfo
	for _, e := range entries {
		info := tui.ScenarioInfo{Name: e.Name, About: e.About, Err: e.Err}
		if e.Err == nil {
			info = b.describe(e.Name)
		}
		if e.Name == defaultScenario {
			infos = append([]tui.ScenarioInfo{info}, infos...)
			continue
		}
		infos = append(infos, info)
	}
	return infos, nil
}

func (b *bench) describe(name string) tui.ScenarioInfo {
	s, err := run.LoadScenario(name, scenarios.Files, scenario.Options{})
	if err != nil {
		return tui.ScenarioInfo{Name: name, Err: err}
	}
	info := tui.ScenarioInfo{Name: s.Name, About: s.About, Cells: len(s.Points) * len(s.Seeds), Seeds: len(s.Seeds), Rows: s.Rows}
	for _, a := range s.Axes {
		info.Sweep = append(info.Sweep, a.Key+": "+strings.Join(a.Values, ", "))
	}
	for _, step := range s.Points[0].Steps {
		info.Steps = append(info.Steps, step.String())
	}
	for _, e := range s.Expect {
		info.Expect = append(info.Expect, e.Text)
	}
	return info
}

func (b *bench) Runs(context.Context) ([]tui.RunInfo, error) {
	runs, err := b.home.Logs.List()
	if err != nil {
		return nil, err
	}
	infos := make([]tui.RunInfo, len(runs))
	for i, r := range runs {
		infos[i] = tui.RunInfo{
			ID: r.ID, Scenario: r.Scenario, State: r.State, Started: r.Started, Duration: r.Duration,
			Machine: r.Machine, Quick: r.Quick, Err: r.Problem,
		}
	}
	return infos, nil
}

// Start begins a run, which stops when ctx ends.
func (b *bench) Start(ctx context.Context, name string, quick bool) (*tui.Live, error) {
	s, err := run.LoadScenario(name, scenarios.Files, scenario.Options{Quick: quick})
	if err != nil {
		return nil, err
	}
	r, err := run.Start(ctx, b.home, s.Plan(), run.Options{})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	b.wait.Go(func() {
		defer close(done)
		defer cancel()
		// How it ended is in the events, which the workbench shows.
		_, _ = r.Work(ctx)
	})
	return &tui.Live{RunID: r.ID, Board: r.Board, Cancel: cancel, Done: done}, nil
}

func (b *bench) Open(_ context.Context, name string) ([]lab.Event, error) {
	events, _, err := runEvents(b.home, name) // the events end with the damage, if there is any
	return events, err
}

func (b *bench) Export(_ context.Context, name, format, path string) error {
	if err := nearest.Check("format", format, report.Formats()); err != nil {
		return err
	}
	events, _, err := runEvents(b.home, name)
	if err != nil {
		return fmt.Errorf("run %s: %w", name, err)
	}
	view := lab.Fold(events).Snapshot()
	target, err := filelock.AcquireFile(path)
	if err != nil {
		return err
	}
	defer target.Release()
	return writeExport(nil, format, target.Path, view)
}
