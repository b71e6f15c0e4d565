package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"slimlab/internal/filelock"
	"slimlab/internal/plural"
	"slimlab/lab"
	"slimlab/lab/home"
	"slimlab/lab/report"
	"slimlab/lab/run"
	"slimlab/lab/scenario"
)

// runFlags are the flags of `slimlab run`.
type runFlags struct {
	planFlags
	outputFlags
	fresh  bool
	retime bool
	jobs   int
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
			if f.fresh && f.retime {
				return usage(errors.New("--retime keeps the models that --fresh makes again, and --fresh measures all timings too: give one of the two"))
			}
			return p.runAll(cmd, names, f)
		},
	}
	flags := cmd.Flags()
	f.planFlags.add(cmd)
	f.outputFlags.add(cmd)
	flags.BoolVar(&f.fresh, "fresh", false, "build every artifact again instead of reusing those of earlier runs")
	flags.BoolVar(&f.retime, "retime", false, "measure serving again, with the models and their quality of earlier runs: nothing is trained that is there")
	flags.IntVar(&f.jobs, "jobs", 0, "cells to run at once (default: one per core); timings always run alone")
	return cmd
}

// runAll loads all scenarios before it runs the first, so that a mistake in the last does not
// cost an hour. All write into the same outputs.
func (p *program) runAll(cmd *cobra.Command, names []string, f runFlags) error {
	out, err := openOutputs(f.outputFlags, p.stdout)
	defer out.release()
	var plans []*scenario.Plan
	if err == nil {
		plans, err = f.plans(cmd, p.home, names, out)
	}
	if err != nil {
		for _, name := range names {
			out.refuse(name, err)
		}
		return p.endOutputs(out, refusal(err))
	}
	for _, t := range out.targets {
		if t.Warning != "" {
			fmt.Fprintln(p.stderr, "warning:", t.Warning)
		}
	}
	var all error
	for i, plan := range plans {
		if i > 0 && !out.stdoutTaken {
			fmt.Fprintln(p.stdout)
		}
		err := p.runOne(cmd.Context(), plan, f, out)
		all = joinFailures(all, err)
		var fail failure
		if errors.As(err, &fail) && fail.code == exitInterrupted {
			for _, rest := range plans[i+1:] {
				out.refuse(rest.Scenario.Name, errors.New("interrupted before its turn"))
			}
			return p.endOutputs(out, err)
		}
	}
	return p.endOutputs(out, all)
}

// plans loads the scenarios, and checks what is to be saved of the only one.
func (f *runFlags) plans(cmd *cobra.Command, h *home.Home, names []string, out *outputs) (plans []*scenario.Plan, _ error) {
	for _, name := range names {
		s, err := f.load(cmd, name)
		if err != nil {
			return nil, err
		}
		plans = append(plans, s.Plan())
	}
	if len(plans) > 1 && len(f.saves) > 0 {
		return nil, errors.New("--save needs a single scenario")
	}
	return plans, out.openSaves(h, plans[0].Begin(), f.saves)
}

// refusal gives the reason why nothing was begun its exit code.
func refusal(err error) error {
	var coded failure
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &coded):
		return err
	case errors.Is(err, filelock.ErrLocked):
		return broke(err)
	}
	return usage(err)
}

// joinFailures joins what two scenarios end with, a line each. The graver code counts: those of the
// verb run grow milder.
func joinFailures(first, second error) error {
	var a, b failure
	if errors.As(first, &a) && errors.As(second, &b) {
		return failure{min(a.code, b.code), errors.Join(a.err, b.err)}
	}
	return cmp.Or(first, second)
}

// endOutputs writes the outputs for the last time, and says which of them are as they were.
func (p *program) endOutputs(out *outputs, err error) error {
	if files := out.untouched(); err != nil && len(files) > 0 {
		fmt.Fprintf(p.stderr, "the run did not begin: nothing was written to %s\n", strings.Join(files, ", "))
	}
	if writeErr := out.finish(); writeErr != nil && err == nil {
		return broke(writeErr)
	}
	return err
}

// runOne runs one scenario and prints its table.
func (p *program) runOne(ctx context.Context, plan *scenario.Plan, f runFlags, out *outputs) error {
	progress := newProgress(p.progressTo)
	r, err := run.Start(ctx, p.home, plan, run.Options{Fresh: f.fresh, Retime: f.retime, Jobs: f.jobs, Sink: func(e lab.Event) {
		progress.event(e)
		out.event(e)
	}})
	var input run.InputError
	switch {
	case err == nil:
	case errors.As(err, &input):
		out.refuse(plan.Scenario.Name, err)
		return usage(err)
	default:
		out.refuse(plan.Scenario.Name, err)
		return broke(err)
	}
	progress.of(r.Board)
	progress.earlier = earlierOf(p.home, r.Board)
	out.begin(r.Board)
	outcome, err := r.Work(ctx)
	progress.done()
	if err == nil {
		err = out.err
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
		of := ""
		if n := len(plan.Scenario.Seeds); n > 1 {
			of = fmt.Sprintf(", of the first of %d seeds,", n)
		}
		fmt.Fprintf(p.stderr, "saved the model of %s%s to %s\n", s.row, of, s.folder)
	}
	if len(outcome.Failed) > 0 {
		return failure{exitExpectation, errors.New(strings.TrimSpace(judged(outcome, r.Board)))}
	}
	return nil
}

// judged says on a line of its own which expectations do not hold, and how many could not be
// judged; nothing where all hold.
func judged(o run.Outcome, b *lab.Board) string { return judgedOf(o, len(b.Snapshot().Verdicts)) }

// judgedOf is judged of a run with all expectations.
func judgedOf(o run.Outcome, all int) string {
	text := ""
	if n := len(o.Failed); n > 0 {
		text += fmt.Sprintf("\n%d of %s %s not hold: %s", n, plural.Of(all, "expectation"), plural.Words(n, "does", "do"), strings.Join(o.Failed, "; "))
	}
	if o.Unjudged > 0 {
		text += fmt.Sprintf("\n%d of %s %s not judged, since cells failed", o.Unjudged, plural.Of(all, "expectation"), plural.Verb(o.Unjudged))
	}
	return text
}
