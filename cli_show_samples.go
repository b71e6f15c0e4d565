package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"slimlab/internal/nearest"
	"slimlab/lab/report"
)

// checkSamples refuses what does not go with --samples.
func checkSamples(cmd *cobra.Command, format string) error {
	for _, name := range []string{"tokens", "where", "sort", "columns", "all", "group", "baseline", "pareto", "pivot", "along", "bars", "curves", "matrix", "lines", "metric", "step", "aggregate", "best"} {
		if cmd.Flags().Changed(name) {
			return fmt.Errorf("--samples: the samples of all trainings are shown; expected --samples or --%s, not both", name)
		}
	}
	return nearest.Check("--format of --samples", format, report.SampleFormats())
}

// showSamples prints what a run's trainings have sampled.
func (p *program) showSamples(run, format string) error {
	b, _, err := p.board(run)
	if err != nil {
		return err
	}
	return broke(report.WriteSamples(format, p.stdout, b.Snapshot()))
}
