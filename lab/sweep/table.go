package sweep

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"slimlab/lab"
)

// Table is the rows of a run in their own order, axes apart. It must not be used by several
// goroutines at a time: it keeps what was read of metrics.
type Table struct {
	View *lab.View
	Axes []Axis
	Rows []Row
	// of a selection: its filter, and how many rows that left out
	Where string
	Left  int

	chosen  []Column // of a selection; nil: those of the scenario
	sorted  bool
	steps   map[string]int      // places in the pipeline
	metrics map[string]*values  // those that were asked for
	fronts  map[[2]string][]int // of two metrics, the rows in the order of the last front
}

// Axis is one dimension of the sweep.
type Axis struct {
	Key     string
	Values  []string  // in the order of the plan
	Numbers []float64 // of the values, where all of them are numbers ("0.25", "30%"); else nil
	index   map[string]int
}

// Row is a row of the view, or several that are the same.
type Row struct {
	*lab.TableRow     // the one whose values are shown
	Index         int // its place in View.Rows
	// of each axis, the index of the row's value; Any where the row does not depend on it
	At      []int
	Same    []int // places in View.Rows of all rows that it stands for, in order
	changed int   // TableRow.Changed of what Table.metrics has
}

// Any is the place on an axis of a row that does not depend on it.
const Any = -1

// Of arranges a view. Rows of a step that differ only in axes on which the step does not depend
// are one row: what the run's plan says of it counts, or in logs without that, equal artifacts.
func Of(v *lab.View) *Table {
	t := axesOf(v)
	depends := t.dependence()
	rows := map[string]int{}
	for i := range v.Rows {
		r := &v.Rows[i]
		at := t.place(r, depends[r.Name])
		key := foldKey(r.Name, at)
		if known, ok := rows[key]; ok {
			t.Rows[known].add(r, i)
			continue
		}
		rows[key] = len(t.Rows)
		t.Rows = append(t.Rows, Row{TableRow: r, Index: i, At: at, Same: []int{i}, changed: r.Changed})
	}
	return t
}

// Renew brings the table of Of or All up to its view, whose rows have gone on: of rows that are the
// same it chooses anew which is shown. It returns false, and does nothing, where the rows must be
// arranged anew: the log does not say on which axes steps depend, so what is the same may change.
func (t *Table) Renew() bool {
	begin := &t.View.Begin
	if len(t.Axes) > 0 && len(begin.Depends) != len(begin.Rows) {
		return false
	}
	for i := range t.Rows {
		r := &t.Rows[i]
		was, read := r.Index, r.changed
		r.TableRow, r.Index = &t.View.Rows[r.Same[0]], r.Same[0]
		for _, same := range r.Same[1:] {
			r.show(&t.View.Rows[same], same)
		}
		if r.changed = r.Changed; r.Index != was || r.changed != read {
			t.renew(i)
		}
	}
	return true
}

// All arranges a view without folding: each row stands for itself and has a value on every axis.
func All(v *lab.View) *Table {
	t := axesOf(v)
	keys := v.Axes()
	for i := range v.Rows {
		r := &v.Rows[i]
		t.Rows = append(t.Rows, Row{TableRow: r, Index: i, At: t.place(r, keys), Same: []int{i}, changed: r.Changed})
	}
	return t
}

// axesOf is a table without rows.
func axesOf(v *lab.View) *Table {
	t := &Table{View: v, steps: map[string]int{}}
	for i, name := range v.Begin.Rows {
		t.steps[name] = i
	}
	for i, key := range v.Axes() {
		axis := Axis{Key: key, index: map[string]int{}}
		for c := range v.Cells {
			if i < len(v.Cells[c].Params) {
				axis.add(v.Cells[c].Params[i].Value)
			}
		}
		axis.Numbers = numbers(axis.Values)
		t.Axes = append(t.Axes, axis)
	}
	return t
}

func (a *Axis) add(value string) {
	if _, known := a.index[value]; !known {
		a.index[value] = len(a.Values)
		a.Values = append(a.Values, value)
	}
}

