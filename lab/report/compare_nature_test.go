package report

import (
	"math"
	"strings"
	"testing"

	"slimlab/lab"
)

// TestEveryMetricHasItsNature: the table knows every metric that a run can measure and no other;
// the clocked are those that lab measures with a clock.
func TestEveryMetricHasItsNature(t *testing.T) {
	for _, m := range lab.Metrics() {
		if n, known := natures[m.Key]; !known || (n == Clocked) != m.Timing || NatureOf(m) != n {
			t.Errorf("%s: known %t, %s, measured with a clock: %t", m.Key, known, n, m.Timing)
		}
	}
	for key := range natures {
		if _, ok := lab.MetricByKey(key); !ok {
			t.Errorf("%s is no metric", key)
		}
	}
	for _, key := range []string{"params", "bytes", "smaller", "mlp_kept", "heads_kept", "params_kept"} {
		if m, _ := lab.MetricByKey(key); NatureOf(m) != Exact {
			t.Errorf("%s is %s", key, NatureOf(m))
		}
	}
	for _, key := range []string{"auc", "auc_delta", "auc_soft_delta", "loss", "loss_delta", "agreement"} {
		if m, _ := lab.MetricByKey(key); NatureOf(m) != Sampled {
			t.Errorf("%s is %s", key, NatureOf(m))
		}
	}
	if NatureOf(lab.Metric{Key: "of a later version"}) != Sampled || NatureOf(lab.Metric{Timing: true}) != Clocked {
		t.Error("what no table knows must not be exact")
	}
}

// seeded is one figure of a run: a value for each seed, from seed first on, without a sample size.
func seeded(id, key string, first int, values ...float64) *lab.View {
	begin := &lab.Begin{Run: id, Hash: "h", Version: "v1", Rows: []string{"r"}, Columns: []string{key}}
	for i := range values {
		begin.Cells = append(begin.Cells, lab.Cell{ID: string(rune('a' + first + i)), Seed: first + i})
	}
	b := lab.Fold([]lab.Event{{Kind: lab.KindBegin, Begin: begin}})
	for i, c := range begin.Cells {
		b.Apply(lab.Event{Kind: lab.KindRow, Cell: c.ID, Row: "r", Key: "k", Test: "t", Values: map[string]lab.Measure{key: {Value: values[i]}}})
	}
	return b.Snapshot()
}

