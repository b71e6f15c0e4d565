package report

import (
	"slices"
	"strings"

	"slimlab/lab"
)

// Side is a row of a run as a side of a comparison.
type Side struct {
	View *lab.View
	Row  int // of View.Rows
}

// CompareSides compares rows, of one run or of several, with the one at baseline, as CompareRuns
// does runs. A side's settings are its step, the axes that it depends on, and, where the scenarios
// differ, those that its scenario has at these values. A row whose seeds have all reported is
// whole, whatever else its run lacks. resolve derives the settings of a run at the points of its
// Begin.Cells. It panics where there is no such row.
func CompareSides(sides []Side, baseline int, resolve Resolve) *Runs {
	views := make([]*lab.View, len(sides))
	for i, s := range sides {
		views[i] = s.compared(sides)
	}
	return CompareRuns(views, baseline, resolveSides(sides, views, resolve))
}

// compared is the side's row as a run of its own. Its row is called as the step that all sides have
// in common, where they do.
func (s *Side) compared(all []Side) *lab.View {
	v, row := RowOf(s.View, s.Row), &s.View.Rows[s.Row]
	if !slices.ContainsFunc(all, func(o Side) bool { return o.View.Rows[o.Row].Name != row.Name }) {
		v.Rows[0].Name = row.Name
	}
	v.Begin.Rows = s.View.Begin.Rows // the settings of these are known to be those of steps
	v.Cells = slices.DeleteFunc(slices.Clone(v.Cells), func(c lab.CellView) bool { return !slices.Contains(row.Cells, c.ID) })
	if row.State == lab.Done {
		v.State = lab.Done
	}
	params := dependedOn(s.View, s.Row)
	for i := range v.Begin.Cells {
		v.Begin.Cells[i].Params = params
	}
	var own []string // what is known where settings cannot be derived
	for _, one := range SideSettings(s.View, s.Row) {
		own = append(own, one.Key+"="+one.Value)
	}
	v.Begin.Settings = append(own, v.Begin.Settings...)
	return v
}

// resolveSides derives the settings of sides. Of one scenario they differ in their axes alone, and
// in what these set, which is left out but for what decides what is served.
func resolveSides(sides []Side, views []*lab.View, resolve Resolve) Resolve {
	if resolve == nil {
		return nil
	}
	one := !slices.ContainsFunc(sides, func(s Side) bool { return s.View.Begin.Hash != sides[0].View.Begin.Hash })
	return func(b lab.Begin) ([]Setting, error) {
		at := slices.IndexFunc(views, func(v *lab.View) bool { return v.Begin.Run == b.Run })
		of := sides[at].View.Begin
		of.Cells = b.Cells
		settings, err := resolve(of)
		own := SideSettings(sides[at].View, sides[at].Row)
		for _, s := range settings {
			section, _, _ := strings.Cut(s.Key, ".")
			if section != "sweep" && (!one || slices.Contains(served, section)) {
				own = append(own, s)
			}
		}
		return own, err
	}
}
