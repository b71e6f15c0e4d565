package sweep

import (
	"fmt"
	"slices"
	"strings"

	"slimlab/internal/commalist"
	"slimlab/lab"
)

// Selection says what of a run's rows a table shows. The zero Selection is Of.
type Selection struct {
	Where   string // a filter
	Sort    string // keys, with commas between; -key is descending. Empty: the run's own order
	Columns string // keys, with commas between. Empty: those that the scenario chose
	All     bool   // rows that differ in no axis stand each for itself
}

// Select arranges what a selection asks for. Its errors name the option.
func Select(v *lab.View, s Selection) (*Table, error) {
	t := Of(v)
	if s.All {
		t = All(v)
	}
	filter, err := t.Filter(s.Where)
	if err != nil {
		return nil, fmt.Errorf("where: %w", err)
	}
	orders, err := t.orders(s.Sort)
	if err != nil {
		return nil, fmt.Errorf("sort: %w", err)
	}
	if t.chosen, err = t.choose(s.Columns); err != nil {
		return nil, fmt.Errorf("columns: %w", err)
	}
	rows := t.Keep(filter)
	t.Sort(rows, orders...)
	t = t.Only(rows)
	t.Where, t.sorted = filter.String(), len(orders) > 0
	return t, nil
}

// Only is the table with the rows at these places in Rows alone, in their order.
func (t *Table) Only(rows []int) *Table {
	only := *t
	only.Rows = make([]Row, len(rows))
	for i, at := range rows {
		only.Rows[i] = t.Rows[at]
	}
	only.metrics, only.fronts = nil, nil
	for key, v := range t.metrics {
		if only.metrics == nil {
			only.metrics = map[string]*values{}
		}
		only.metrics[key] = v.only(rows)
	}
	only.Left += len(t.Rows) - len(rows)
	return &only
}

func (t *Table) orders(list string) ([]Order, error) {
	keys, err := commalist.Items(list)
	if err != nil {
		return nil, err
	}
	var orders []Order
	for _, key := range keys {
		name, descending := strings.CutPrefix(key, "-")
		c, err := t.Column(name)
		if err != nil {
			return nil, err
		}
		orders = append(orders, Order{c, descending})
	}
	return orders, nil
}

// choose finds columns by their keys, the step first. It returns nil where there are none.
func (t *Table) choose(list string) ([]Column, error) {
	keys, err := commalist.Items(list)
	if err != nil || len(keys) == 0 {
		return nil, err
	}
	var columns []Column
	for _, key := range keys {
		c, err := t.Column(key)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(columns, c) && c.Kind != Step {
			columns = append(columns, c)
		}
	}
	return append([]Column{{Kind: Step, Key: "step"}}, columns...), nil
}

// Chosen returns the columns that a selection named; nil where it named none.
func (t *Table) Chosen() []Column { return t.chosen }

// Each returns the places in View.Rows of all rows that the table's rows stand for: in the order of
// the view, or where the table is sorted in its own.
func (t *Table) Each() []int {
	var all []int
	for i := range t.Rows {
		all = append(all, t.Rows[i].Same...)
	}
	if !t.sorted {
		slices.Sort(all)
	}
	return all
}
