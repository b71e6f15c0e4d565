package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"slimlab/internal/nearest"
	"slimlab/lab"
	"slimlab/lab/report"
	"slimlab/lab/run"
	"slimlab/lab/scenario"
)

func (p *program) compareCommand() *cobra.Command {
	format, baseline := "table", ""
	cmd := &cobra.Command{
		Use:   "compare BASE NEW...",
		Short: "compare runs row by row, with the first or with --baseline",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := nearest.Check("--format", format, report.RunsFormats()); err != nil {
				return usage(err)
			}
			return p.compare(format, baseline, args)
		},
	}
	cmd.Flags().StringVar(&format, "format", format, "output format: "+strings.Join(report.RunsFormats(), ", "))
	cmd.Flags().StringVar(&baseline, "baseline", "", "the run that the others are compared with, one of them or a further one (default: the first)")
	return cmd
}

// compare writes a comparison of the named runs and returns as its error what a gate fails on.
func (p *program) compare(format, baseline string, names []string) error {
	views, base, damaged, err := p.comparedViews(baseline, names)
	if err != nil {
		return err
	}
	c := report.CompareRuns(views, base, runSettings)
	if err := c.Write(format, p.stdout); err != nil {
		return broke(err)
	}
	return p.gate(c, damaged)
}

// comparedViews reads the runs. base is the index of the baseline, which comes first where it is
// none of the named runs; damaged is the first damage of a log.
func (p *program) comparedViews(baseline string, names []string) (views []*lab.View, base int, damaged, err error) {
	warned := map[string]bool{} // a run may be named twice, by its id and as last too
	read := func(name string) *lab.View {
		b, problem, failed := p.readBoard(name)
		if failed != nil {
			err = cmp.Or(err, error(failure{exitBaseline, failed}))
			return nil
		}
		if problem != nil && !warned[problem.Error()] {
			warned[problem.Error()] = true
			p.warnOfDamage(name, problem)
		}
		damaged = cmp.Or(damaged, problem)
		return b.Snapshot()
	}
	for _, name := range names {
		views = append(views, read(name))
		if err != nil {
			return nil, 0, nil, err
		}
	}
	if baseline != "" {
		v := read(baseline)
		if err != nil {
			return nil, 0, nil, err
		}
		base = slices.IndexFunc(views, func(other *lab.View) bool { return other.Begin.Run == v.Begin.Run })
		if base < 0 {
			base, views = 0, append([]*lab.View{v}, views...)
		}
	}
	if len(views) < 2 {
		return nil, 0, nil, usage(errors.New("compare needs two runs or more: compare BASE NEW..., or compare NEW --baseline RUN"))
	}
	return views, base, damaged, nil
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
			worse = append(worse, fmt.Sprintf("%s%d figures are significantly worse, first %s of %s", of, len(list), list[0].Metric.Key, list[0].Row))
		}
		if !against.Comparable {
			apart = append(apart, fmt.Sprintf("%sthe runs are not comparable: %s", of, strings.Join(against.Reasons, "; ")))
		}
		switch {
		case against.Unfinished[1] != "":
			lacks = append(lacks, fmt.Sprintf("%scompared is only what was measured: %s", of, against.Unfinished[1]))
		case len(against.Lost) > 0:
			lacks = append(lacks, fmt.Sprintf("%sthe new run has not measured %s of the base: %s", of, report.Plural(len(against.Lost), "row"), strings.Join(against.Lost, ", ")))
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

// runSettings derives the settings of a run from the scenario that its log holds.
func runSettings(b lab.Begin) ([]report.Setting, error) {
	if b.Source == "" {
		return nil, errors.New("its log has no scenario's text")
	}
	s, err := scenario.Parse(b.Scenario+".yaml", []byte(b.Source), scenario.Options{Vocabulary: run.Vocabulary(), Set: b.Settings, Quick: b.Quick})
	if err != nil {
		return nil, fmt.Errorf("this version does not read its scenario: %w", err)
	}
	var out []report.Setting
	for _, one := range s.Resolved() {
		out = append(out, report.Setting{Key: one.Key, Value: one.Value})
	}
	return out, nil
}
