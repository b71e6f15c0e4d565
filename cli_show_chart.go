package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"slimlab/internal/nearest"
	"slimlab/lab/report"
	"slimlab/lab/sweep"
)

// charts are the options of what `show` prints in place of the table of rows.
var charts = []string{"pareto", "pivot", "along", "bars", "curves", "matrix"}

// drawn are those of charts that can be drawn as SVG too.
var drawn = []string{"pareto", "along", "bars"}

// showFormats are the formats of `show`, svg of those of charts that can be drawn.
func showFormats() []string { return append(report.Formats(), "svg") }

// checkDrawn refuses the format svg of what is a table, or no chart.
func checkDrawn(cmd *cobra.Command, format string) error {
	if format != "svg" || slices.ContainsFunc(drawn, cmd.Flags().Changed) {
		return nil
	}
	return errors.New("--format svg: only --pareto, --along and --bars can be drawn; expected it with one of them, or another format")
}

// chartFlags adds what `show` prints in place of the table: a Pareto front, a pivot, a metric
// along an axis, bars, curves, or matrices.
func chartFlags(cmd *cobra.Command, s *report.Shown) {
	cmd.Flags().StringVar(&s.Pareto, "pareto", "", "list the Pareto front of two metrics, such as bytes,auc")
	cmd.Flags().StringVar(&s.Pivot, "pivot", "", "a metric over two axes, down and across, such as ratio,scheme; step is an axis too")
	cmd.Flags().StringVar(&s.Along, "along", "", "a metric along an axis of numbers, such as ratio")
	cmd.Flags().StringVar(&s.Bars, "bars", "", "a bar for each row, of these metrics of one unit behind each other, such as ttft_cold_p50,tpot_p50")
	cmd.Flags().StringVar(&s.Curves, "curves", "", "the points of these series, NAME,... or all, as csv or json")
	cmd.Flags().StringVar(&s.Matrix, "matrix", "", "the tables that steps report, such as a step sensitivity's KL by layer and choice: NAME,... (default: all)")
	cmd.Flags().Lookup("matrix").NoOptDefVal = report.AllMatrices
	cmd.Flags().StringVar(&s.Lines, "lines", "", "what has a line each of --along: an axis, or step (default: the next axis)")
	cmd.Flags().StringVar(&s.Metric, "metric", "", "the metric of --pivot or --along (default: the first of quality)")
	cmd.Flags().StringVar(&s.Step, "step", "", "the step of --pivot or --along (default: the last that depends on their axes; all: each that does)")
	cmd.Flags().StringVar(&s.Aggregate, "aggregate", "", "what several rows of --group, --pivot or --along come to: "+strings.Join(sweep.Aggregates(), ", ")+"; KEY=NAME,... for one metric (default: mean)")
	cmd.Flags().Bool("best", false, "the same as --aggregate best")
}

// checkChart refuses flags of a chart that contradict others.
func checkChart(cmd *cobra.Command, s *report.Shown, format string) error {
	count := 0
	switch best, _ := cmd.Flags().GetBool("best"); {
	case best && cmd.Flags().Changed("aggregate"):
		return fmt.Errorf("--best and --aggregate %s: expected one of them", s.Aggregate)
	case best:
		s.Aggregate = sweep.Best.String()
	case cmd.Flags().Changed("aggregate") && strings.Trim(s.Aggregate, ", ") == "":
		return fmt.Errorf("--aggregate: found nothing, expected one of %s", strings.Join(sweep.Aggregates(), ", "))
	}
	for _, name := range charts {
		if changed := cmd.Flags().Changed(name); changed && cmd.Flags().Lookup(name).Value.String() == "" {
			return fmt.Errorf("--%s: found nothing; see slimlab show --help", name)
		} else if changed {
			count++
		}
	}
	for _, name := range []string{"sort", "columns", "all"} {
		if count > 0 && cmd.Flags().Changed(name) {
			return fmt.Errorf("--%s is of the table of rows, and not of --pareto, --pivot, --along, --bars, --curves or --matrix", name)
		}
	}
	switch {
	case count > 1:
		return fmt.Errorf("--pareto, --pivot, --along, --bars, --curves and --matrix: expected one of them")
	case s.Pivot == "" && s.Along == "" && (s.Metric != "" || s.Step != ""):
		return fmt.Errorf("--metric and --step belong to --pivot or --along, of which none is given")
	case s.Group == "" && s.Pivot == "" && s.Along == "" && s.Aggregate != "":
		return fmt.Errorf("--aggregate and --best belong to --group, --pivot or --along, of which none is given")
	case s.Along == "" && s.Lines != "":
		return fmt.Errorf("--lines belongs to --along, which is not given")
	case count == 0:
		return nil
	case s.Curves != "":
		return nearest.Check("--format of --curves", format, report.CurveFormats())
	case s.Matrix != "":
		return nearest.Check("--format of --matrix", format, report.ChartFormats())
	case s.Pivot != "":
		return nearest.Check("--format of --pivot", format, report.ChartFormats())
	}
	return nearest.Check("--format of --pareto, --along and --bars", format, report.DrawnFormats())
}
