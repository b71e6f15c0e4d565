package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"slimlab/internal/nearest"
	"slimlab/lab"
	"slimlab/lab/report"
	"slimlab/lab/run"
	"slimlab/lab/store"
)

func (p *program) watchCommand() *cobra.Command {
	format := "table"
	cmd := &cobra.Command{
		Use:   "watch RUN",
		Short: "follow a run of another process; RUN is an id, a part of one, a scenario, or last",
		Long: "Follow a run that another process writes: progress on stderr as the verb run prints it, and the results when it ends.\n" +
			"RUN is " + store.Naming + ". The exit code is the run's: 0, 3 where an expectation did not hold, 1 where\n" +
			"it failed or crashed (its process is gone), 130 where its user stopped it. Ctrl-C ends the watching (130), never the\n" +
			"run. A run whose process lives and gives no sign of life for 10 s is silent, and watched on.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := nearest.Check("--format", format, report.Formats()); err != nil {
				return usage(err)
			}
			return p.watch(cmd.Context(), args[0], format)
		},
	}
	cmd.Flags().StringVar(&format, "format", format, "output format: "+strings.Join(report.Formats(), ", "))
	return cmd
}

// watch follows a run to its end and prints its results.
func (p *program) watch(ctx context.Context, name, format string) error {
	f, err := p.home.Logs.Follow(name)
	if err != nil {
		return noRun(err)
	}
	defer f.Close()
	board, shown := lab.NewBoard(), newProgress(p.progressTo)
	shown.of(board)
	asked := false // for the times of earlier runs
	for {
		status, err := f.Next(func(e lab.Event) {
			board.Apply(e)
			shown.event(e)
		})
		if shown.forecast != nil && !asked {
			asked, shown.earlier = true, earlierOf(p.home, board)
		}
		if err != nil || status.State.Over() {
			shown.done()
			return p.watched(f.ID(), board.Snapshot(), format, err)
		}
		shown.heard(status, time.Now())
		select {
		case <-ctx.Done():
			shown.done()
			return failure{exitInterrupted, fmt.Errorf("watching ended; the run %s goes on", f.ID())}
		case <-time.After(followEvery):
		}
	}
}

// watched prints the results of a run that was followed. Its error has the exit code that the run
// has, or is problem, with which the following ended.
func (p *program) watched(id string, v *lab.View, format string, problem error) error {
	var err error
	if format == "table" {
		err = report.Text(p.stdout, v, tableWidth())
	} else {
		err = report.Write(format, p.stdout, v)
	}
	var o run.Outcome
	for _, x := range v.Verdicts {
		switch {
		case x.Unjudged:
			o.Unjudged++
		case !x.Held:
			o.Failed = append(o.Failed, x.Text)
		}
	}
	switch {
	case err != nil:
		return broke(err)
	case problem != nil:
		return broke(fmt.Errorf("run %s: printed is what was read: %w", id, problem))
	case v.State == lab.Stopped:
		return failure{exitInterrupted, fmt.Errorf("run %s was stopped; what was finished is kept", id)}
	case v.State != lab.Done:
		return broke(fmt.Errorf("run %s %s: %s%s", id, v.State, v.Error, judgedOf(o, len(v.Verdicts))))
	case len(o.Failed) > 0:
		return failure{exitExpectation, errors.New(strings.TrimSpace(judgedOf(o, len(v.Verdicts))))}
	}
	return nil
}
