package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"slimlab/internal/atomicfile"
	"slimlab/internal/nearest"
	"slimlab/lab"
	"slimlab/lab/report"
	"slimlab/lab/run"
	"slimlab/lab/scenario"
	"slimlab/scenarios"
)

// runFlags are the flags of `slimlab run`.
type runFlags struct {
	set     []string
	seed    int
	seeds   int
	quick   bool
	fresh   bool
	jobs    int
	exports []string
	events  string
	saves   []string
}

func (p *program) runCommand() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run SCENARIO...",
		Short: "run scenarios headless and print their tables",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error {
			return p.runAll(cmd, names, f)
		},
	}
	flags := cmd.Flags()
	addPlanFlags(cmd, &f)
	flags.BoolVar(&f.fresh, "fresh", false, "make every artifact anew instead of taking those of earlier runs")
	flags.IntVar(&f.jobs, "jobs", 0, "cells to work on at once (default: one a core); timings are taken alone in any case")
	flags.StringArrayVar(&f.exports, "export", nil, "FORMAT=FILE: also write the results as table, md, csv, json or junit; - is stdout (repeatable)")
	flags.StringVar(&f.events, "events", "", "write every event as a line of JSON to this file; - is stdout")
	flags.StringArrayVar(&f.saves, "save", nil, "ROW=FOLDER: copy a row's model there, as a Hugging Face folder (repeatable)")
	return cmd
}

func addPlanFlags(cmd *cobra.Command, f *runFlags) {
	flags := cmd.Flags()
	flags.StringArrayVar(&f.set, "set", nil, "KEY=VALUE: change the scenario, such as task.members=100 or distilled.steps=50 (repeatable)")
	flags.IntVar(&f.seed, "seed", 0, "the first seed (default 1)")
	flags.IntVar(&f.seeds, "seeds", 0, "number of seeds (default: the scenario's)")
	flags.BoolVar(&f.quick, "quick", false, "lay the scenario's section quick over it: smaller, shorter, one seed")
}

// load reads a scenario with the command line's changes.
func (p *program) load(cmd *cobra.Command, name string, f runFlags) (*scenario.Scenario, error) {
	o := scenario.Options{Set: f.set, Quick: f.quick, Seeds: f.seeds}
	if cmd.Flags().Changed("seed") {
		o.Seed = &f.seed
	}
	s, err := run.LoadScenario(name, scenarios.Files, o)
	if err != nil {
		return nil, failure{exitUsage, err}
	}
	return s, nil
}

