package sweep

import (
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"slimlab/lab"
)

// TestAggregatesLieAmongTheirRows: whatever the values, an aggregate of rows is one of them, or an
// average between the lowest and the highest; what is no finite number counts nothing.
func TestAggregatesLieAmongTheirRows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table := &Table{}
		var rows []int
		var finite []float64
		for i, x := range rapid.SliceOfN(rapid.OneOf(rapid.Float64Range(-1, 1), rapid.SampledFrom([]float64{0, 1, math.NaN(), math.Inf(1), 1e308, -1e308})), 0, 8).Draw(t, "values") {
			table.Rows = append(table.Rows, Row{TableRow: &lab.TableRow{Values: map[string]lab.Summary{"k": {Value: x}}}, Same: []int{i}})
			if rows = append(rows, i); !math.IsNaN(x) && !math.IsInf(x, 0) {
				finite = append(finite, x)
			}
		}
		m := lab.Metric{Key: "k", Better: rapid.SampledFrom([]lab.Direction{lab.Lower, lab.Higher, lab.Neither}).Draw(t, "direction")}
		for a := Mean; a <= Count; a++ {
			total := table.Total(rows, m, a)
			switch {
			case total.N != len(finite):
				t.Fatalf("%s is of %d rows, expected %d", a, total.N, len(finite))
			case a == Count:
				if total.Value != float64(len(finite)) || total.Row >= 0 {
					t.Fatalf("n of %d rows is %+v", len(finite), total)
				}
			case len(finite) == 0 || a == Best && m.Better == lab.Neither:
				if !math.IsNaN(total.Value) || total.Row >= 0 {
					t.Fatalf("%s of %v, %s is better: %+v, expected none", a, finite, m.Better, total)
				}
			default:
				agreesWith(t, a, m, finite, total)
			}
		}
	})
}

func agreesWith(t *rapid.T, a Aggregate, m lab.Metric, finite []float64, total Total) {
	low, high := slices.Min(finite), slices.Max(finite)
	want := map[Aggregate]float64{Min: low, Max: high, Last: finite[len(finite)-1], Best: high}
	if m.Better == lab.Lower {
		want[Best] = low
	}
	if x, one := want[a]; one && total.Value != x || total.Low != low || total.High != high || total.Value < low || total.Value > high {
		t.Fatalf("%s of %v, %s is better: %+v", a, finite, m.Better, total)
	}
	if average := a.Averages() && len(finite) > 1; average == (total.Row >= 0) {
		t.Fatalf("%s of %v is that of row %d", a, finite, total.Row)
	}
}

// TestLastIsOfTheRunsOrder: also where the rows are sorted otherwise.
func TestLastIsOfTheRunsOrder(t *testing.T) {
	table := groupTable(t)
	rows := []int{3, 6, 1, 2}
	if total := table.Total(rows, metric(t, "auc"), Last); total.Row != 6 {
		t.Errorf("the last of rows %v is %d, expected 6", rows, total.Row)
	}
}

// TestChoices: names for all metrics and for one, and the text that says them again.
func TestChoices(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "mean": "", "best": "best", " median , bytes=min": "median,bytes=min", "auc=best,auc=best": "auc=best", "best,auc=best": "best", "best,auc=mean,bytes=n": "best,bytes=n,auc=mean", "loss = last": "loss=last",
	} {
		c, err := ParseChoice(text)
		if again, err2 := ParseChoice(c.String()); err != nil || c.String() != want || err2 != nil || again.String() != want {
			t.Errorf("%q is %q, %v, %v; expected %q", text, c.String(), err, err2, want)
		}
	}
	for text, want := range map[string]string{
		"avg": `aggregate "avg": expected one of mean, median, best, last, min, max, n`, "mediann": `did you mean "median"?`, "acu=best": `did you mean "auc"?`, "auc=": "aggregate \"\"",
		"auc=best,auc=min": "auc is to be best and min", "best,min": "expected one aggregate for all metrics", "mlp_kept=best": "mlp_kept has no better direction", "auc=best=x": "best=x",
	} {
		if _, err := ParseChoice(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, expected %q", text, err, want)
		}
	}
}
