package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"slimlab/internal/atomicfile"
	"slimlab/internal/filelock"
	"slimlab/internal/nearest"
	"slimlab/lab"
	"slimlab/lab/home"
	"slimlab/lab/report"
	"slimlab/lab/run"
	"slimlab/lab/scenario"
	"slimlab/lab/store"
	"slimlab/tui"
)

// defaultScenario is selected when the workbench opens.
const defaultScenario = "figure1"

// lookFlags are the flags of the verbs that open the workbench.
func lookFlags(cmd *cobra.Command, o *tui.Options) {
	cmd.Flags().BoolVar(&o.ASCII, "ascii", false, "draw with ASCII characters only")
	cmd.Flags().BoolVar(&o.NoMouse, "no-mouse", false, "leave the mouse to the terminal, which selects text with it (f4 turns it on and off)")
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
		return usage(fmt.Errorf("the workbench needs a terminal; without one, try: slimlab run %s --quick", cmp.Or(o.Scenario, defaultScenario)))
	}
	b := newBench(p.home, o.Scenario)
	o.Baseline = p.home.Baseline()
	o.Machine, o.Editor = home.Machine(), cmp.Or(os.Getenv("VISUAL"), os.Getenv("EDITOR"))
	o.Scenario = cmp.Or(o.Scenario, defaultScenario)
	p.endsItself.Store(true)
	err := tui.Run(ctx, b, o)
	b.wait.Wait()
	if errors.Is(err, context.Canceled) {
		return failure{exitInterrupted, errors.New("interrupted; what a run has finished is kept, and the next run goes on from there")}
	}
	return broke(err)
}

// bench is the lab as the workbench sees it.
type bench struct {
	*library
	home *home.Home
	wait sync.WaitGroup // for runs in progress, so that their logs are complete
}

func newBench(h *home.Home, named string) *bench {
	return &bench{library: newLibrary(h, named), home: h}
}

// options are those of a scenario that a request makes.
func options(r tui.Request) scenario.Options {
	o := scenario.Options{Set: r.Set, Quick: r.Quick, Seeds: r.Seeds}
	if r.Seed != 0 {
		o.Seed = &r.Seed
	}
	return o
}

// Start begins a run, which stops when ctx ends.
func (b *bench) Start(ctx context.Context, r tui.Request) (*tui.Live, error) {
	if r.Fresh && r.Retime {
		return nil, errors.New("retime keeps the models that fresh makes again: choose one of the two")
	}
	s, err := b.load(r.Scenario, options(r))
	if err != nil {
		return nil, err
	}
	work, err := run.Start(ctx, b.home, s.Plan(), run.Options{Fresh: r.Fresh, Retime: r.Retime})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	b.wait.Go(func() {
		defer close(done)
		defer cancel()
		// How it ended is in the events, which the workbench shows.
		_, _ = work.Work(ctx)
	})
	return &tui.Live{RunID: work.ID, Board: work.Board, Cancel: cancel, Done: done, Earlier: earlierOf(b.home, work.Board)}, nil
}

func (b *bench) Kept(_ context.Context, id string) bool { return b.home.Logs.Kept(id) }

func (b *bench) Delete(_ context.Context, id string) error { return b.home.Logs.Remove(id) }

// followEvery is how often the log of a followed run is looked at.
const followEvery = 250 * time.Millisecond

// Follow follows a run of another process. A log that goes away ends the run on the screen, with
// what was read.
func (b *bench) Follow(ctx context.Context, name string) *tui.Live {
	f, err := b.home.Logs.Follow(name)
	if err != nil {
		return nil
	}
	if !f.Writing() { // Open reads it
		f.Close()
		return nil
	}
	board := lab.NewBoard()
	status, err := f.Next(board.Apply)
	if err != nil || status.State.Over() {
		f.Close()
		return nil
	}
	var seen atomic.Pointer[store.Status]
	seen.Store(&status)
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	b.wait.Go(func() {
		defer close(done)
		defer f.Close()
		defer cancel()
		for !seen.Load().State.Over() {
			select {
			case <-ctx.Done():
				return
			case <-time.After(followEvery):
			}
			status, err := f.Next(board.Apply)
			seen.Store(&status)
			if err != nil {
				if errors.Is(err, store.ErrReplaced) { // without the path, which can fill the line
					err = store.ErrReplaced
				}
				ended := lab.Damaged
				if !b.home.Logs.Kept(f.ID()) {
					ended, err = lab.Deleted, errors.New("its log was deleted")
				}
				var last float64
				board.Read(func(v *lab.View) { last = v.Time })
				board.Apply(lab.Event{Kind: lab.KindEnd, Time: last, State: ended, Text: err.Error() + "; what was read is shown"})
				return
			}
		}
	})
	silence := func() string {
		if s := seen.Load(); s.State == lab.Silent {
			return s.Silence(time.Now())
		}
		return ""
	}
	return &tui.Live{RunID: f.ID(), Board: board, Cancel: cancel, Done: done, Earlier: earlierOf(b.home, board), Silence: silence}
}

func (b *bench) Open(_ context.Context, name string) (*lab.Board, error) {
	board, _, err := foldRun(b.home, name) // the events end with the damage, if there is any
	return board, err
}

func (b *bench) Events(_ context.Context, name string) (events []lab.Event, err error) {
	n := 0 // a list that grows to its length takes several times the memory
	if _, err = scanRun(b.home, name, func(lab.Event) { n++ }); err != nil {
		return nil, err
	}
	events = make([]lab.Event, 0, n)
	_, err = scanRun(b.home, name, func(e lab.Event) { events = append(events, e) })
	return events, err
}

func (b *bench) Pin(run string) error { return b.home.Pin(run) }

func (b *bench) Settings(begin lab.Begin) ([]report.Setting, error) { return runSettings(begin) }

func (b *bench) ExportComparison(_ context.Context, c *report.Runs, format, path string) error {
	return replaceFile(path, func(w io.Writer) error { return c.Write(format, w) })
}

// replaceFile writes a file that the user has named, alone.
func replaceFile(path string, write func(w io.Writer) error) error {
	target, err := filelock.AcquireFile(path)
	if err != nil {
		return err
	}
	defer target.Release()
	return atomicfile.Write(target.Path, write)
}

func (b *bench) Export(_ context.Context, name, format, path string, shown report.Shown) error {
	if err := nearest.Check("format", format, shown.Formats()); err != nil {
		return err
	}
	board, _, err := foldRun(b.home, name)
	if err != nil {
		return fmt.Errorf("run %s: %w", name, err)
	}
	picture, err := shown.Of(board.Snapshot())
	if err != nil {
		return err
	}
	return replaceFile(path, func(w io.Writer) error { return picture(format, w, 0) })
}
