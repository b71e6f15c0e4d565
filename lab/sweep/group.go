package sweep

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"slimlab/internal/commalist"
	"slimlab/lab"
)

// Groups are the rows of a table, those together that are equal in some columns.
type Groups struct {
	Table   *Table
	By      []Column     // steps, axes
	Metrics []lab.Metric // that are aggregated
	Choice  Choice       // how
	BestBy  *lab.Metric  // that decides which row is the best; nil where none has a direction
	Groups  []Group
}

// Group is the rows that are equal in the columns that are grouped by.
type Group struct {
	Values []string // of Groups.By; "" where the rows do not depend on the axis
	Rows   []int    // places in Table.Rows, in their order
	Totals []Total  // of Groups.Metrics
	Best   int      // place in Table.Rows of the best by Groups.BestBy; -1 where none is measured
	at     []float64
}

// SpreadMeaning says what stands beside the mean or the median of several rows.
const SpreadMeaning = "low–high beside a mean or median is the spread of the rows over their settings, not an error of measurement"

// Group groups the rows by keys with commas between: step, axes. The groups stand in the order of
// the columns that they are grouped by, those without a value last, or where sort names keys in
// that of these columns or of what the metrics come to (-key: descending).
func (t *Table) Group(by, sort string, aggregates Choice) (*Groups, error) {
	keys, err := commalist.Items(by)
	if err != nil {
		return nil, fmt.Errorf("group: %w", err)
	}
	var columns []Column
	for _, key := range keys {
		c, err := t.Column(key)
		if err != nil {
			return nil, fmt.Errorf("group: %w", err)
		}
		if c.Kind != Step && c.Kind != Value {
			return nil, fmt.Errorf("group: %s has a value of its own in each row; expected step or an axis of the sweep%s", key, t.axisList())
		}
		if !slices.Contains(columns, c) {
			columns = append(columns, c)
		}
	}
	if len(columns) == 0 {
		return nil, fmt.Errorf("group: found no key; expected step or an axis of the sweep%s", t.axisList())
	}
	var metrics []lab.Metric
	for _, c := range t.Columns() {
		if c.Kind == Metric {
			metrics = append(metrics, c.Metric)
		}
	}
	if err := aggregates.Within(metrics); err != nil {
		return nil, fmt.Errorf("aggregate: %w", err)
	}
	orders, err := t.orders(sort)
	if err != nil {
		return nil, fmt.Errorf("sort: %w", err)
	}
	for i := range orders {
		if c := &orders[i].Column; c.Kind != Metric && !slices.Contains(columns, *c) {
			return nil, fmt.Errorf("sort: groups have no %s of their own; expected a metric, or one of what they are grouped by: %s", c.Key, strings.Join(keysOf(columns), ", "))
		}
	}
	return t.GroupBy(columns, metrics, aggregates, orders...), nil
}

// GroupBy groups the rows by steps and axes with what metrics come to, in an order as of Sort.
func (t *Table) GroupBy(columns []Column, metrics []lab.Metric, aggregates Choice, orders ...Order) *Groups {
	g := &Groups{Table: t, By: columns, Metrics: metrics, Choice: aggregates}
	g.chooseBest(orders)
	g.collect()
	g.Sort(orders...)
	return g
}

func (t *Table) axisList() string {
	var keys []string
	for i := range t.Axes {
		keys = append(keys, t.Axes[i].Key)
	}
	if len(keys) == 0 {
		return ", of which this run has none"
	}
	return ": " + strings.Join(keys, ", ")
}

func keysOf(columns []Column) []string {
	var keys []string
	for i := range columns {
		keys = append(keys, columns[i].Key)
	}
	return keys
}

// qualityKeys are the metrics of quality, the one with less noise first.
var qualityKeys = []string{"auc_soft", "auc", "loss", "agreement"}