// runAll loads all scenarios before it runs the first, so that a slip in the last does not cost an
// hour.
func (p *program) runAll(cmd *cobra.Command, names []string, f runFlags) error {
	var plans []*scenario.Plan
	for _, name := range names {
		s, err := p.load(cmd, name, f)
		if err != nil {
			return err
		}
		plans = append(plans, s.Plan())
	}
	if len(plans) > 1 && len(f.saves) > 0 {
		return failure{exitUsage, errors.New("--save needs a single scenario")}
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
	out, err := openOutputs(plan.Scenario, f, p.stdout)
	if err != nil {
		return failure{exitUsage, err}
	}
	defer out.close()
	progress := newProgress(p.stderr)
	r, err := run.Start(p.home, plan, run.Options{Fresh: f.fresh, Jobs: f.jobs, Sink: func(e lab.Event) {
		progress.event(e)
		out.event(e)
	}})
	var input run.InputError
	if errors.As(err, &input) {
		return failure{exitUsage, err}
	}
	if err != nil {
		return failure{exitBroke, err}
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
		return failure{exitBroke, fmt.Errorf("run %s: %w", r.ID, err)}
	}
	for _, save := range f.saves {
		row, folder, _ := strings.Cut(save, "=")
		if err := p.home.SaveRow(r.ID, row, folder); err != nil {
			return failure{exitBroke, err}
		}
	}
	if n := len(outcome.Failed); n > 0 {
		return failure{exitExpectation, fmt.Errorf("%d of %d expectations do not hold: %s", n, len(r.Board.Snapshot().Verdicts), strings.Join(outcome.Failed, "; "))}
	}
	return nil
}

// outputs are the files that a run writes beside its table.
type outputs struct {
	board       *lab.Board
	exports     []export
	events      io.WriteCloser
	err         error // of writing events
	stdoutTaken bool
	stdout      io.Writer
}

type export struct{ format, file string }

// openOutputs checks formats and creates the files, so that a bad path is told before the work.
func openOutputs(s *scenario.Scenario, f runFlags, stdout io.Writer) (*outputs, error) {
	out := &outputs{stdout: stdout}
	for _, text := range f.exports {
		format, file, ok := strings.Cut(text, "=")
		if !ok || file == "" {
			return nil, fmt.Errorf("--export %s: expected FORMAT=FILE", text)
		}
		if err := checkFormat(format); err != nil {
			return nil, fmt.Errorf("--export %s: %w", text, err)
		}
		if file == "-" {
			out.stdoutTaken = true
		} else if err := touch(file); err != nil {
			return nil, fmt.Errorf("--export %s: %w", text, err)
		}
		out.exports = append(out.exports, export{format, file})
	}
	for _, text := range f.saves {
		row, folder, ok := strings.Cut(text, "=")
		if !ok || folder == "" {
			return nil, fmt.Errorf("--save %s: expected ROW=FOLDER", text)
		}
		if !slices.Contains(s.Rows, row) {
			return nil, fmt.Errorf("--save %s: the scenario has no row %q; it has: %s", text, row, strings.Join(s.Rows, ", "))
		}
	}
	switch f.events {
	case "":
	case "-":
		out.events, out.stdoutTaken = nopCloser{stdout}, true
	default:
		file, err := os.Create(f.events)
		if err != nil {
			return nil, fmt.Errorf("--events: %w", err)
		}
		out.events = file
	}
	return out, nil
}

func checkFormat(format string) error {
	if !slices.Contains(report.Formats(), format) {
		return fmt.Errorf("format %q: expected one of %s%s", format, strings.Join(report.Formats(), ", "), nearest.Suggest(format, report.Formats()))
	}
	return nil
}

func touch(file string) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// event writes an event line, and the exports when a cell has ended.
func (o *outputs) event(e lab.Event) {
	if o.events != nil && o.err == nil {
		line, err := json.Marshal(e)
		if err == nil {
			_, err = o.events.Write(append(line, '\n'))
		}
		o.err = err
	}
	if e.Kind == lab.KindCell && e.State >= lab.Done && o.board != nil {
		o.err = errors.Join(o.err, o.write(false))
	}
}

// write rewrites the exports; those to stdout only at the end.
func (o *outputs) write(end bool) error {
	var errs error
	for _, x := range o.exports {
		if x.file == "-" && !end {
			continue
		}
		errs = errors.Join(errs, writeExport(o.stdout, x.format, x.file, o.board.Snapshot()))
	}
	return errs
}

func writeExport(stdout io.Writer, format, file string, view *lab.View) error {
	if file == "-" {
		return report.Write(format, stdout, view)
	}
	return atomicfile.Write(file, func(w io.Writer) error { return report.Write(format, w, view) })
}

func (o *outputs) finish() error {
	if o.board == nil {
		return o.err
	}
	return errors.Join(o.err, o.write(true))
}

func (o *outputs) close() {
	if o.events != nil {
		o.events.Close()
	}
}

// progress tells on stderr what a headless run is doing: one rewritten line on a terminal, else a
// line for each row and every ten seconds.
type progress struct {
	w        io.Writer
	terminal bool
	last     float64 // when a line was last written, in the run's seconds
	width    int
}

func newProgress(w io.Writer) *progress {
	f, ok := w.(*os.File)
	return &progress{w: w, terminal: ok && isTerminal(f), last: -1}
}

func (p *progress) event(e lab.Event) {
	switch e.Kind {
	case lab.KindBegin:
		p.line(e.Time, fmt.Sprintf("%s: run %s, %d cells × %d steps", e.Name, e.Begin.Run, len(e.Begin.Cells), len(e.Begin.Rows)))
	case lab.KindNote:
		p.line(e.Time, fmt.Sprintf("%s: %s", e.Level, join(e.Cell, e.Text)))
	case lab.KindRow:
		p.line(e.Time, join(e.Cell, "measured "+e.Row+quality(e)))
	case lab.KindCell:
		if e.State != lab.Running {
			return
		}
		text := join(e.Cell, e.Stage)
		if e.Text != "" {
			text += " " + e.Text
		}
		if e.Total > 0 {
			text += fmt.Sprintf(" %d/%d", e.Step, e.Total)
		}
		p.passing(e.Time, text)
	}
}

// passing shows a text that the next one replaces: on a terminal; else it is a line every ten
// seconds.
func (p *progress) passing(at float64, text string) {
	switch {
	case p.terminal:
		fmt.Fprintf(p.w, "\r%-*s", p.width, stamp(at)+text)
		p.width = len(stamp(at) + text)
	case at-p.last >= 10:
		p.line(at, text)
	}
}

func quality(e lab.Event) string {
	for _, key := range []string{"auc_soft", "loss"} {
		if m, ok := e.Values[key]; ok {
			metric, _ := lab.MetricByKey(key)
			return fmt.Sprintf(": %s %.4f", metric.Label, m.Value)
		}
	}
	return ""
}

func join(cell, text string) string {
	if cell == "" {
		return text
	}
	return cell + " · " + text
}

func stamp(seconds float64) string {
	return fmt.Sprintf("%6.1fs ", time.Duration(seconds*float64(time.Second)).Seconds())
}

func (p *progress) line(at float64, text string) {
	p.done()
	fmt.Fprintln(p.w, stamp(at)+text)
	p.last = at
}

// done ends a rewritten line.
func (p *progress) done() {
	if p.width > 0 {
		fmt.Fprintf(p.w, "\r%*s\r", p.width, "")
		p.width = 0
	}
}
