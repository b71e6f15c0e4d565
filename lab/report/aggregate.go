package report

import (
	"fmt"
	"strconv"
	"strings"

	"slimlab/internal/plural"
	"slimlab/lab"
	"slimlab/lab/sweep"
)

// Aggregated is a metric as an aggregate of it is headed and scaled: "AUC mean". A number of rows
// has no unit, and no better direction.
func Aggregated(m lab.Metric, a sweep.Aggregate) lab.Metric {
	m.Label += " " + a.String()
	if a == sweep.Count {
		m.Unit, m.Better = lab.Plain, lab.Neither
	}
	return m
}

// AggregatedIn is Aggregated where an aggregate of up to n rows is more than the only row's value.
func AggregatedIn(m lab.Metric, a sweep.Aggregate, n int) lab.Metric {
	if a == sweep.Mean && n < 2 {
		return m
	}
	return Aggregated(m, a)
}

// AggregateOf says what an aggregate is of up to n rows: "the mean of up to 3 rows".
func AggregateOf(a sweep.Aggregate, n int) string {
	what := map[sweep.Aggregate]string{sweep.Last: "the last", sweep.Min: "the lowest", sweep.Max: "the highest", sweep.Count: "the number measured"}[a]
	if what == "" {
		what = "the " + a.String()
	}
	return what + " of up to " + plural.Of(n, "row")
}

// Range writes the lowest and the highest value, as written after their mean: "0.812–0.840".
func (s Scale) Range(low, high float64) string {
	a, b := s.digits(low/s.divisor), s.digits(high/s.divisor)
	if s.signed || strings.HasPrefix(a, "-") {
		if s.signed {
			a, b = strings.TrimSuffix(s.Format(low), s.Suffix), strings.TrimSuffix(s.Format(high), s.Suffix)
		}
		return a + " to " + b
	}
	return a + "–" + b
}

// jsonTotal is what a metric of several rows comes to.
type jsonTotal struct {
	jsonValue             // low and high: the interval of the one row whose value it is
	Min       *lab.Number `json:"min,omitempty"` // of several rows
	Max       *lab.Number `json:"max,omitempty"`
	N         int         `json:"n"`             // rows that have a value
	Row       string      `json:"row,omitempty"` // of several, the one whose value it is
}

func newJSONTotal(t *sweep.Table, total *sweep.Total, key string) jsonTotal {
	low, high, own := t.Own(total, key)
	out := jsonTotal{jsonValue: newJSONValue(total.Value, low, high, own), N: total.N}
	if total.N > 1 {
		least, most := lab.Number(total.Low), lab.Number(total.High)
		out.Min, out.Max = &least, &most
		if total.Row >= 0 {
			out.Row = strings.TrimSpace(t.Label(&t.Rows[total.Row]))
		}
	}
	return out
}

// totalKeys head the columns of csvTotal.
func totalKeys(key string) []string {
	return []string{key, key + "_low", key + "_high", key + "_min", key + "_max", "aggregate", "n"}
}

// csvTotal is a total as a line has it: the value; the interval of the one row whose value it is;
// the lowest and the highest of several; what it is, and of how many rows.
func csvTotal(t *sweep.Table, total *sweep.Total, key string, a sweep.Aggregate) []string {
	cells := []string{number(total.Value), "", "", "", "", a.String(), strconv.Itoa(total.N)}
	if low, high, own := t.Own(total, key); own {
		cells[1], cells[2] = plain(low), plain(high)
	}
	if total.N > 1 {
		cells[3], cells[4] = plain(total.Low), plain(total.High)
	}
	return cells
}

// choiceOf reads what --aggregate asks for.
func (s *Shown) choiceOf() (sweep.Choice, error) {
	c, err := sweep.ParseChoice(s.Aggregate)
	if err != nil {
		return c, fmt.Errorf("--aggregate: %w", err)
	}
	return c, nil
}

// aggregateOf is the aggregate of the one metric of a chart.
func (s *Shown) aggregateOf(m lab.Metric) (sweep.Aggregate, error) {
	c, err := s.choiceOf()
	if err != nil {
		return sweep.Mean, err
	}
	if err := c.Within([]lab.Metric{m}); err != nil {
		return sweep.Mean, fmt.Errorf("--aggregate: %w", err)
	}
	a := c.Of(m.Key)
	if a == sweep.Best && m.Better == lab.Neither {
		return a, fmt.Errorf("--aggregate: %s has no better direction, so no row is the best; expected another of %s", m.Key, strings.Join(sweep.Aggregates(), ", "))
	}
	return a, nil
}