// chooseBest takes the metric that is sorted by, else one of quality, else the first that has a
// direction.
func (g *Groups) chooseBest(orders []Order) {
	var candidates []lab.Metric
	for i := range orders {
		if orders[i].Kind == Metric {
			candidates = append(candidates, orders[i].Metric)
		}
	}
	for _, key := range qualityKeys {
		if i := slices.IndexFunc(g.Metrics, func(m lab.Metric) bool { return m.Key == key }); i >= 0 {
			candidates = append(candidates, g.Metrics[i])
		}
	}
	for _, m := range append(candidates, g.Metrics...) {
		if m.Better != lab.Neither {
			g.BestBy = &m
			return
		}
	}
}

// collect puts each row into its group.
func (g *Groups) collect() {
	places := map[string]int{}
	for i := range g.Table.Rows {
		r := &g.Table.Rows[i]
		values := g.ValuesOf(r)
		key := strings.Join(values, "\x00")
		at, known := places[key]
		if !known {
			at = len(g.Groups)
			places[key] = at
			g.Groups = append(g.Groups, Group{Values: values})
		}
		g.Groups[at].Rows = append(g.Groups[at].Rows, i)
	}
	for i := range g.Groups {
		one := &g.Groups[i]
		if one.Best = -1; g.BestBy != nil {
			one.Best = g.Table.Total(one.Rows, *g.BestBy, Best).Row
		}
		for _, m := range g.Metrics {
			one.Totals = append(one.Totals, g.total(one.Rows, m))
		}
	}
}

// ValuesOf returns a row's values in the columns that are grouped by.
func (g *Groups) ValuesOf(r *Row) []string {
	values := make([]string, len(g.By))
	for i := range g.By {
		if g.By[i].Kind == Step {
			values[i] = r.Name
		} else {
			values[i] = g.Table.Value(r, g.By[i].Axis)
		}
	}
	return values
}

func (g *Groups) total(rows []int, m lab.Metric) Total {
	return g.Table.Total(rows, m, g.Choice.Of(m.Key))
}

// Sort orders the groups by columns that they are grouped by and by what metrics come to; without
// any by all that they are grouped by. What has no value comes last in either direction.
func (g *Groups) Sort(by ...Order) {
	if len(by) == 0 {
		for _, c := range g.By {
			by = append(by, Order{Column: c})
		}
	}
	for i := range g.Groups {
		one := &g.Groups[i]
		one.at = one.at[:0]
		for n := range by {
			var x float64
			if by[n].Kind == Metric {
				x = g.total(one.Rows, by[n].Metric).Value
			} else {
				var ok bool
				if x, ok = g.Table.number(&g.Table.Rows[one.Rows[0]], &by[n].Column); !ok {
					x = math.NaN()
				}
			}
			one.at = append(one.at, x)
		}
	}
	slices.SortStableFunc(g.Groups, func(a, b Group) int {
		for n := range by {
			x, y := a.at[n], b.at[n]
			order := cmp.Compare(x, y)
			switch {
			case math.IsNaN(x) || math.IsNaN(y):
				order = -order // cmp puts NaN first
			case by[n].Descending:
				order = -order
			}
			if order != 0 {
				return order
			}
		}
		return 0
	})
}

// Rest names a row within its group: its step and values as far as the group does not have them.
func (g *Groups) Rest(r *Row) string {
	var words []string
	if !slices.ContainsFunc(g.By, func(c Column) bool { return c.Kind == Step }) {
		words = append(words, r.Name)
	}
	for i := range g.Table.Axes {
		v := g.Table.Value(r, i)
		if v != "" && !slices.ContainsFunc(g.By, func(c Column) bool { return c.Kind == Value && c.Axis == i }) {
			words = append(words, v)
		}
	}
	if len(words) == 0 {
		return r.Name
	}
	return strings.Join(words, " ")
}

// Mixed returns the steps of a group whose rows are of several, nil where all groups are of one.
func (g *Groups) Mixed() []string {
	for i := range g.Groups {
		var steps []string
		for _, row := range g.Groups[i].Rows {
			if name := g.Table.Rows[row].Name; !slices.Contains(steps, name) {
				steps = append(steps, name)
			}
		}
		if len(steps) > 1 {
			return steps
		}
	}
	return nil
}
