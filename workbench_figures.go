package main

import (
	"context"
	"math"
	"regexp"
	"slices"
	"strings"

	"slimlab/lab"
	"slimlab/lab/report"
	"slimlab/lab/run"
	"slimlab/lab/scenario"
	"slimlab/lab/sweep"
	"slimlab/tui"
)

// Figures reads what a run measured.
func (b *bench) Figures(_ context.Context, id string) (tui.RunFigures, error) {
	board, _, err := foldRun(b.home, id)
	if err != nil {
		return tui.RunFigures{}, err
	}
	v := board.Snapshot()
	f := tui.RunFigures{Models: loadedModels(v.Begin.Source), Headline: headline(v)}
	for i := range v.Rows {
		r := &v.Rows[i]
		one := tui.RowFigures{Row: r.Label(), Values: map[string]float64{}}
		for key, s := range r.Values {
			one.Values[key] = s.Value
		}
		f.Rows = append(f.Rows, one)
	}
	return f, nil
}

// headline is the metric that counts of a run, in its best row that is not the baseline: the first
// column that measures quality, or the first column. Of several rows it says that it is the best.
func headline(v *lab.View) tui.Headline {
	columns := v.Columns()
	if len(columns) == 0 {
		return tui.Headline{}
	}
	at := max(0, slices.IndexFunc(columns, func(m lab.Metric) bool { return m.Section == lab.Evaluate && m.Better != lab.Neither }))
	metric, base := columns[at], baseline(v)
	var best *lab.TableRow
	rows := 0
	for i := range v.Rows {
		r := &v.Rows[i]
		s, ok := r.Metric(metric.Key)
		if !ok || math.IsNaN(s.Value) || r.Name == base && len(v.Begin.Rows) > 1 {
			continue
		}
		if rows++; best == nil || better(metric, s.Value, best.Values[metric.Key].Value) {
			best = r
		}
	}
	if best == nil {
		return tui.Headline{}
	}
	s := best.Values[metric.Key]
	h := tui.Headline{Value: report.Format(metric.Unit, s.Value), Metric: metric.Label, Row: best.Label()}
	switch {
	case rows > 1 && metric.Better == lab.Neither:
		h.Metric = "first " + h.Metric
	case rows > 1:
		h.Metric = sweep.Best.String() + " " + h.Metric
	}
	h.Interval = strings.TrimSpace(strings.TrimPrefix(report.FormatSummary(metric.Unit, s), h.Value))
	return h
}

func better(m lab.Metric, a, b float64) bool {
	switch m.Better {
	case lab.Higher:
		return a > b
	case lab.Lower:
		return a < b
	}
	return false
}

// baseline names the row that a run's differences refer to.
func baseline(v *lab.View) string {
	o := scenario.Options{Vocabulary: run.Vocabulary(), Set: v.Begin.Settings, Quick: v.Begin.Quick}
	if s, err := scenario.Parse(v.Begin.Scenario+".yaml", []byte(v.Begin.Source), o); err == nil {
		return s.Baseline
	}
	if len(v.Begin.Rows) > 0 { // a scenario of another version
		return v.Begin.Rows[0]
	}
	return ""
}

var loadKey = regexp.MustCompile(`\bload:\s*["']?([^"'\s,}]+)`)

// loadedModels lists what the text of a scenario loads, each once.
func loadedModels(source string) []string {
	var names []string
	for _, m := range loadKey.FindAllStringSubmatch(source, -1) {
		if !slices.Contains(names, m[1]) {
			names = append(names, m[1])
		}
	}
	return names
}
