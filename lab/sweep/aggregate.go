package sweep

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"slimlab/internal/commalist"
	"slimlab/internal/nearest"
	"slimlab/lab"
	"slimlab/lab/stat"
)

// Aggregate is what the values of several rows come to. The rows differ in their settings, so that
// none of these has an interval of measurement: what lies between the lowest and the highest value
// is the spread over the settings.
type Aggregate uint8

// The aggregates. Mean is the one that is meant where none is chosen.
const (
	Mean   Aggregate = iota
	Median           // of an even number of values the mean of the two in the middle
	Best             // by the metric's direction; a metric without one has none
	// of the last row in the run's order: its last step, at the last values of the axes
	Last
	Min
	Max
	Count // of the rows that have a value
)

var aggregates = []struct{ name, about string }{
	{"mean", "mean of the rows"},
	{"median", "median of the rows"},
	{"best", "the best row's value, by the metric's direction"},
	{"last", "the value of the last row: the last step, at the last values of the axes"},
	{"min", "the lowest value"},
	{"max", "the highest value"},
	{"n", "the number of rows that have a value"},
}

// String is the aggregate's name: "mean".
func (a Aggregate) String() string { return aggregates[a].name }

// About says what the aggregate is.
func (a Aggregate) About() string { return aggregates[a].about }

// Averages reports whether the value stands for all rows, so that their spread belongs beside it.
func (a Aggregate) Averages() bool { return a == Mean || a == Median }

// Aggregates lists the names of all aggregates.
func Aggregates() []string {
	var names []string
	for _, a := range aggregates {
		names = append(names, a.name)
	}
	return names
}

// AggregateNamed finds an aggregate by its name.
func AggregateNamed(name string) (Aggregate, error) {
	if err := nearest.Check("aggregate", name, Aggregates()); err != nil {
		return Mean, err
	}
	return Aggregate(slices.Index(Aggregates(), name)), nil
}

// Choice is an aggregate for each metric. The zero Choice is the mean for all.
type Choice struct {
	All  Aggregate
	Only map[string]Aggregate // by the metric's key, where that has another
}

// Of is the aggregate of a metric.
func (c *Choice) Of(key string) Aggregate {
	if a, ok := c.Only[key]; ok {
		return a
	}
	return c.All
}

// ParseChoice reads names of aggregates with commas between: NAME for all metrics, KEY=NAME for
// one. The empty text is the zero Choice.
func ParseChoice(text string) (Choice, error) {
	c := Choice{Only: map[string]Aggregate{}}
	all, err := commalist.Items(text)
	if err != nil {
		return Choice{}, err
	}
	bare := 0
	for _, one := range all {
		key, name, keyed := strings.Cut(one, "=")
		if !keyed {
			key, name = "", one
			bare++
		}
		a, err := AggregateNamed(strings.TrimSpace(name))
		if err != nil {
			return Choice{}, err
		}
		if !keyed {
			c.All = a
			continue
		}
		key = strings.TrimSpace(key)
		m, ok := lab.MetricByKey(key)
		switch {
		case !ok:
			return Choice{}, nearest.Unknown("metric", key, lab.MetricKeys())
		case a == Best && m.Better == lab.Neither:
			return Choice{}, fmt.Errorf("%s has no better direction, so no value is the best; expected another of %s", key, strings.Join(Aggregates(), ", "))
		}
		if before, twice := c.Only[key]; twice && before != a {
			return Choice{}, fmt.Errorf("%s is to be %s and %s; expected one", key, before, a)
		}
		c.Only[key] = a
	}
	if bare > 1 {
		return Choice{}, fmt.Errorf("found %q, expected one aggregate for all metrics, and others as KEY=NAME", text)
	}
	return c, nil
}

