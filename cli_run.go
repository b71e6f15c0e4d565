package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"slimlab/internal/filelock"
	"slimlab/lab"
	"slimlab/lab/report"
	"slimlab/lab/run"
	"slimlab/lab/scenario"
)

// runFlags are the flags of `slimlab run`.
type runFlags struct {
	planFlags
	outputFlags
	fresh bool
	jobs  int
}

func (p *program) runCommand() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run SCENARIO...",
		Short: "run scenarios headless and print their tables",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error {
			if f.jobs < 0 {
				return usage(fmt.Errorf("--jobs %d: expected at least 1, or 0 for one per core", f.jobs))
			}
			return p.runAll(cmd, names, f)
		},
	}
	flags := cmd.Flags()
	f.planFlags.add(cmd)
	f.outputFlags.add(cmd)
	flags.BoolVar(&f.fresh, "fresh", false, "build every artifact again instead of reusing those of earlier runs")
	flags.IntVar(&f.jobs, "jobs", 0, "cells to run at once (default: one per core); timings always run alone")
	return cmd
}

// runAll loads all scenarios before it runs the first, so that a mistake in the last does not
// cost an hour.
func (p *program) runAll(cmd *cobra.Command, names []string, f runFlags) error {
	var plans []*scenario.Plan
	for _, name := range names {
		s, err := f.load(cmd, name)
		if err != nil {
			return err
		}
		plans = append(plans, s.Plan())
	}
	if len(plans) > 1 && len(f.saves) > 0 {
		return usage(errors.New("--save needs a single scenario"))
	}
	var worst error
	for _, plan := range plans {
		err := p.runOne(cmd.Context(), plan, f)
		var fail failure
		if errors.As(err, &fail) && fail.code == exitInterrupted {
			return err
		}
		if worst == nil {
			worst = err
		}
	}
	return worst
}

func (p *program) runOne(ctx context.Context, plan *scenario.Plan, f runFlags) error {
	out, err := openOutputs(plan.Scenario.Rows, f.outputFlags, p.stdout)
	switch {
	case errors.Is(err, filelock.ErrLocked):
		return broke(err)
	case err != nil:
		return usage(err)
	}
	defer out.release()
	for _, t := range out.targets {
		if t.Warning != "" {
			fmt.Fprintln(p.stderr, "warning:", t.Warning)
		}
	}
	progress := newProgress(p.progressTo)
	r, err := run.Start(ctx, p.home, plan, run.Options{Fresh: f.fresh, Jobs: f.jobs, Sink: func(e lab.Event) {
		progress.event(e)
		out.event(e)
	}})
	var input run.InputError
	if errors.As(err, &input) {
		return usage(err)
	}
	if err != nil {
		return broke(err)
	}
	out.board = r.Board
	outcome, err := r.Work(ctx)
	progress.done()
	if writeErr := out.finish(); writeErr != nil && err == nil {
		err = writeErr
	}
	if !out.stdoutTaken {
		if tableErr := report.Text(p.stdout, r.Board.Snapshot(), tableWidth()); tableErr != nil && err == nil {
			err = tableErr
		}
	}
	if err != nil {
		if errors.Is(err, context.Canceled) {
			return failure{exitInterrupted, fmt.Errorf("interrupted; what was finished is kept, and the same command goes on from there (run %s)", r.ID)}
		}
		return broke(fmt.Errorf("run %s: %w%s", r.ID, err, judged(outcome, r.Board)))
	}
	for _, s := range out.saves {
		if err := p.home.SaveRow(r.ID, s.row, s.folder); err != nil {
			return broke(err)
		}
	}
	if len(outcome.Failed) > 0 {
		return failure{exitExpectation, errors.New(strings.TrimSpace(judged(outcome, r.Board)))}
	}
	return nil
}

// judged says on a line of its own which expectations do not hold, and how many could not be
// judged; nothing where all hold.
func judged(o run.Outcome, b *lab.Board) string {
	all, text := len(b.Snapshot().Verdicts), ""
	if n := len(o.Failed); n > 0 {
		text += fmt.Sprintf("\n%d of %d expectations do not hold: %s", n, all, strings.Join(o.Failed, "; "))
	}
	if o.Unjudged > 0 {
		text += fmt.Sprintf("\n%d of %d expectations are not judged, since cells failed", o.Unjudged, all)
	}
	return text
}
