package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"slimlab/internal/nearest"
	"slimlab/lab"
	"slimlab/lab/report"
	"slimlab/lab/sweep"
)

// showChart is what `show` prints in place of the table: a Pareto front, or a pivot.
type showChart struct {
	pareto, pivot, metric, step string
	best                        bool
}

func (c *showChart) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&c.pareto, "pareto", "", "list the Pareto front of two metrics, such as bytes,auc")
	cmd.Flags().StringVar(&c.pivot, "pivot", "", "a metric over two axes, down and across, such as ratio,scheme; step is an axis too")
	cmd.Flags().StringVar(&c.metric, "metric", "", "the metric in the cells of --pivot (default: the first of quality)")
	cmd.Flags().StringVar(&c.step, "step", "", "the step in the cells of --pivot (default: the last that depends on both axes; all: each that does)")
	cmd.Flags().BoolVar(&c.best, "best", false, "a cell of --pivot with several rows shows the best, not their mean")
}

// asked reports whether a chart is printed, and refuses flags that contradict each other.
func (c *showChart) asked(cmd *cobra.Command, format string) (bool, error) {
	for _, name := range []string{"sort", "columns", "all"} {
		if (c.pareto != "" || c.pivot != "") && cmd.Flags().Changed(name) {
			return false, usage(fmt.Errorf("--%s is of the table of rows, and not of --pareto or --pivot", name))
		}
	}
	switch {
	case c.pareto != "" && c.pivot != "":
		return false, usage(fmt.Errorf("--pareto and --pivot: expected one of them"))
	case c.pivot == "" && (c.metric != "" || c.step != "" || c.best):
		return false, usage(fmt.Errorf("--metric, --step and --best belong to --pivot, which is not given"))
	case c.pareto == "" && c.pivot == "":
		return false, nil
	}
	return true, usage(nearest.Check("--format of --pareto and --pivot", format, report.ChartFormats()))
}

// write prints the chart of a table.
func (c *showChart) write(w io.Writer, format string, t *sweep.Table) error {
	if c.pareto != "" {
		return c.writeFront(w, format, t)
	}
	return c.writePivot(w, format, t)
}

func (c *showChart) writeFront(w io.Writer, format string, t *sweep.Table) error {
	keys, err := pair("--pareto", c.pareto, "two metrics, such as bytes,auc")
	if err != nil {
		return err
	}
	var metrics [2]lab.Metric
	for i, key := range keys {
		if metrics[i], err = metricFlag("--pareto", key); err != nil {
			return err
		}
	}
	f, err := t.Front(nil, metrics[0], metrics[1])
	if err != nil {
		return usage(fmt.Errorf("--pareto %s: %w", c.pareto, err))
	}
	if len(f.Points) == 0 {
		return usage(fmt.Errorf("--pareto %s: no row has both metrics; this run has %s", c.pareto, measuredKeys(t)))
	}
	return broke(report.WriteFront(format, w, t, f))
}

func (c *showChart) writePivot(w io.Writer, format string, t *sweep.Table) error {
	if axes := t.PivotAxes(); len(axes) < 2 {
		return usage(fmt.Errorf("--pivot %s: the run has %s, expected two axes", c.pivot, axisCount(axes)))
	}
	keys, err := pair("--pivot", c.pivot, "two axes, such as ratio,scheme")
	if err != nil {
		return err
	}
	q := sweep.Question{Down: keys[0], Across: keys[1], Step: c.step, Best: c.best, Metric: sweep.Quality(t.View)}
	if c.metric != "" {
		if q.Metric, err = metricFlag("--metric", c.metric); err != nil {
			return err
		}
	}
	switch c.step {
	case "":
		q.Step = t.LastStep(keys[0], keys[1])
	case "all":
		if !slices.Contains(t.Steps(), "all") {
			q.Step = ""
		}
	}
	p, err := t.Pivot(nil, q)
	if err != nil {
		return usage(fmt.Errorf("--pivot: %w", err))
	}
	if p.Aggregated() == 0 {
		return usage(fmt.Errorf("--pivot %s: no cell has %s; this run has %s", c.pivot, q.Metric.Key, measuredKeys(t)))
	}
	return broke(report.WritePivot(format, w, t, p))
}

// pair reads two names with a comma between.
func pair(flag, value, expected string) ([2]string, error) {
	a, b, ok := strings.Cut(value, ",")
	a, b = strings.TrimSpace(a), strings.TrimSpace(b)
	if !ok || a == "" || b == "" || strings.Contains(b, ",") {
		return [2]string{}, usage(fmt.Errorf("%s: found %q, expected %s", flag, value, expected))
	}
	return [2]string{a, b}, nil
}

func metricFlag(flag, key string) (lab.Metric, error) {
	m, ok := lab.MetricByKey(key)
	if ok {
		return m, nil
	}
	var keys []string
	for _, m := range lab.Metrics() {
		keys = append(keys, m.Key)
	}
	return m, usage(nearest.Unknown(flag+": metric", key, keys))
}

// measuredKeys lists the metrics of a run's rows.
func measuredKeys(t *sweep.Table) string {
	var keys []string
	for _, m := range lab.Metrics() {
		if slices.ContainsFunc(t.Rows, func(r sweep.Row) bool { _, ok := r.Metric(m.Key); return ok }) {
			keys = append(keys, m.Key)
		}
	}
	if len(keys) == 0 {
		return "measured nothing"
	}
	return strings.Join(keys, ", ")
}

func axisCount(axes []string) string {
	if len(axes) == 0 {
		return "no axis and one step"
	}
	return "one axis (" + axes[0] + ")"
}
