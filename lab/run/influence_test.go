package run

import (
	"bytes"
	"math"
	"testing"

	"slimlab/kd"
	"slimlab/lab"
	"slimlab/lab/scenario"
	"slimlab/lab/stat"
)

// ofTestUnits are the metrics that have an error of the test sample.
var ofTestUnits = map[string]int{"auc": 40, "auc_soft": 40, "auc_heldout": 40, "auc_delta": 40, "auc_soft_delta": 40, "auc_ceiling_delta": 40, "loss": 8, "loss_delta": 8, "agreement": 8, "kl": 8, "flips": 40, "flips_lost": 40, "flips_won": 40}

// TestRowsKeepTheirInfluence: each figure of a test sample has the influence of its units in the
// log, other figures have none; the standard error that it gives is that of the figure's own
// interval; rows that are found, or measured elsewhere, have the same bytes.
func TestRowsKeepTheirInfluence(t *testing.T) {
	ref := theReference(t)
	run, err := openHome(t, ref.home).Logs.Read(ref.run)
	if err != nil {
		t.Fatal(err)
	}
	again := mustWork(t, copyHome(t, everything), parse(t, chain, scenario.Options{}), Options{}).Board.Snapshot()
	view := lab.Fold(run.Events).Snapshot()
	for r, row := range view.Rows {
		for _, m := range lab.Metrics() {
			s, ok := row.Metric(m.Key)
			if !ok {
				continue
			}
			of := s.Seeds[0].Influence
			units, want := ofTestUnits[m.Key]
			if (of != nil) != want {
				t.Errorf("%s of %s: influence %v, expected some: %t", m.Key, row.Name, of, want)
			}
			if of == nil {
				continue
			}
			if of.Test == "" {
				t.Errorf("%s of %s: the influence names no test set", m.Key, row.Name)
			}
			if of.Units != units || len(of.Values()) != units {
				t.Errorf("%s of %s: %d %s, expected %d", m.Key, row.Name, of.Units, of.Unit, units)
			}
			found, _ := again.Rows[r].Metric(m.Key)
			if f := found.Seeds[0].Influence; f == nil || f.Test != of.Test || !bytes.Equal(f.Parts, of.Parts) {
				t.Errorf("%s of %s: a row that was found has another influence", m.Key, row.Name)
			}
			if own := s.Seeds[0]; own.Low != own.High {
				ratio := 2 * 1.96 * stat.SumError(of.Values()).Size / (own.High - own.Low)
				if !(ratio > 0.8 && ratio < 1.25) {
					t.Errorf("%s of %s: the interval is %.2f times as wide by its influence", m.Key, row.Name, ratio)
				}
			}
		}
	}
}

// TestMeanInfluence: against the change of the mean of all tokens when an example counts more.
func TestMeanInfluence(t *testing.T) {
	examples := []kd.Example{{Answer: []bool{false, true, true}}, {Answer: []bool{false}}, {Answer: []bool{false, true}}, {Answer: []bool{true, true, true}}}
	values := []float64{1, 2, 4, 0, 3, 7}
	count, sums := []float64{2, 0, 1, 3}, []float64{3, 0, 4, 10}
	mean := func(at int, weight float64) float64 {
		var sum, n float64
		for i := range count {
			w := 1.0
			if i == at {
				w = weight
			}
			sum, n = sum+w*sums[i], n+w*count[i]
		}
		return sum / n
	}
	of := meanInfluence(examples, values)
	for i, got := range of.Values() {
		if want := (mean(i, 1+1e-6) - mean(i, 1-1e-6)) / 2e-6; math.Abs(got-want) > 1e-6 {
			t.Errorf("example %d: %v, expected %v", i, got, want)
		}
	}
}
