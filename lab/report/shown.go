package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"slimlab/internal/nearest"
	"slimlab/lab"
	"slimlab/lab/sweep"
)

// Shown is what of a run is shown, as the options of `slimlab show` name it: rows, or in their
// place groups, a Pareto front, a pivot of them, a metric along an axis, bars, curves, or matrices.
// Of Group, Pareto, Pivot, Along, Bars, Curves and Matrix at most one is set.
type Shown struct {
	sweep.Selection
	Group  string // keys, with commas between: step, axes
	Pareto string // two metrics, with a comma between
	Pivot  string // two axes, with a comma between: down, across
	Along  string // an axis of numbers
	Bars   string // metrics of one unit, with commas between
	Curves string // series with commas between, or AllCurves
	Matrix string // matrices with commas between, or AllMatrices
	Lines  string // an axis or step, whose values have a line each of Along; empty: the next axis
	Metric string // of Pivot and Along; empty: the first of quality
	// of Pivot and Along; empty: the last that depends on their axes; all: each that does
	Step string
	// of Group, Pivot and Along, what several rows come to: a sweep.Choice as text; empty: the mean
	Aggregate string
}

// Plain reports whether a run is shown whole, as it is.
func (s *Shown) Plain() bool { return *s == Shown{} }

// Formats lists the formats of its figures. Charts can be drawn too: DrawnFormats.
func (s *Shown) Formats() []string {
	switch {
	case s.Plain():
		return Formats()
	case s.Curves != "":
		return CurveFormats()
	case s.Pareto != "" || s.Pivot != "" || s.Along != "" || s.Bars != "" || s.Matrix != "":
		return ChartFormats()
	}
	return GroupFormats() // junit has no rows
}

// Options are the options of `slimlab show` that show it, in the order of their help, without
// quotes for a shell.
func (s *Shown) Options() []string {
	var options []string
	for _, one := range []struct{ option, value string }{
		{"--where", s.Where}, {"--sort", s.Sort}, {"--columns", s.Columns}, {"--group", s.Group},
		{"--pareto", s.Pareto}, {"--pivot", s.Pivot}, {"--curves", s.Curves}, {"--matrix", s.Matrix}, {"--along", s.Along}, {"--lines", s.Lines}, {"--metric", s.Metric}, {"--step", s.Step}, {"--aggregate", s.Aggregate},
		{"--bars", s.Bars},
	} {
		if one.value != "" {
			options = append(options, one.option, one.value)
		}
	}
	if s.All {
		options = append(options, "--all")
	}
	return options
}

// Picture is what is shown of a run, ready to be written in a format, for a terminal of a width (0
// is without limit).
type Picture func(format string, w io.Writer, width int) error

// Of arranges it of a run. Its errors name the option.
func (s *Shown) Of(v *lab.View) (Picture, error) {
	selection := s.Selection
	if s.Group != "" {
		selection.Sort = "" // which orders the groups
	}
	table, err := sweep.Select(v, selection)
	if err != nil {
		return nil, fmt.Errorf("--%w", err)
	}
	switch {
	case s.Group != "":
		choice, err := s.choiceOf()
		if err != nil {
			return nil, err
		}
		groups, err := table.Group(s.Group, s.Sort, choice)
		if err != nil {
			return nil, fmt.Errorf("--%w", err)
		}
		return func(format string, w io.Writer, width int) error { return WriteGroups(format, w, groups, width) }, nil
	case s.Pareto != "":
		return s.frontOf(table)
	case s.Pivot != "":
		return s.pivotOf(table)
	case s.Along != "":
		return s.alongOf(table)
	case s.Bars != "":
		return s.barsOf(table)
	case s.Curves != "":
		return s.curvesOf(table)
	case s.Matrix != "":
		return s.matrixOf(table)
	}
	return func(format string, w io.Writer, width int) error {
		if format == "table" {
			return TextOf(w, table, width)
		}
		return WriteTables(format, w, table)
	}, nil
}

func (s *Shown) frontOf(t *sweep.Table) (Picture, error) {
	keys, err := twoNames("--pareto", s.Pareto, "two metrics, such as bytes,auc")
	if err != nil {
		return nil, err
	}
	var metrics [2]lab.Metric
	for i, key := range keys {
		if metrics[i], err = metricNamed("--pareto", key); err != nil {
			return nil, err
		}
	}
	f, err := t.Front(nil, metrics[0], metrics[1])
	if err != nil {
		return nil, fmt.Errorf("--pareto %s: %w", s.Pareto, err)
	}
	if len(f.Points) == 0 {
		return nil, fmt.Errorf("--pareto %s: no row has both metrics; this run has %s", s.Pareto, measuredKeys(t))
	}
	return func(format string, w io.Writer, _ int) error { return WriteFront(format, w, t, f) }, nil
}

func (s *Shown) pivotOf(t *sweep.Table) (Picture, error) {
	if axes := t.PivotAxes(); len(axes) < 2 {
		return nil, fmt.Errorf("--pivot %s: the run has %s, expected two axes", s.Pivot, axisCount(axes))
	}
	keys, err := twoNames("--pivot", s.Pivot, "two axes, such as ratio,scheme")
	if err != nil {
		return nil, err
	}
	q := sweep.Question{Down: keys[0], Across: keys[1], Step: s.Step, Metric: sweep.Quality(t.View)}
	if s.Metric != "" {
		if q.Metric, err = metricNamed("--metric", s.Metric); err != nil {
			return nil, err
		}
	}
	if q.Aggregate, err = s.aggregateOf(q.Metric); err != nil {
		return nil, err
	}
	switch s.Step {
	case "":
		q.Step = t.LastStep(keys[0], keys[1])
	case "all":
		if !slices.Contains(t.Steps(), "all") {
			q.Step = ""
		}
	}
	p, err := t.Pivot(nil, q)
	if err != nil {
		return nil, fmt.Errorf("--pivot: %w", err)
	}
	if p.Aggregated() == 0 {
		return nil, fmt.Errorf("--pivot %s: no cell has %s; this run has %s", s.Pivot, q.Metric.Key, measuredKeys(t))
	}
	return func(format string, w io.Writer, _ int) error { return WritePivot(format, w, t, p) }, nil
}

// twoNames reads two names with a comma between.
func twoNames(option, value, expected string) ([2]string, error) {
	a, b, ok := strings.Cut(value, ",")
	a, b = strings.TrimSpace(a), strings.TrimSpace(b)
	if !ok || a == "" || b == "" || strings.Contains(b, ",") {
		return [2]string{}, fmt.Errorf("%s: found %q, expected %s", option, value, expected)
	}
	return [2]string{a, b}, nil
}

func metricNamed(option, key string) (lab.Metric, error) {
	m, ok := lab.MetricByKey(key)
	if ok {
		return m, nil
	}
	return m, nearest.Unknown(option+": metric", key, lab.MetricKeys())
}

// measuredKeys lists the metrics of a run's rows.
func measuredKeys(t *sweep.Table) string {
	var keys []string
	for _, m := range t.View.Measured() {
		keys = append(keys, m.Key)
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
