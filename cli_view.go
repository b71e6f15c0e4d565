package main

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"slimlab/internal/nearest"
	"slimlab/lab"
	"slimlab/lab/report"
	"slimlab/lab/store"
	"slimlab/tui"
)

// board reads a run's log into a board, and warns of a damaged one. "demo" is the recorded demo.
func (p *program) board(name string) (b *lab.Board, problem, err error) {
	events, problem, err := runEvents(p.home, name)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil, failure{exitUsage, fmt.Errorf("run %s: %w; `slimlab runs` lists what there is", name, err)}
	}
	if err != nil {
		return nil, nil, broke(err)
	}
	if problem != nil {
		fmt.Fprintf(p.stderr, "warning: run %s is shown up to the damage in its log: %v\n", name, problem)
	}
	return lab.Fold(events), problem, nil
}

func (p *program) compareCommand() *cobra.Command {
	format := "table"
	cmd := &cobra.Command{
		Use:   "compare BASE NEW",
		Short: "compare two runs row by row",
		Args:  cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := nearest.Check("--format", format, report.CompareFormats()); err != nil {
				return usage(err)
			}
			var views [2]*lab.View
			var damaged error
			for i, name := range args {
				b, problem, err := p.board(name)
				if err != nil {
					return failure{exitBaseline, err}
				}
				views[i], damaged = b.Snapshot(), cmp.Or(damaged, problem)
			}
			c := report.Compare(views[0], views[1])
			if err := c.Write(format, p.stdout); err != nil {
				return broke(err)
			}
			switch worse := c.Worse(); {
			case !c.Comparable:
				return failure{exitBaseline, fmt.Errorf("the runs are not comparable: %s", strings.Join(c.Reasons, "; "))}
			case len(worse) > 0:
				return failure{exitRegression, fmt.Errorf("%d figures are significantly worse, first %s of %s", len(worse), worse[0].Metric.Key, worse[0].Row)}
			case damaged != nil:
				return failure{exitBaseline, fmt.Errorf("compared is only what stands before the damage of a log: %w", damaged)}
			case c.Unfinished[1] != "":
				return failure{exitBaseline, fmt.Errorf("compared is only what was measured: %s", c.Unfinished[1])}
			case len(c.Lost) > 0:
				return failure{exitBaseline, fmt.Errorf("the new run has not measured %s of the base: %s", report.Plural(len(c.Lost), "row"), strings.Join(c.Lost, ", "))}
			}
			if c.Unfinished[0] != "" {
				fmt.Fprintln(p.stderr, "warning: "+c.Unfinished[0])
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&format, "format", format, "output format: "+strings.Join(report.CompareFormats(), ", "))
	return cmd
}

func (p *program) replayCommand() *cobra.Command {
	o := tui.Options{Speed: 1}
	cmd := &cobra.Command{
		Use:   "replay RUN",
		Short: "replay a run in the workbench; demo is the one that ships",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.Speed <= 0 {
				return usage(fmt.Errorf("--speed %g: expected a positive number", o.Speed))
			}
			if _, _, err := p.board(args[0]); err != nil {
				return err
			}
			o.Replay = args[0]
			return p.workbench(cmd.Context(), o)
		},
	}
	cmd.Flags().Float64Var(&o.Speed, "speed", o.Speed, "replay speed, a multiple of the run's own")
	lookFlags(cmd, &o)
	return cmd
}
