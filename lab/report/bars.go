package report

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"slimlab/internal/commalist"
	"slimlab/internal/svgchart"
	"slimlab/lab"
	"slimlab/lab/sweep"
)

// Bars are metrics of one unit that add up, a bar for each row that has any of them.
type Bars struct {
	Metrics []lab.Metric
	Bars    []Bar
	Lack    []int // of Table.Rows, those that have none of the metrics
}

// Bar is what a row has of the metrics.
type Bar struct {
	Row    int            // in Table.Rows
	Values []*lab.Summary // in the order of Bars.Metrics; nil where the row has none that is a number
	Total  float64        // of those it has
}

// barsOf arranges what --bars asks for.
func (s *Shown) barsOf(t *sweep.Table) (Picture, error) {
	b := &Bars{}
	keys, err := commalist.Items(s.Bars)
	if err != nil {
		return nil, fmt.Errorf("--bars: %w", err)
	}
	for _, key := range keys {
		m, err := metricNamed("--bars", key)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(b.Metrics, func(other lab.Metric) bool { return other.Key == m.Key }) {
			return nil, fmt.Errorf("--bars: %s stands twice; expected each metric once", m.Key)
		}
		if len(b.Metrics) > 0 && m.Unit != b.Metrics[0].Unit {
			return nil, fmt.Errorf("--bars: %s is of the unit %q and %s of %q; expected metrics of one unit, which add up", b.Metrics[0].Key, b.Metrics[0].Unit, m.Key, m.Unit)
		}
		b.Metrics = append(b.Metrics, m)
	}
	if n := len(b.Metrics); n == 0 || n > svgchart.MostParts {
		return nil, fmt.Errorf("--bars: found %d metrics, expected 1 to %d, such as ttft_cold_p50,tpot_p50", n, svgchart.MostParts)
	}
	if err := b.arrange(t); err != nil {
		return nil, fmt.Errorf("--bars %s: %w", s.Bars, err)
	}
	if len(b.Bars) == 0 {
		return nil, fmt.Errorf("--bars %s: no row has any; this run has %s", s.Bars, measuredKeys(t))
	}
	return func(format string, w io.Writer, width int) error { return WriteBars(format, w, t, b, width) }, nil
}

// arrange fills the bars with the rows of the table. A value that is not finite is none, as in a
// front.
func (b *Bars) arrange(t *sweep.Table) error {
	values := make([][]*lab.Summary, len(t.Rows))
	for i := range values {
		values[i] = make([]*lab.Summary, len(b.Metrics))
	}
	for j, m := range b.Metrics {
		t.Measured(m.Key, func(row int, s *lab.Summary) {
			if !math.IsNaN(s.Value) && !math.IsInf(s.Value, 0) {
				values[row][j] = s
			}
		})
	}
	for i, of := range values {
		bar, has := Bar{Row: i, Values: of}, false
		for j, s := range of {
			if s == nil {
				continue
			}
			if s.Value < 0 {
				return fmt.Errorf("%s of row %s is %s; expected none below 0, which no part of a bar can be", b.Metrics[j].Key, t.Label(&t.Rows[i]), Format(b.Metrics[j].Unit, s.Value))
			}
			bar.Total += s.Value
			has = true
		}
		switch {
		case math.IsInf(bar.Total, 0):
			return fmt.Errorf("the total of row %s is larger than any number", t.Label(&t.Rows[i]))
		case has:
			b.Bars = append(b.Bars, bar)
		default:
			b.Lack = append(b.Lack, i)
		}
	}
	return nil
}

// Scale is how values and totals are written.
func (b *Bars) Scale() Scale {
	var values []float64
	for i := range b.Bars {
		values = append(values, b.Bars[i].Total)
		for _, s := range b.Bars[i].Values {
			if s != nil {
				values = append(values, s.Value)
			}
		}
	}
	return ScaleOf(b.Metrics[0].Unit, values...)
}

// title says what the bars are of, and which are better where all metrics agree.
func (b *Bars) title() string {
	var labels []string
	all := lab.Metric{Better: b.Metrics[0].Better}
	for _, m := range b.Metrics {
		labels = append(labels, m.Label)
		if m.Better != all.Better {
			all.Better = lab.Neither
		}
	}
	all.Label = strings.Join(labels, " + ")
	return directed(all) + " by row"
}

// notes name the rows that lack some of the metrics or all.
func (b *Bars) notes(t *sweep.Table) []string {
	var notes []string
	for j, m := range b.Metrics {
		var rows []string
		for i := range b.Bars {
			if b.Bars[i].Values[j] == nil {
				rows = append(rows, t.Label(&t.Rows[b.Bars[i].Row]))
			}
		}
		if len(rows) > 0 {
			notes = append(notes, fmt.Sprintf("without %s, which their totals leave out: %s", m.Label, strings.Join(rows, ", ")))
		}
	}
	if len(b.Lack) > 0 {
		notes = append(notes, "no bar, for want of each of these metrics: "+strings.Join(b.lacking(t), ", "))
	}
	return append(notes, chosenNote(t)...)
}

// lacking are the labels of the rows that have no bar.
func (b *Bars) lacking(t *sweep.Table) []string {
	labels := []string{}
	for _, i := range b.Lack {
		labels = append(labels, t.Label(&t.Rows[i]))
	}
	return labels
}
