package report

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"slimlab/internal/jsondoc"
	"slimlab/internal/nearest"
	"slimlab/internal/plural"
	"slimlab/internal/texttable"
	"slimlab/internal/visible"
	"slimlab/lab"
	"slimlab/lab/sweep"
)

const matricesSchema = "slimlab.matrices/1"

// AllMatrices names every matrix of a run in Shown.Matrix.
const AllMatrices = "all"

// MatrixScale is how the values of a matrix are written and shaded.
type MatrixScale struct {
	Low, High float64 // of the values that are numbers; NaN where none is
	Log       bool    // shades go by the logarithm
	Loggable  bool    // they can
	least     float64 // above 0; where the logarithm begins
	scale     Scale
	exponents bool // one scale for all would have too many digits
}

const (
	logSpan   = 100  // of values, from which shades are logarithmic
	fixedSpan = 1000 // of values, up to which all have as many decimals
)

// MatrixScaleOf chooses the scale of a matrix of a unit. Values below 0 leave no logarithm; in a
// unit that has none they are 0 but for rounding, such as a divergence of -1e-9.
func MatrixScaleOf(unit lab.Unit, m *lab.Matrix) MatrixScale {
	s := MatrixScale{Low: math.NaN(), High: math.NaN(), least: math.Inf(1)}
	least, most := math.Inf(1), 0.0 // of magnitudes
	for _, x := range m.Values {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			continue
		}
		if math.IsNaN(s.Low) {
			s.Low, s.High = x, x
		}
		s.Low, s.High = min(s.Low, x), max(s.High, x)
		if x > 0 {
			s.least = min(s.least, x)
		}
		if x != 0 {
			least, most = min(least, math.Abs(x)), max(most, math.Abs(x))
		}
	}
	lowest, _ := unit.Range()
	s.Loggable = (s.Low >= 0 || lowest >= 0) && s.High > 0
	s.Log = s.Loggable && s.High/s.least > logSpan
	s.exponents = most > 0 && (most/least > fixedSpan || least < 0.001 || most >= 1e6)
	s.scale = ScaleOf(lab.Plain, m.Values...)
	return s
}

// Format writes a value: with as many decimals as the others, or in three digits where their sizes
// differ too much for that.
func (s *MatrixScale) Format(x float64) string {
	if !s.exponents || math.IsNaN(x) || math.IsInf(x, 0) {
		return s.scale.Format(x)
	}
	return threeDigits(x)
}

// threeDigits writes a number in three digits, with a power of ten where that is shorter: "0.0123",
// "4.5e-6".
func threeDigits(x float64) string {
	if a := math.Abs(x); x == 0 || a >= 0.001 && a < 1e6 {
		decimals := 0
		if x != 0 {
			decimals = max(0, 2-magnitude(a))
		}
		return strconv.FormatFloat(x, 'f', decimals, 64)
	}
	return power(x, 2)
}

// power writes a number with a power of ten.
func power(x float64, decimals int) string {
	mantissa, power, _ := strings.Cut(strconv.FormatFloat(x, 'e', decimals, 64), "e")
	n, _ := strconv.Atoi(power) // which FormatFloat has written
	return mantissa + "e" + strconv.Itoa(n)
}

// BriefNumber writes a number in a digit or two, where three have no room: "0.30", "7e-4", "12".
func BriefNumber(x float64) string {
	switch a := math.Abs(x); {
	case x == 0:
		return "0"
	case a >= 0.095 && a < 9.995:
		return strconv.FormatFloat(x, 'f', 2, 64)
	case a >= 9.995 && a < 9999.5 || math.IsNaN(x) || math.IsInf(x, 0):
		return strconv.FormatFloat(x, 'f', 0, 64)
	}
	return power(x, 0)
}

// Place is where a value lies from the lowest, 0, to the highest, 1; all are the highest where they
// are equal. What is not a number is NaN.
func (s *MatrixScale) Place(x float64) float64 {
	low, high := s.Low, s.High
	if s.Log {
		low, high, x = math.Log(s.least), math.Log(high), math.Log(max(x, s.least))
	}
	switch {
	case math.IsNaN(x) || math.IsInf(x, 0):
		return math.NaN()
	case !(high > low):
		return 1
	}
	return (x - low) / (high - low)
}