// TestUnequalSeeds: a figure is not worse, nor another, because one of the runs has more seeds.
func TestUnequalSeeds(t *testing.T) {
	nan := math.NaN()
	for name, c := range map[string]struct {
		key        string
		base       []float64
		first      int // seed of the new run
		next       []float64
		want       Judgement
		says, hush string
	}{
		"equal bytes, a seed less":                {"bytes", []float64{7, 7, 7}, 1, []float64{7, 7}, Same, "", "seeds of both"},
		"equal parameters, more seeds":            {"params", []float64{7}, 1, []float64{7, 7, 7, 7, 7}, Same, "", ""},
		"equal ratios, no seed in common":         {"smaller", []float64{4, 4}, 8, []float64{4}, Same, "", ""},
		"equal widths, one seed":                  {"mlp_kept", []float64{0.5, 0.5}, 2, []float64{0.5}, Same, "", ""},
		"equal zeros of Δ AUC":                    {"auc_delta", []float64{0, 0, 0}, 1, []float64{0, 0}, Same, "", ""},
		"equal ceilings":                          {"auc_ceiling", []float64{0.9, 0.9}, 1, []float64{0.9}, Same, "", ""},
		"sizes that seeds decide, equal where it": {"bytes", []float64{5, 7, 9}, 1, []float64{5, 7}, Same, "judged by the seeds of both runs alone: 1, 2", ""},
		"sizes that seeds decide, worse":          {"bytes", []float64{5, 7, 1}, 1, []float64{5, 8}, Worse, "alone: 1, 2", ""},
		"sizes that seeds decide, better":         {"bytes", []float64{5, 7, 1}, 1, []float64{5, 6}, Better, "alone: 1, 2", ""},
		"sizes that seeds decide, none in common": {"bytes", []float64{5, 7}, 8, []float64{8}, Unknown, "cannot be judged", ""},
		"more bytes, a seed more":                 {"bytes", []float64{7, 7}, 1, []float64{8, 8, 8}, Worse, "", ""},
		"fewer bytes, no seed in common":          {"bytes", []float64{7, 7}, 8, []float64{6}, Better, "", ""},
		"fewer cached, a seed less":               {"cached", []float64{0.7, 0.6, 0.5}, 1, []float64{0.7, 0.6}, Same, "alone: 1, 2", ""},
		"another published figure":                {"paper", []float64{0.7, 0.7}, 1, []float64{0.6}, Changed, "", ""},
		"no number at a common seed":              {"bytes", []float64{nan, 7}, 1, []float64{nan}, Unknown, "not a number", ""},
		"no number any more":                      {"bytes", []float64{7, 7}, 1, []float64{nan}, Worse, "", ""},
		"Δ AUC without samples, a seed less":      {"auc_delta", []float64{-0.01, -0.02, -0.03}, 1, []float64{-0.012, -0.021}, Within, "alone: 1, 2", ""},
		"Δ AUC without samples, one seed":         {"auc_delta", []float64{-0.01, -0.02, -0.03}, 1, []float64{-0.3}, Unknown, "cannot be judged", ""},
		"Δ AUC without samples, one seed each":    {"auc_delta", []float64{-0.01}, 1, []float64{-0.3}, Unknown, "cannot be judged", ""},
		"Δ AUC without samples, far":              {"auc_delta", []float64{-0.01, -0.011, -0.012, -0.011}, 1, []float64{-0.31, -0.311, -0.312, -0.311, -0.31}, Worse, "alone: 1, 2, 3, 4", ""},
		"a loss of fewer seeds":                   {"loss", []float64{1, 2, 3}, 1, []float64{1.1, 1.9}, Within, "alone: 1, 2", ""},
		"agreement of other seeds":                {"agreement", []float64{0.9}, 5, []float64{0.8}, Unknown, "cannot be judged", ""},
	} {
		base, next := seeded("b", c.key, 1, c.base...), seeded("n", c.key, c.first, c.next...)
		one := Compare(base, next).Changes[0]
		words := strings.Join(one.Warnings, "; ")
		if one.Judgement != c.want || !strings.Contains(words, c.says) || c.hush != "" && strings.Contains(words, c.hush) {
			t.Errorf("%s: %s %q, expected %s %q", name, one.Judgement, words, c.want, c.says)
		}
	}
}

// TestDirectionOfWhatIsCompared: where only the seeds of both runs are judged, they say which way a
// figure went and by how much; a seed of one run alone cannot turn that about.
func TestDirectionOfWhatIsCompared(t *testing.T) {
	for key, far := range map[string]float64{"auc": -9, "auc_delta": -9, "loss": -9, "bytes": -4.9} {
		base := []float64{5, 5.01, 5.02, 5.01, 5 + far}
		next := []float64{4, 4.01, 4.02, 4.01}
		one := Compare(seeded("b", key, 1, base...), seeded("n", key, 1, next...)).Changes[0]
		want := Worse
		if m, _ := lab.MetricByKey(key); m.Better == lab.Lower {
			want = Better
		}
		a, b := one.compared()
		if one.Judgement != want || math.Abs(b-a+1) > 1e-9 || math.Abs(one.Delta-(b-a)/a) > 1e-12 || !strings.HasPrefix(one.DeltaText(), "-") {
			t.Errorf("%s: %s, %v to %v, Δ %v, %s; expected %s", key, one.Judgement, a, b, one.Delta, one.DeltaText(), want)
		}
	}
}
