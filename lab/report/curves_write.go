package report

import (
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"slimlab/internal/jsondoc"
	"slimlab/internal/nearest"
	"slimlab/lab"
	"slimlab/lab/sweep"
)

const curvesSchema = "slimlab.curves/1"

// AllCurves names every series of a run in Shown.Curves.
const AllCurves = "all"

// CurveFormats lists the formats of curves.
func CurveFormats() []string { return []string{"csv", "json"} }

// curvesOf finds the curves of the named series in the cells of the chosen rows, of long ones the
// points that a chart shows. A series that is of no step is that of all cells.
func (s *Shown) curvesOf(t *sweep.Table) (Picture, error) {
	all, known := newJSONCurves(t.View), []string{}
	for i := range all {
		if !slices.Contains(known, all[i].Name) {
			known = append(known, all[i].Name)
		}
	}
	if len(known) == 0 {
		return nil, fmt.Errorf("--curves: the run has no curve")
	}
	var names []string
	for name := range strings.SplitSeq(s.Curves, ",") {
		if name = strings.TrimSpace(name); name == AllCurves {
			names = append(names, known...)
		} else if !slices.Contains(known, name) {
			return nil, nearest.Unknown("--curves: series", name, append(known, AllCurves))
		}
		names = append(names, name)
	}
	chosen := chosenCells(t)
	curves := slices.DeleteFunc(all, func(c jsonCurve) bool {
		step := ""
		for _, name := range t.Steps() {
			if strings.HasPrefix(c.Name, name+".") && len(name) > len(step) {
				step = name
			}
		}
		return !slices.Contains(names, c.Name) || step != "" && !chosen[[2]string{step, c.Cell}]
	})
	return func(format string, w io.Writer, _ int) error { return writeCurvesAs(format, w, t.View, curves) }, nil
}

// chosenCells are the steps and cells of a table's rows.
func chosenCells(t *sweep.Table) map[[2]string]bool {
	chosen := map[[2]string]bool{}
	for i := range t.Rows {
		for _, same := range t.Rows[i].Same {
			for _, cell := range t.View.Rows[same].Cells {
				chosen[[2]string{t.Rows[i].Name, cell}] = true
			}
		}
	}
	return chosen
}

// writeCurvesAs writes curves in one of CurveFormats; CSV has a line for each point.
func writeCurvesAs(format string, w io.Writer, v *lab.View, curves []jsonCurve) error {
	if err := nearest.Check("format of curves", format, CurveFormats()); err != nil {
		return err
	}
	if format == "json" {
		return jsondoc.Write(w, curvesSchema, struct {
			Run    string      `json:"run"`
			Curves []jsonCurve `json:"curves"`
		}{v.Begin.Run, curves})
	}
	out := csv.NewWriter(w)
	out.Write([]string{"run", "cell", "series", "step", "value"})
	for i := range curves {
		c := &curves[i]
		for j := range c.Steps {
			out.Write([]string{v.Begin.Run, c.Cell, c.Name, strconv.Itoa(c.Steps[j]), plain(float64(c.Values[j]))})
		}
	}
	out.Flush()
	return out.Error()
}