// MatrixRank is the place of a value among others, 1 that of the highest, and how many numbers
// there are; 0 where the value is none. Equal values have equal ranks.
func MatrixRank(values []float64, x float64) (rank, of int) {
	for _, y := range values {
		if math.IsNaN(y) {
			continue
		}
		if of++; y > x {
			rank++
		}
	}
	if math.IsNaN(x) {
		return 0, of
	}
	return rank + 1, of
}

// MatrixColumn is a column of a matrix, from the first row to the last.
func MatrixColumn(m *lab.Matrix, column int) []float64 {
	values := make([]float64, m.Rows)
	for i := range values {
		values[i] = m.At(i, column)
	}
	return values
}

// cellMatrix is a matrix with its cell.
type cellMatrix struct {
	cell string
	of   *lab.MatrixView
}

// matrixOf finds the matrices that were asked for in the cells of the chosen rows.
func (s *Shown) matrixOf(t *sweep.Table) (Picture, error) {
	ids := t.View.MatrixIDs()
	if len(ids) == 0 {
		return nil, fmt.Errorf("--matrix: run %s has no matrix: %s", t.View.Begin.Run, t.View.NoMatrix())
	}
	wanted, err := matricesNamed(ids, s.Matrix)
	if err != nil {
		return nil, err
	}
	chosen, steps := chosenCells(t), t.Steps()
	var list []cellMatrix
	for i := range t.View.Cells {
		c := &t.View.Cells[i]
		for j := range c.Matrices {
			m := &c.Matrices[j]
			if slices.Contains(wanted, m.ID()) && (chosen[[2]string{m.Stage, c.ID}] || !slices.Contains(steps, m.Stage)) {
				list = append(list, cellMatrix{c.ID, m})
			}
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("--matrix %s: no row with one is left by --where", s.Matrix)
	}
	return func(format string, w io.Writer, _ int) error { return writeMatrices(format, w, t.View, list) }, nil
}

// matricesNamed are those that a list names: each by what it is of, alone or behind its step.
func matricesNamed(ids []lab.MatrixID, list string) (wanted []lab.MatrixID, err error) {
	known := []string{AllMatrices}
	for _, id := range ids {
		known = append(known, id.Name)
		if id.Stage != "" {
			known = append(known, id.String())
		}
	}
	slices.Sort(known)
	known = slices.Compact(known)
	for name := range strings.SplitSeq(list, ",") {
		name, found := strings.TrimSpace(name), false
		for _, id := range ids {
			if strings.EqualFold(name, AllMatrices) || strings.EqualFold(name, id.Name) || strings.EqualFold(name, id.String()) {
				found = true
				if !slices.Contains(wanted, id) {
					wanted = append(wanted, id)
				}
			}
		}
		if !found {
			return nil, nearest.Unknown("--matrix: matrix", name, known)
		}
	}
	return wanted, nil
}

// writeMatrices writes matrices in one of ChartFormats: a table each, or a CSV line for each value.
func writeMatrices(format string, w io.Writer, v *lab.View, list []cellMatrix) error {
	err := nearest.Check("format of matrices", format, ChartFormats())
	switch {
	case err != nil:
		return err
	case format == "csv":
		err = matricesCSV(w, v, list)
	case format == "json":
		err = jsondoc.Write(w, matricesSchema, newJSONMatrices(v, list))
	default:
		for i := range list {
			if i > 0 {
				_, err = io.WriteString(w, "\n")
			}
			if err == nil {
				err = writeMatrix(w, format, v, &list[i])
			}
			if err != nil {
				break
			}
		}
	}
	if err != nil {
		return fmt.Errorf("matrices as %s: %w", format, err)
	}
	return nil
}

func writeMatrix(w io.Writer, format string, v *lab.View, one *cellMatrix) error {
	m := one.of
	kind := lab.MatrixOf(m.Name)
	title := MatrixTitle(m.ID())
	if len(v.Cells) > 1 {
		title += ", " + one.cell
	}
	var notes []string
	if kind.About != "" {
		notes = append(notes, kind.Name+": "+kind.About)
	}
	if n := notFinite(m.Values); n > 0 {
		notes = append(notes, plural.Of(n, "value")+" not finite")
	}
	return writeChartText(w, format, title, func(escape func(string) string) *texttable.Table { return matrixTable(kind, m.Matrix, escape) }, notes)
}

// MatrixTitle says what a matrix is of and which values are better.
func MatrixTitle(id lab.MatrixID) string {
	kind := lab.MatrixOf(id.Name)
	title := directed(lab.Metric{Label: id.Name, Better: kind.Better})
	if id.Stage != "" {
		title += " of step " + id.Stage
	}
	return title
}

func notFinite(values []float64) (n int) {
	for _, x := range values {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			n++
		}
	}
	return n
}