// Folded is the number of rows of the view that rows of the table stand for beside themselves.
func (t *Table) Folded() int {
	n := 0
	for i := range t.Rows {
		n += len(t.Rows[i].Same) - 1
	}
	return n
}

// Value is a row's value on an axis; "" where the row does not depend on it.
func (t *Table) Value(r *Row, axis int) string {
	if r.At[axis] == Any {
		return ""
	}
	return t.Axes[axis].Values[r.At[axis]]
}

// Label names a row among all by its step and its values, without the names of the axes: "w8a8
// 0.5".
func (t *Table) Label(r *Row) string {
	words := []string{r.Name}
	for i := range t.Axes {
		if v := t.Value(r, i); v != "" {
			words = append(words, v)
		}
	}
	return strings.Join(words, " ")
}

// Axis finds an axis by its key; -1 where there is none.
func (t *Table) Axis(key string) int {
	return slices.IndexFunc(t.Axes, func(a Axis) bool { return a.Key == key })
}

// add takes in a row that is the same.
func (r *Row) add(row *lab.TableRow, index int) {
	r.Same = append(r.Same, index)
	r.show(row, index)
}

// show shows another row that is the same where it is further on: the others reuse its artifacts.
func (r *Row) show(row *lab.TableRow, index int) {
	if row.Done > r.Done || row.Done == r.Done && r.State == lab.Waiting && row.State == lab.Running {
		r.TableRow, r.Index, r.changed = row, index, row.Changed
	}
}

// place finds a row's values on the axes.
func (t *Table) place(r *lab.TableRow, depends []string) []int {
	at := make([]int, len(t.Axes))
	for i, axis := range t.Axes {
		at[i] = Any
		if value, ok := r.Param(axis.Key); ok && slices.Contains(depends, axis.Key) {
			if index, known := axis.index[value]; known {
				at[i] = index
			}
		}
	}
	return at
}

func foldKey(name string, at []int) string {
	key := append(make([]byte, 0, len(name)+4*len(at)), name...)
	for _, i := range at {
		key = strconv.AppendInt(append(key, 0), int64(i), 10)
	}
	return string(key)
}

// dependence says for each step on which axes its rows depend.
func (t *Table) dependence() map[string][]string {
	begin := &t.View.Begin
	depends := map[string][]string{}
	if len(begin.Depends) == len(begin.Rows) {
		for i, axes := range begin.Depends {
			depends[begin.Rows[i]] = axes
		}
		return depends
	}
	for _, name := range begin.Rows {
		for _, axis := range t.Axes {
			if !t.sameArtifacts(name, axis.Key) {
				depends[name] = append(depends[name], axis.Key)
			}
		}
	}
	return depends
}

// sameArtifacts reports whether all rows of a step that differ in one axis alone are measurements
// of the same artifacts. What has not been measured is not known to be.
func (t *Table) sameArtifacts(name, axis string) bool {
	first := map[string]*lab.TableRow{}
	for i := range t.View.Rows {
		r := &t.View.Rows[i]
		if r.Name != name {
			continue
		}
		key := ""
		for _, p := range r.Params {
			if p.Key != axis {
				key += "\x00" + p.Key + "=" + p.Value
			}
		}
		other, known := first[key]
		if !known {
			first[key] = r
			other = r
		}
		if r.Done < r.Of || slices.Contains(r.Keys, "") || !slices.Equal(r.Keys, other.Keys) || !slices.Equal(r.Tests, other.Tests) {
			return false
		}
	}
	return true
}

// numbers reads values as numbers; nil where one is none.
func numbers(values []string) []float64 {
	var out []float64
	for _, v := range values {
		x, ok := number(v)
		if !ok {
			return nil
		}
		out = append(out, x)
	}
	return out
}

// number reads a value of an axis as a number.
func number(value string) (x float64, ok bool) {
	x, err := lab.ParseNumber(value)
	return x, err == nil && !math.IsInf(x, 0)
}
