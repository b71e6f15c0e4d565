package report

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"slimlab/internal/golden"
	"slimlab/lab"
	"slimlab/lab/sweep"
)

// matrixView is a run of two ratios, each of which has measured its layers by two choices; one has
// an error that is not a number.
func matrixView() *lab.View {
	begin := &lab.Begin{Run: "r4", Scenario: "layers", Rows: []string{"FM", "pruned", "layers"}, Depends: [][]string{{}, {"ratio"}, {"ratio"}}, Columns: []string{"auc"}}
	events := []lab.Event{{Kind: lab.KindBegin, Begin: begin}}
	for i, ratio := range []string{"0.25", "0.5"} {
		cell := lab.Cell{ID: "ratio=" + ratio + " seed=1", Seed: 1, Params: []lab.Param{{Key: "ratio", Value: ratio}}}
		begin.Cells = append(begin.Cells, cell)
		x := float64(i + 1)
		for name, values := range map[string][]float64{"KL": {0.5 * x, 2e-6 * x, 0, 0.0123 * x}, "output error": {0.5 * x, 0.25, math.NaN(), 0.125}} {
			events = append(events, lab.Event{Kind: lab.KindMatrix, Time: 1, Cell: cell.ID, Stage: "layers", Name: name, Matrix: &lab.Matrix{
				Rows: 2, Columns: 2, RowLabels: []string{"layer 0", "layer 1"}, ColumnLabels: []string{"mlp 25%", "w4a16|g32"}, Values: values,
			}})
		}
		for _, row := range begin.Rows {
			events = append(events, lab.Event{Kind: lab.KindRow, Time: 1, Cell: cell.ID, Row: row, Values: map[string]lab.Measure{"auc": {Value: 0.8}}})
		}
		events = append(events, lab.Event{Kind: lab.KindCell, Time: 2, Cell: cell.ID, State: lab.Done})
	}
	v := lab.Fold(append(events, lab.Event{Kind: lab.KindEnd, Time: 3, State: lab.Done})).Snapshot()
	for i := range v.Cells { // in one order, whatever that of the map
		if m := v.Cells[i].Matrices; m[0].Name != "KL" {
			m[0], m[1] = m[1], m[0]
		}
	}
	return v
}

// TestMatrices: matrices in every format, and what names the matrices of a run in its reports.
func TestMatrices(t *testing.T) {
	v := matrixView()
	for _, format := range ChartFormats() {
		var b bytes.Buffer
		s := Shown{Matrix: AllMatrices}
		picture, err := s.Of(v)
		if err == nil {
			err = picture(format, &b, 0)
		}
		if err != nil {
			t.Fatal(err)
		}
		golden.Equal(t, "matrices."+format, b.String())
	}
	for _, format := range []string{"table", "md", "json"} {
		var b bytes.Buffer
		if err := Write(format, &b, v); err != nil {
			t.Fatal(err)
		}
		if format != "json" {
			if !strings.Contains(b.String(), "layers.output error  2 rows × 2 columns, 2 cells") {
				t.Errorf("%s does not name its matrices:\n%s", format, &b)
			}
			continue
		}
		var doc struct {
			Matrices []struct {
				Cell, Step, Name string
				Rows, Columns    int
			}
		}
		if err := json.Unmarshal(b.Bytes(), &doc); err != nil || len(doc.Matrices) != 4 || doc.Matrices[3].Name != "output error" || doc.Matrices[3].Step != "layers" || doc.Matrices[3].Rows != 2 || doc.Matrices[3].Cell != "ratio=0.5 seed=1" {
			t.Errorf("%v: %+v", err, doc)
		}
	}
}

