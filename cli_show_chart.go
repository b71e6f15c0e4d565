package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"slimlab/internal/nearest"
	"slimlab/lab/report"
)

// chartFlags adds what `show` prints in place of the table: a Pareto front, or a pivot.
func chartFlags(cmd *cobra.Command, s *report.Shown) {
	cmd.Flags().StringVar(&s.Pareto, "pareto", "", "list the Pareto front of two metrics, such as bytes,auc")
	cmd.Flags().StringVar(&s.Pivot, "pivot", "", "a metric over two axes, down and across, such as ratio,scheme; step is an axis too")
	cmd.Flags().StringVar(&s.Metric, "metric", "", "the metric in the cells of --pivot (default: the first of quality)")
	cmd.Flags().StringVar(&s.Step, "step", "", "the step in the cells of --pivot (default: the last that depends on both axes; all: each that does)")
	cmd.Flags().BoolVar(&s.Best, "best", false, "a cell of --pivot with several rows shows the best, not their mean")
}

// checkChart refuses flags of a chart that contradict others.
func checkChart(cmd *cobra.Command, s *report.Shown, format string) error {
	for _, name := range []string{"sort", "columns", "all"} {
		if (s.Pareto != "" || s.Pivot != "") && cmd.Flags().Changed(name) {
			return fmt.Errorf("--%s is of the table of rows, and not of --pareto or --pivot", name)
		}
	}
	switch {
	case s.Pareto != "" && s.Pivot != "":
		return fmt.Errorf("--pareto and --pivot: expected one of them")
	case s.Pivot == "" && (s.Metric != "" || s.Step != "" || s.Best):
		return fmt.Errorf("--metric, --step and --best belong to --pivot, which is not given")
	case s.Pareto == "" && s.Pivot == "":
		return nil
	}
	return nearest.Check("--format of --pareto and --pivot", format, report.ChartFormats())
}
