package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"slimlab/internal/nearest"
	"slimlab/internal/plural"
	"slimlab/lab"
	"slimlab/lab/report"
	"slimlab/lab/run"
	"slimlab/lab/scenario"
	"slimlab/lab/store"
	"slimlab/lab/sweep"
)

const compareHelp = `Compare runs row by row with one of them, the base: first the settings that differ, then each figure
with a verdict. A run is ` + store.Naming + `; demo is the recorded one.

A row is a step of the scenario, in a sweep at values of its axes; a step that does not depend on an
axis is one row. What only one of the runs has measured is said above the figures.

RUN:ROW is one row of a run; rows of one run or of several are compared with each other, whatever they
are called. ROW is a row's step, or the step and values of the sweep's axes ("quantized 0.25 fp8",
"quantized ratio=0.25 scheme=fp8"), as many words as tell it from the other rows.

Verdicts are of the new run: = same, ~ within what seeds, test set and clock do by chance, + better and
- worse beyond that, ! changed where no direction is better, ? unknown: not judged. Footnotes say by what a
figure was judged, or why it was not.

Exit codes: 0 nothing is worse; 4 a figure is worse; 5 not all could be compared: a run is absent,
damaged or not finished, the new run lacks a row of the base, or no row is in both. 4 comes before 5.
Rows that the new run has beside those of the base do not count.`

func (p *program) compareCommand() *cobra.Command {
	format, baseline := "table", ""
	cmd := &cobra.Command{
		Use:   "compare BASE NEW...",
		Short: "compare runs row by row, or rows of runs, with the first or with --baseline",
		Long:  compareHelp,
		Example: `  slimlab compare 20261127-05 20261128-05 last --format md
  slimlab compare last:w8a8 last:w4a16
  slimlab compare 'last:quantized ratio=0.25 scheme=fp8' 'last:quantized 0.5 fp8'`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := nearest.Check("--format", format, report.RunsFormats()); err != nil {
				return usage(err)
			}
			return p.compare(format, baseline, args)
		},
	}
	cmd.Flags().StringVar(&format, "format", format, "output format: "+strings.Join(report.RunsFormats(), ", "))
	cmd.Flags().StringVar(&baseline, "baseline", "", "the run, or RUN:ROW, that the others are compared with, one of them or a further one (default: the first)")
	return cmd
}

// compare writes a comparison of the named runs or rows and returns as its error what a gate fails
// on.
func (p *program) compare(format, baseline string, names []string) error {
	sides, base, err := p.comparedSides(baseline, names)
	if err != nil {
		return err
	}
	c := compareSides(sides, base)
	write := func() error { return c.Write(format, p.stdout) }
	if format == "table" {
		write = func() error { return c.Text(p.stdout, tableWidth()) }
	}
	if err := write(); err != nil {
		return broke(err)
	}
	var damaged error
	for _, s := range sides {
		damaged = cmp.Or(damaged, s.damaged)
	}
	return p.gate(c, damaged)
}

// comparedSide is a run that is compared, or a row of it.
type comparedSide struct {
	view    *lab.View
	row     int   // of View.Rows; wholeRun: all of them
	damaged error // of its log
}

const wholeRun = -1

func compareSides(sides []comparedSide, base int) *report.Runs {
	var rows []report.Side
	var views []*lab.View
	for _, s := range sides {
		views = append(views, s.view)
		rows = append(rows, report.Side{View: s.view, Row: s.row})
	}
	if sides[0].row != wholeRun {
		return report.CompareSides(rows, base, runSettings)
	}
	return report.CompareRuns(views, base, runSettings)
}

// comparedSides reads the runs. base is the index of the baseline, which comes first where it is
// none of the named ones.
func (p *program) comparedSides(baseline string, names []string) (sides []comparedSide, base int, err error) {
	read := p.sideReader()
	for _, name := range names {
		s, err := read(name)
		if err != nil {
			return nil, 0, err
		}
		sides = append(sides, s)
	}
	if baseline != "" {
		s, err := read(baseline)
		if err != nil {
			return nil, 0, err
		}
		base = slices.IndexFunc(sides, func(o comparedSide) bool { return o.view.Begin.Run == s.view.Begin.Run && o.row == s.row })
		if base < 0 {
			base, sides, names = 0, slices.Insert(sides, 0, s), slices.Insert(slices.Clone(names), 0, baseline)
		}
	}
	if len(sides) < 2 {
		return nil, 0, usage(errors.New("compare needs two runs or more: compare BASE NEW..., or compare NEW --baseline RUN"))
	}
	whole := slices.IndexFunc(sides, func(s comparedSide) bool { return s.row == wholeRun })
	part := slices.IndexFunc(sides, func(s comparedSide) bool { return s.row != wholeRun })
	if whole >= 0 && part >= 0 {
		_, row, _ := strings.Cut(names[part], ":")
		return nil, 0, usage(fmt.Errorf("%s is a row and %s a whole run: expected rows alone, such as %q, or runs alone", names[part], names[whole], names[whole]+":"+row))
	}
	return sides, base, nil
}