// Within reports a metric that has an aggregate of its own and is none of those that are shown.
func (c *Choice) Within(metrics []lab.Metric) error {
	var keys []string
	for _, m := range metrics {
		keys = append(keys, m.Key)
	}
	for _, key := range slices.Sorted(maps.Keys(c.Only)) {
		if !slices.Contains(keys, key) {
			return fmt.Errorf("%s is not shown here; expected one of %s", key, strings.Join(keys, ", "))
		}
	}
	return nil
}

// Keep is the choice for these metrics alone: what others have of their own is left out.
func (c *Choice) Keep(metrics []lab.Metric) Choice {
	kept := Choice{All: c.All, Only: map[string]Aggregate{}}
	for _, m := range metrics {
		if a, ok := c.Only[m.Key]; ok {
			kept.Only[m.Key] = a
		}
	}
	return kept
}

// String is the text that ParseChoice reads, metrics in the order of columns; "" of the zero
// Choice.
func (c *Choice) String() string {
	var parts []string
	if c.All != Mean {
		parts = append(parts, c.All.String())
	}
	for _, key := range lab.MetricKeys() {
		if a, ok := c.Only[key]; ok && a != c.All {
			parts = append(parts, key+"="+a.String())
		}
	}
	return strings.Join(parts, ",")
}

// Total is what a metric of several rows comes to.
type Total struct {
	Value     float64 // NaN where there is none
	Low, High float64 // the lowest and the highest value of the rows; NaN without any
	N         int     // rows that have a value that is a finite number
	Row       int     // in Table.Rows, whose value it is, where it is that of one; else -1
}

// Has reports whether some row has a value.
func (t *Total) Has() bool { return t.N > 0 }

// Spreads reports whether the value is of several rows that differ.
func (t *Total) Spreads() bool { return t.Row < 0 && t.N > 1 && t.Low < t.High }

// Total computes what a metric of rows, of Table.Rows, comes to. Of equal values the first row's is
// the best, lowest or highest.
func (t *Table) Total(rows []int, m lab.Metric, a Aggregate) Total {
	out := Total{Value: math.NaN(), Low: math.NaN(), High: math.NaN(), Row: -1}
	measured, last, lowest, highest := t.values(m.Key), -1, -1, -1
	for _, i := range rows {
		s, ok := measured.finite(i)
		if !ok {
			continue
		}
		if out.N++; out.N == 1 || s.Value < out.Low {
			out.Low, lowest = s.Value, i
		}
		if out.N == 1 || s.Value > out.High {
			out.High, highest = s.Value, i
		}
		if last < 0 || t.order(i) > t.order(last) {
			last = i
		}
	}
	switch {
	case a == Count:
		out.Value = float64(out.N)
	case out.N == 0 || a == Best && m.Better == lab.Neither:
	case a == Last || out.N == 1:
		out.Row = last
	case a == Min || a == Best && m.Better == lab.Lower:
		out.Row = lowest
	case a == Max || a == Best:
		out.Row = highest
	case a == Median:
		out.Value = stat.Median(measured.of(rows))
	default:
		out.Value = min(max(stat.Mean(measured.of(rows)), out.Low), out.High)
	}
	if out.Row >= 0 {
		out.Value = measured.summaries[out.Row].Value
	}
	return out
}

// order is a row's place in the run: the first place of those that it stands for.
func (t *Table) order(row int) int {
	if same := t.Rows[row].Same; len(same) > 0 {
		return same[0]
	}
	return row
}

// of are the finite values of rows.
func (v *values) of(rows []int) []float64 {
	x := make([]float64, 0, len(rows))
	for _, i := range rows {
		if s, ok := v.finite(i); ok {
			x = append(x, s.Value)
		}
	}
	return x
}

// Own is the interval of measurement of a total that is one row's value; ok is false without one.
func (t *Table) Own(of *Total, key string) (low, high float64, ok bool) {
	if of.Row < 0 {
		return 0, 0, false
	}
	s := t.Rows[of.Row].Values[key]
	return s.Low, s.High, s.Interval
}
