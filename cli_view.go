package main

import (
	"errors"
	"fmt"
	"math"

	"github.com/spf13/cobra"

	"slimlab/lab"
	"slimlab/lab/store"
	"slimlab/tui"
)

// board reads a run's log into a board, and warns of a damaged one. "demo" is the recorded demo.
func (p *program) board(name string) (b *lab.Board, problem, err error) {
	b, problem, err = p.readBoard(name)
	if problem != nil {
		p.warnOfDamage(name, problem)
	}
	return b, problem, err
}

func (p *program) warnOfDamage(name string, problem error) {
	fmt.Fprintf(p.stderr, "warning: run %s is shown up to the damage in its log: %v\n", name, problem)
}

// readBoard is board without a word of the damage.
func (p *program) readBoard(name string) (b *lab.Board, problem, err error) {
	b, problem, err = foldRun(p.home, name)
	if err != nil {
		return nil, nil, noRun(err)
	}
	return b, problem, nil
}

// noRun gives the error of a run that was not read its exit code.
func noRun(err error) error {
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrSeveral) {
		return usage(fmt.Errorf("%w; `slimlab runs` lists what there is", err))
	}
	return broke(err)
}

func (p *program) replayCommand() *cobra.Command {
	o := tui.Options{Speed: 1}
	cmd := &cobra.Command{
		Use:   "replay RUN",
		Short: "replay a run in the workbench; demo is the one that ships",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !(o.Speed > 0) || math.IsInf(o.Speed, 0) {
				return usage(fmt.Errorf("--speed %g: expected a finite number above 0", o.Speed))
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