// sideReader reads RUN or RUN:ROW. Each run is read once, and warned of once.
func (p *program) sideReader() func(name string) (comparedSide, error) {
	runs := map[string]comparedSide{} // by the name that was given
	warned := map[string]bool{}       // a run may be named twice, by its id and as last too
	return func(name string) (comparedSide, error) {
		run, row, ofRow := strings.Cut(name, ":")
		s, known := runs[run]
		if !known {
			b, problem, err := p.readBoard(run)
			if err != nil {
				return s, failure{exitBaseline, err}
			}
			if problem != nil && !warned[problem.Error()] {
				warned[problem.Error()] = true
				p.warnOfDamage(run, problem)
			}
			s = comparedSide{b.Snapshot(), wholeRun, problem}
			runs[run] = s
		}
		if !ofRow {
			return s, nil
		}
		t := sweep.Of(s.view)
		at, err := t.Find(row)
		if err != nil {
			return s, usage(fmt.Errorf("run %s: %w", s.view.Begin.Run, err))
		}
		s.row = t.Rows[at].Index
		return s, nil
	}
}

// gate returns the worst that a comparison has found: a figure that is significantly worse, then
// runs that could not be compared whole. Messages name the run where there are several new ones.
func (p *program) gate(c *report.Runs, damaged error) error {
	var worse, apart, lacks []string
	for i, against := range c.Against {
		if against == nil {
			continue
		}
		of := ""
		if len(c.Runs) > 2 {
			of = fmt.Sprintf("%s %s: ", report.RunMark(i), against.New.Run)
		}
		if list := against.Worse(); len(list) > 0 {
			figures := plural.Of(len(list), "figure") + " are"
			if len(list) == 1 {
				figures = "1 figure is"
			}
			worse = append(worse, fmt.Sprintf("%s%s significantly worse, first %s of %s", of, figures, list[0].Metric.Key, list[0].Row))
		}
		if !against.Comparable {
			apart = append(apart, fmt.Sprintf("%sthe runs are not comparable: %s", of, strings.Join(against.Reasons, "; ")))
		}
		switch {
		case against.Unfinished[1] != "":
			lacks = append(lacks, fmt.Sprintf("%scompared is only what was measured: %s", of, against.Unfinished[1]))
		case len(against.Lost) > 0:
			lacks = append(lacks, fmt.Sprintf("%sthe new run has not measured %s of the base: %s", of, plural.Of(len(against.Lost), "row"), against.LostText()))
		}
	}
	fails := func(code int, texts []string) error { return failure{code, errors.New(strings.Join(texts, "; "))} }
	switch {
	case len(worse) > 0:
		return fails(exitRegression, worse)
	case len(apart) > 0:
		return fails(exitBaseline, apart)
	case damaged != nil:
		return failure{exitBaseline, fmt.Errorf("compared is only what stands before the damage of a log: %w", damaged)}
	case len(lacks) > 0:
		return fails(exitBaseline, lacks)
	}
	for _, against := range c.Against {
		if against != nil && against.Unfinished[0] != "" {
			fmt.Fprintln(p.stderr, "warning: "+against.Unfinished[0])
			break // it is the same base
		}
	}
	return nil
}

// runSettings derives the settings of a run from the scenario that its log holds, at the points of
// the sweep that its cells are at.
func runSettings(b lab.Begin) ([]report.Setting, error) {
	if b.Source == "" {
		return nil, errors.New("its log has no scenario's text")
	}
	s, err := scenario.Parse(b.Scenario+".yaml", []byte(b.Source), scenario.Options{Vocabulary: run.Vocabulary(), Set: b.Settings, Quick: b.Quick})
	if err != nil {
		return nil, fmt.Errorf("this version does not read its scenario: %w", err)
	}
	narrow(s, b.Cells)
	var out []report.Setting
	for _, one := range s.Resolved() {
		out = append(out, report.Setting{Key: one.Key, Value: one.Value})
	}
	return out, nil
}

// narrow leaves the points of a sweep that have the values that all cells have, and the axes that
// are then open.
func narrow(s *scenario.Scenario, cells []lab.Cell) {
	if len(cells) == 0 || slices.ContainsFunc(cells, func(c lab.Cell) bool { return !slices.Equal(c.Params, cells[0].Params) }) {
		return
	}
	has := func(params []lab.Param, key, value string) bool {
		return slices.Contains(params, lab.Param{Key: key, Value: value})
	}
	points := slices.DeleteFunc(slices.Clone(s.Points), func(p scenario.Point) bool {
		return slices.ContainsFunc(cells[0].Params, func(one lab.Param) bool { return !has(p.Params, one.Key, one.Value) })
	})
	if len(points) == 0 || len(points) == len(s.Points) {
		return
	}
	s.Points = points
	s.Axes = slices.DeleteFunc(s.Axes, func(a scenario.Axis) bool {
		return slices.ContainsFunc(cells[0].Params, func(one lab.Param) bool { return one.Key == a.Key })
	})
}
