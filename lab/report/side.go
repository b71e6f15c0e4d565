package report

import (
	"slices"

	"slimlab/lab"
	"slimlab/lab/sweep"
)

// RowOf is a view of one row of a run, as a side of a comparison: rows of one run or of several can
// then be compared as runs are, whatever they are called. Its run is named "RUN:ROW", its only row
// "row". The view that it is of is not changed. It panics where the view has no such row.
func RowOf(v *lab.View, row int) *lab.View {
	of := v.Rows[row]
	side := *v
	side.Begin.Run = SideName(v, row)
	side.Begin.Rows = []string{sideRow}
	side.Begin.Cells = slices.DeleteFunc(slices.Clone(v.Begin.Cells), func(c lab.Cell) bool { return !slices.Contains(of.Cells, c.ID) })
	side.Begin.Depends = nil
	if !named(of.Keys) { // else the models of all rows of a run would be taken for one
		of.Keys = make([]string, max(1, len(of.Cells)))
		for i := range of.Keys {
			of.Keys[i] = side.Begin.Run
		}
	}
	of.Name, of.Params, of.Point = sideRow, nil, 0
	side.Rows = []lab.TableRow{of}
	return &side
}

// sideRow is what the row of a side is called.
const sideRow = "row"

// SideName names a row of a run: "RUN:ROW", with the axes of the sweep that it depends on.
func SideName(v *lab.View, row int) string {
	r := &v.Rows[row]
	return v.Begin.Run + ":" + (&lab.TableRow{Name: r.Name, Params: dependedOn(v, row)}).Label()
}

// dependedOn are the row's values on the axes of the sweep that it depends on.
func dependedOn(v *lab.View, row int) []lab.Param {
	t := sweep.Of(v)
	at := slices.IndexFunc(t.Rows, func(r sweep.Row) bool { return slices.Contains(r.Same, row) })
	var params []lab.Param
	for _, p := range v.Rows[row].Params {
		if axis := t.Axis(p.Key); axis < 0 || t.Rows[at].At[axis] != sweep.Any {
			params = append(params, p)
		}
	}
	return params
}

// SideSettings are what tells a row from the others of its run: the step and the axes' values.
func SideSettings(v *lab.View, row int) []Setting {
	r := &v.Rows[row]
	list := []Setting{{"step", r.Name}}
	for _, p := range dependedOn(v, row) {
		list = append(list, Setting{p.Key, p.Value})
	}
	return list
}