// Names and rows choose the matrices; what chooses none is an error that names what there is.
func TestMatricesAreChosen(t *testing.T) {
	for _, c := range []struct {
		names, where, want string
		count              int // of tables
	}{
		{"all", "", "of step layers, ratio=0.25", 4},
		{"kl", "", "KL (less is better)", 2},
		{"layers.output error", "ratio=0.5", "output error (less is better) of step layers, ratio=0.5", 1},
		{"KL, all", "ratio<0.3", "ratio=0.25", 2},
		{"KL", "FM", "no row with one is left", 0},
		{"KLL", "", `did you mean "KL"?`, 0},
		{"KL,", "", "expected one of KL, all, layers.KL", 0},
	} {
		var b bytes.Buffer
		s := Shown{Matrix: c.names, Selection: sweep.Selection{Where: c.where}}
		picture, err := s.Of(matrixView())
		if err == nil {
			err = picture("table", &b, 0)
		}
		if err != nil {
			b.WriteString(err.Error())
		}
		if (err != nil) != (c.count == 0) || !strings.Contains(b.String(), c.want) || c.count > 0 && strings.Count(b.String(), "of step layers") != c.count {
			t.Errorf("%q of %q: %s, expected %q", c.names, c.where, &b, c.want)
		}
	}
	s := Shown{Matrix: "KL"}
	if _, err := s.Of(sweepView()); err == nil || !strings.Contains(err.Error(), "none of its steps measures its layers") {
		t.Errorf("without a matrix: %v", err)
	}
	if o := strings.Join(s.Options(), " "); o != "--matrix KL" || s.Plain() || len(s.Formats()) != 4 {
		t.Errorf("options %q, formats %q", o, s.Formats())
	}
}

// Shades are logarithmic where the values span more than a hundred, and none is negative; a zero is
// the lowest then. Values are written alike where they may be.
func TestMatrixScale(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		unit   lab.Unit
		values []float64
		log    bool
		places []float64
		texts  string
	}{
		{lab.Plain, []float64{1, 2, 3}, false, []float64{0, 0.5, 1}, "1 2 3"},
		{lab.Plain, []float64{1, 100}, false, []float64{0, 1}, "1 100"},
		{lab.Plain, []float64{1, 10, 1000}, true, []float64{0, 1. / 3, 1}, "1 10 1000"},
		{lab.Plain, []float64{0, 1e-6, 1e-2}, true, []float64{0, 0, 1}, "0 1.00e-6 0.0100"},
		{lab.Plain, []float64{-1, 1, 1000}, false, []float64{0, 2. / 1001, 1}, "-1 1 1000"},
		{lab.Nats, []float64{-1e-9, 1e-6, 1e-2}, true, []float64{0, 0, 1}, "-1.00e-9 1.00e-6 0.0100"},
		{lab.Plain, []float64{0.5, 0.25, nan}, false, []float64{1, 0, nan}, "0.500 0.250 NaN"},
		{lab.Plain, []float64{0.00021, 0.05}, true, []float64{0, 1}, "2.10e-4 0.0500"},
		{lab.Plain, []float64{2, 2}, false, []float64{1, 1}, "2 2"},
		{lab.Plain, []float64{0, 0}, false, []float64{1, 1}, "0 0"},
		{lab.Plain, []float64{nan, math.Inf(1)}, false, []float64{nan, nan}, "NaN +Inf"},
	} {
		s := MatrixScaleOf(c.unit, &lab.Matrix{Rows: 1, Columns: len(c.values), Values: c.values})
		var texts []string
		for i, x := range c.values {
			texts = append(texts, s.Format(x))
			if got := s.Place(x); math.Abs(got-c.places[i]) > 1e-12 || math.IsNaN(got) != math.IsNaN(c.places[i]) {
				t.Errorf("%v: %v lies at %v, expected %v", c.values, x, got, c.places[i])
			}
		}
		if got := strings.Join(texts, " "); s.Log != c.log || got != c.texts {
			t.Errorf("%v: by the logarithm %v, %q; expected %v, %q", c.values, s.Log, got, c.log, c.texts)
		}
	}
	for x, want := range map[float64]string{0: "0", 0.3: "0.30", 0.0949: "9e-2", 0.095: "0.10", -0.5: "-0.50", 9.99: "9.99", 9.999: "10", 123.4: "123", 9999.6: "1e4", 7.2e-4: "7e-4", math.Inf(1): "+Inf"} {
		if got := BriefNumber(x); got != want {
			t.Errorf("%v is %q in brief, expected %q", x, got, want)
		}
	}
	for _, c := range []struct{ x, rank, of float64 }{{5, 1, 4}, {3, 2, 4}, {1, 4, 4}, {nan, 0, 4}} {
		if rank, of := MatrixRank([]float64{3, nan, 5, 3, 1}, c.x); float64(rank) != c.rank || float64(of) != c.of {
			t.Errorf("%v has rank %d of %d", c.x, rank, of)
		}
	}
}
