package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"slimlab/lab"
	"slimlab/lab/report"
	"slimlab/lab/run"
	"slimlab/lab/store"
	"slimlab/tui"
)

// tableWidth is the width that tables are laid out for: the terminal's, or none where stdout is not
// one.
func tableWidth() int {
	if w, _, err := term.GetSize(int(os.Stdout.Fd())); err == nil {
		return w
	}
	return 0
}

func (p *program) checkCommand() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "check SCENARIO...",
		Short: "validate scenarios and print their plans",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error {
			for _, name := range names {
				s, err := p.load(cmd, name, f)
				if err != nil {
					return err
				}
				plan, err := run.Check(p.home, s.Plan())
				if err != nil {
					return failure{exitUsage, err}
				}
				fmt.Fprintf(p.stdout, "%s: %s\n", s.Name, s.About)
				w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
				for _, c := range plan {
					fmt.Fprintf(w, "%s\n", c.Cell)
					for _, step := range c.Steps {
						fmt.Fprintf(w, "  %s\t%s\t%s\n", step.Name, step.Kind, step.State)
					}
				}
				if err := w.Flush(); err != nil {
					return failure{exitBroke, err}
				}
			}
			return nil
		},
	}
	addPlanFlags(cmd, &f)
	return cmd
}

func (p *program) runsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "runs",
		Short: "list past runs, newest first",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			runs, err := p.home.Logs.List()
			if err != nil {
				return failure{exitBroke, err}
			}
			if len(runs) == 0 {
				fmt.Fprintln(p.stderr, "no runs yet; try: slimlab run figure1 --quick")
				return nil
			}
			w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
			for _, r := range runs {
				state := r.State.String()
				switch {
				case r.Problem != nil:
					state = "damaged: " + r.Problem.Error()
				case r.Interrupted:
					state = "interrupted"
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", r.ID, r.Scenario, r.Started.Format("2006-01-02 15:04"), r.Duration.Round(100*time.Millisecond), state)
			}
			return w.Flush()
		},
	}
}

// board reads a run's log into a board. "demo" is the recorded demo.
func (p *program) board(name string) (*lab.Board, error) {
	events, err := runEvents(p.home, name)
	if errors.Is(err, store.ErrNotFound) {
		return nil, failure{exitUsage, fmt.Errorf("run %s: %w; `slimlab runs` lists what there is", name, err)}
	}
	if err != nil {
		return nil, failure{exitBroke, err}
	}
	return lab.Fold(events), nil
}

func (p *program) showCommand() *cobra.Command {
	format := "table"
	cmd := &cobra.Command{
		Use:   "show RUN",
		Short: "print a run's results; RUN is an id, the beginning of one, or last",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := checkFormat(format); err != nil {
				return failure{exitUsage, err}
			}
			b, err := p.board(args[0])
			if err != nil {
				return err
			}
			if format == "table" {
				return report.Text(p.stdout, b.Snapshot(), tableWidth())
			}
			return report.Write(format, p.stdout, b.Snapshot())
		},
	}
	cmd.Flags().StringVar(&format, "format", format, strings.Join(report.Formats(), ", "))
	return cmd
}

func (p *program) compareCommand() *cobra.Command {
	format := "table"
	cmd := &cobra.Command{
		Use:   "compare BASE NEW",
		Short: "compare two runs row by row",
		Args:  cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			var views [2]*lab.View
			for i, name := range args {
				b, err := p.board(name)
				if err != nil {
					return failure{exitBaseline, err}
				}
				views[i] = b.Snapshot()
			}
			c := report.Compare(views[0], views[1])
			if err := c.Write(format, p.stdout); err != nil {
				return failure{exitUsage, err}
			}
			switch worse := c.Worse(); {
			case !c.Comparable:
				return failure{exitBaseline, fmt.Errorf("the runs are not comparable: %s", strings.Join(c.Reasons, "; "))}
			case len(worse) > 0:
				return failure{exitRegression, fmt.Errorf("%d figures are significantly worse, first %s of %s", len(worse), worse[0].Metric.Key, worse[0].Row)}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&format, "format", format, strings.Join(report.CompareFormats(), ", "))
	return cmd
}

func (p *program) replayCommand() *cobra.Command {
	speed, ascii := 1.0, false
	cmd := &cobra.Command{
		Use:   "replay RUN",
		Short: "replay a run in the workbench; demo is the one that ships",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if speed <= 0 {
				return failure{exitUsage, fmt.Errorf("--speed %g: expected a positive number", speed)}
			}
			if _, err := p.board(args[0]); err != nil {
				return err
			}
			return p.workbench(cmd.Context(), tui.Options{Replay: args[0], Speed: speed, ASCII: ascii})
		},
	}
	cmd.Flags().Float64Var(&speed, "speed", speed, "how many times faster than it ran")
	cmd.Flags().BoolVar(&ascii, "ascii", false, "draw with ASCII characters only")
	return cmd
}
