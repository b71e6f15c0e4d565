package sweep

import (
	"cmp"
	"math"
	"slices"

	"slimlab/internal/nearest"
	"slimlab/lab"
)

// Kind says what a column shows of a row.
type Kind uint8

// The kinds of columns.
const (
	Step   Kind = iota // the step whose model was measured
	Value              // on an axis
	State              // of the row
	Metric             // a measured one
)

// Column is what a table shows of each row.
type Column struct {
	Kind   Kind
	Key    string     // "step", "state", an axis's or a metric's key
	Axis   int        // of Table.Axes, of a Value
	Metric lab.Metric // of a Metric
}

// Title is the head of the column.
func (c *Column) Title() string {
	if c.Kind == Metric {
		return c.Metric.Label
	}
	return c.Key
}

// Columns returns the columns that the selection named, else those that the scenario chose, in its
// order: the step, the axes, the state, the metrics.
func (t *Table) Columns() []Column {
	if t.chosen != nil {
		return t.chosen
	}
	columns := []Column{{Kind: Step, Key: "step"}}
	for i := range t.Axes {
		columns = append(columns, Column{Kind: Value, Key: t.Axes[i].Key, Axis: i})
	}
	columns = append(columns, Column{Kind: State, Key: "state"})
	for _, m := range t.View.Columns() {
		columns = append(columns, Column{Kind: Metric, Key: m.Key, Metric: m})
	}
	return columns
}

// Column finds a column by its key: an axis before what else is called so; "row" is the step too,
// as in exports. Metrics need not be among Columns.
func (t *Table) Column(key string) (Column, error) {
	if i := t.Axis(key); i >= 0 {
		return Column{Kind: Value, Key: key, Axis: i}, nil
	}
	switch key {
	case "step", "row":
		return Column{Kind: Step, Key: "step"}, nil
	case "state":
		return Column{Kind: State, Key: "state"}, nil
	}
	if m, ok := lab.MetricByKey(key); ok {
		return Column{Kind: Metric, Key: key, Metric: m}, nil
	}
	return Column{}, nearest.Unknown("key", key, t.keys())
}

// keys lists what Column finds, what this table shows first.
func (t *Table) keys() []string {
	var keys []string
	for _, c := range t.Columns() {
		keys = append(keys, c.Key)
	}
	for _, key := range lab.MetricKeys() {
		if !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	return keys
}

// number is what a column orders a row by; ok is false where the row has no value.
func (t *Table) number(r *Row, c *Column) (x float64, ok bool) {
	switch c.Kind {
	case Step:
		return float64(t.steps[r.Name]), true
	case State:
		return float64(r.State), true
	case Value:
		at := r.At[c.Axis]
		if at == Any {
			return 0, false
		}
		if n := t.Axes[c.Axis].Numbers; n != nil {
			return n[at], true
		}
		return float64(at), true
	}
	s, ok := r.Values[c.Key]
	return s.Value, ok && !math.IsNaN(s.Value)
}

// Order is a column to sort by.
type Order struct {
	Column
	Descending bool
}

// Sort orders places in Rows by columns, the first one first, and else leaves their order: a step
// by its place in the pipeline, the values of an axis as numbers where all are, else by their place
// in the plan. A row without a value, or with one that is not a number, comes last in either
// direction.
func (t *Table) Sort(rows []int, by ...Order) {
	type key struct {
		x  float64
		ok bool
	}
	keys := make([]key, len(t.Rows)*len(by))
	for n := range by {
		for _, i := range rows {
			if by[n].Kind == Metric {
				v := t.values(by[n].Key)
				x := v.summaries[i].Value
				keys[i*len(by)+n] = key{x, v.has[i] && !math.IsNaN(x)}
				continue
			}
			x, ok := t.number(&t.Rows[i], &by[n].Column)
			keys[i*len(by)+n] = key{x, ok}
		}
	}
	slices.SortStableFunc(rows, func(a, b int) int {
		for n := range by {
			ka, kb := keys[a*len(by)+n], keys[b*len(by)+n]
			switch order := cmp.Compare(ka.x, kb.x); {
			case ka.ok != kb.ok && ka.ok:
				return -1
			case ka.ok != kb.ok:
				return 1
			case !ka.ok || order == 0:
			case by[n].Descending:
				return -order
			default:
				return order
			}
		}
		return 0
	})
}