func matrixTable(kind lab.MatrixKind, m *lab.Matrix, clean func(string) string) *texttable.Table {
	scale := MatrixScaleOf(kind.Unit, m)
	out := &texttable.Table{Columns: []texttable.Column{{}}}
	for x := range m.Columns {
		out.Columns = append(out.Columns, texttable.Column{Head: clean(m.Column(x)), Right: true})
	}
	for y := range m.Rows {
		cells := []string{clean(m.Row(y))}
		for x := range m.Columns {
			cells = append(cells, scale.Format(m.At(y, x)))
		}
		out.Rows = append(out.Rows, cells)
	}
	return out
}

func matricesCSV(w io.Writer, v *lab.View, list []cellMatrix) error {
	out := csv.NewWriter(w)
	out.Write([]string{"run", "cell", "step", "matrix", "row", "column", "value"})
	for _, one := range list {
		m := one.of
		for y := range m.Rows {
			for x := range m.Columns {
				out.Write([]string{v.Begin.Run, one.cell, m.Stage, m.Name, m.Row(y), m.Column(x), plain(m.At(y, x))})
			}
		}
	}
	out.Flush()
	return out.Error()
}

type jsonMatrices struct {
	Run      string       `json:"run"`
	Matrices []jsonMatrix `json:"matrices"`
}

type jsonMatrix struct {
	Cell    string         `json:"cell"`
	Step    string         `json:"step"`
	Name    string         `json:"name"`
	Unit    string         `json:"unit"`
	Better  string         `json:"better"`
	Rows    []string       `json:"rows"`
	Columns []string       `json:"columns"`
	Values  [][]lab.Number `json:"values"` // by row, then column
}

func newJSONMatrices(v *lab.View, list []cellMatrix) jsonMatrices {
	out := jsonMatrices{Run: v.Begin.Run, Matrices: []jsonMatrix{}}
	for _, each := range list {
		m := each.of
		kind := lab.MatrixOf(m.Name)
		one := jsonMatrix{Cell: each.cell, Step: m.Stage, Name: m.Name, Unit: kind.Unit.String(), Better: kind.Better.String(), Rows: []string{}, Columns: []string{}}
		for x := range m.Columns {
			one.Columns = append(one.Columns, m.Column(x))
		}
		for y := range m.Rows {
			one.Rows = append(one.Rows, m.Row(y))
			line := make([]lab.Number, m.Columns)
			for x := range line {
				line[x] = lab.Number(m.At(y, x))
			}
			one.Values = append(one.Values, line)
		}
		out.Matrices = append(out.Matrices, one)
	}
	return out
}

// jsonMatrixName says of a matrix of a run what it is of and how large it is.
type jsonMatrixName struct {
	Cell    string `json:"cell"`
	Step    string `json:"step"`
	Name    string `json:"name"`
	Rows    int    `json:"rows"`
	Columns int    `json:"columns"`
}

func newJSONMatrixNames(v *lab.View) []jsonMatrixName {
	names := []jsonMatrixName{}
	for i := range v.Cells {
		c := &v.Cells[i]
		for j := range c.Matrices {
			m := &c.Matrices[j]
			names = append(names, jsonMatrixName{c.ID, m.Stage, m.Name, m.Rows, m.Columns})
		}
	}
	return names
}

// matrixLines name the matrices of a run for people, a line for each, with the command that prints
// them.
func matrixLines(v *lab.View) []string {
	var lines []string
	for _, id := range v.MatrixIDs() {
		cells, size := 0, ""
		for i := range v.Cells {
			if m := v.Cells[i].Matrix(id); m != nil {
				cells++
				size = cmp.Or(size, fmt.Sprintf("%s × %s", plural.Of(m.Rows, "row"), plural.Of(m.Columns, "column")))
			}
		}
		line := visible.Line(id.String()) + "  " + size
		if cells > 1 {
			line += fmt.Sprintf(", %d cells", cells)
		}
		lines = append(lines, line)
	}
	return lines
}
