package scenario_test

import (
	"maps"
	"math"
	"strings"
	"testing"

	"slimlab/lab"
	"slimlab/lab/scenario"
)

// sixRows is a scenario of two lists of three rows, a1 to a3 and b1 to b3.
const sixRows = `name: x
task: { kind: recsys, members: 4 }
models: { FM: { load: "pretrained:recsys-fm" } }
pipeline:
  - baseline: { name: FM, model: FM }
  - quantize: { name: a1, from: FM, scheme: w8a8 }
  - quantize: { name: a2, from: FM, scheme: w8a8-rtn }
  - quantize: { name: a3, from: FM, scheme: w4a16 }
  - quantize: { name: b1, from: FM, scheme: w4a16-rtn }
  - quantize: { name: b2, from: FM, scheme: w4a16-gptq }
  - quantize: { name: b3, from: FM, scheme: w4a16, group: 64 }
`

var sixNames = []string{"a1", "a2", "a3", "b1", "b2", "b3"}

// rankVerdict judges one expectation on boards of sixRows: kl of a1, a2, a3, b1, b2, b3 by seed,
// where a value below 0 was not measured.
func rankVerdict(t *testing.T, expectation string, seeds [][6]float64, failed bool) lab.Event {
	t.Helper()
	o := options()
	o.Seeds = len(seeds)
	s, err := scenario.Parse("x.yaml", []byte(sixRows+"expect: [ \""+expectation+"\" ]\n"), o)
	if err != nil {
		t.Fatal(err)
	}
	plan := s.Plan()
	begin := plan.Begin()
	events := []lab.Event{{Kind: lab.KindBegin, Begin: &begin}}
	for i, cell := range plan.Cells {
		for k, row := range sixNames {
			values := map[string]lab.Measure{"auc": {Value: 0.5}}
			if kl := seeds[i][k]; !(kl < 0) {
				maps.Copy(values, map[string]lab.Measure{"kl": {Value: kl, Warning: "of " + row[:1]}, "auc": {Value: 1 - kl/10}})
			}
			events = append(events, lab.Event{Kind: lab.KindRow, Cell: cell.ID, Row: row, Values: values})
		}
		if failed {
			events = append(events, lab.Event{Kind: lab.KindCell, Cell: cell.ID, State: lab.Failed, Text: "no memory"})
		}
	}
	got := s.Verdicts(lab.Fold(events).Snapshot())
	if len(got) != 1 {
		t.Fatalf("%s: found %d verdicts, expected 1", expectation, len(got))
	}
	return got[0]
}

// TestRankVerdicts: the statistics of two lists of rows are computed by seed, with the interval of
// their mean; ties count half; what has no order or was not measured has no verdict that holds.
func TestRankVerdicts(t *testing.T) {
	const tau, best = "kendall(kl, rows=a1;a2;a3, rows=b1;b2;b3)", "best_kept(kl, rows=a1; a2 ;a3, rows=b1;b2;b3)"
	same, swapped, reversed := [6]float64{1, 2, 3, 4, 5, 6}, [6]float64{1, 2, 3, 4, 6, 5}, [6]float64{1, 2, 3, 6, 5, 4}
	tied := [6]float64{1, 2, 2, 4, 5, 6} // 2 pairs of 3 apart: τ-b is 2/√(2·3)
	for _, c := range []struct {
		expectation string
		seeds       [][6]float64
		held        bool
		text        string
	}{
		// τ of 1, 1/3, 1/3: mean 5/9, t(0.975, 2) = 4.303, 0.3849/√3 = 0.2222; cut at 1
		{tau + " > 0", [][6]float64{same, swapped, swapped}, true, "tau of kl 0.56 [-0.40, 1.00] over 3 seeds, which 0 lies in"},
		{tau + " > 0.6", [][6]float64{same, swapped, swapped}, false, "tau of kl 0.56 [-0.40, 1.00] over 3 seeds, which 0.6 lies in"},
		{tau + " < -0.5", [][6]float64{same, swapped, swapped}, false, "tau of kl 0.56 [-0.40, 1.00] over 3 seeds"},
		{tau + " > 0", [][6]float64{swapped, swapped, swapped}, true, "tau of kl 0.33 at each of 3 seeds"},
		{tau + " > 0", [][6]float64{reversed}, false, "tau of kl -1.00 over 3 rows of one seed"},
		{tau + " > 0.81", [][6]float64{tied, tied}, true, "tau of kl 0.82 at each of 2 seeds"},
		{tau + " > 0.82", [][6]float64{tied, tied}, false, "tau of kl 0.82 at each of 2 seeds"},
		// the metric's direction turns the orders of both lists
		{strings.ReplaceAll(tau, "kl", "auc") + " == 1", [][6]float64{same, same}, true, "tau of auc 1.00 at each of 2 seeds"},
		{tau + " > 0", [][6]float64{same, {1, 2, 3, 4, 4, 4}}, false, "the rows of the second list have no order: kl is 4 in all of them at seed 2"},
		{tau + " > 0", [][6]float64{{3, 3, 3, 4, 5, 6}}, false, "the rows of the first list have no order: kl is 3 in all of them at seed 1"},
		{tau + " > 0", [][6]float64{same, {1, 2, 3, 4, math.NaN(), 5}}, false, "kl of row b2 is not a number at seed 2, so that it has no rank"},
		{tau + " > 0", [][6]float64{same, {1, -1, 3, 4, 6, 5}}, false, "kl of row a2 was measured by 1 of 2 seeds"},
		{tau + " > 0", [][6]float64{{1, 2, 3, 4, 6, -1}}, false, "kl of row b3 was not measured"},
		// differences of τ: 1 − 1, 1 + 1: the auc of a1 to a3 against itself in the other order
		{tau + " < kendall(auc, rows=a1;a2;a3, rows=a3;a2;a1)", [][6]float64{same, reversed}, false,
			"tau of kl 0.00 [-1.00, 1.00] over 2 seeds, tau of auc -1.00 at each of 2 seeds; difference 1 [-11.7, 13.7] over 2 seeds, which 0 lies in"},
		{"kendall(kl, rows=a1;a2;a3, rows=b1;b2;b3) + kl(row=a1) == 2", [][6]float64{same}, true, "tau of kl 1.00 over 3 rows of one seed, kl(row=a1) = 1; 2 against 2"},

		// Wilson of 3 of 3: [0.4385, 1], and of 2 of 3: [0.2077, 0.9385]
		{best + " == 1", [][6]float64{same, swapped, same}, true, "best kl kept in 3 of 3 seeds, 1.00 [0.44, 1.00]"},
		{best + " >= 0.9", [][6]float64{same, swapped, reversed}, false,
			"best kl kept in 2 of 3 seeds, 0.67 [0.21, 0.94]; seed 3: a1 is the best of the first list, b3 of the second, which 0.9 lies in"},
		{strings.ReplaceAll(best, "kl", "auc") + " > 0.5", [][6]float64{swapped, swapped}, true, "best auc kept in 2 of 2 seeds, 1.00 [0.34, 1.00], which 0.5 lies in"},
		// of two that are equally good, one has the best counterpart
		{best + " > 0", [][6]float64{{1, 1, 3, 5, 4, 6}}, true, "best kl kept in 1 of 1 seed, 1.00 [0.21, 1.00]"},
	} {
		got := rankVerdict(t, c.expectation, c.seeds, false)
		if got.Held != c.held || got.Text != c.text || got.Unjudged {
			t.Errorf("%s of %v: found %t %q, expected %t %q", c.expectation, c.seeds, got.Held, got.Text, c.held, c.text)
		}
	}
	got := rankVerdict(t, tau+" > 0", [][6]float64{{1, 2, 3, 4, 6, -1}}, true)
	if !got.Unjudged || !strings.Contains(got.Text, "kl of row b3 was not measured; cell") || !strings.Contains(got.Text, "no memory") {
		t.Errorf("a failed cell gives %+v, expected no verdict, with the cell's error", got)
	}
	// 0 and 9: the interval of a1 is cut at 0, which is nothing to its rank
	for want, seeds := range map[string][][6]float64{"of a|of b": {same}, "of a|of b|n=2 seeds": {{0, 2, 3, 4, 5, 6}, {9, 2, 3, 4, 5, 6}}} {
		if got := rankVerdict(t, tau+" > 0", seeds, false); strings.Join(got.Warnings, "|") != want {
			t.Errorf("warnings are %q, expected those of all measures, each once: %q", got.Warnings, want)
		}
	}
}

// TestRankIntervalOverRows: of one seed, τ has Kendall's interval from five rows on.
func TestRankIntervalOverRows(t *testing.T) {
	file := sixRows + "expect: [ \"kendall(kl, rows=a1;a2;a3;b1;b2, rows=a2;a1;b1;a3;b3) > 0\" ]\n"
	s, err := scenario.Parse("x.yaml", []byte(file), options())
	if err != nil {
		t.Fatal(err)
	}
	plan := s.Plan()
	begin := plan.Begin()
	events := []lab.Event{{Kind: lab.KindBegin, Begin: &begin}}
	for k, row := range sixNames {
		events = append(events, lab.Event{Kind: lab.KindRow, Cell: plan.Cells[0].ID, Row: row, Values: map[string]lab.Measure{"kl": {Value: float64(k)}}})
	}
	// orders 1 2 3 4 5 and 2 1 4 3 5: 8 of 10 pairs agree, τ = 0.6, tanh(artanh 0.6 ± 1.96·√0.437)
	const want = "tau of kl 0.60 [-0.54, 0.96] over 5 rows of one seed, which 0 lies in"
	if got := s.Verdicts(lab.Fold(events).Snapshot()); len(got) != 1 || got[0].Text != want || !got[0].Held {
		t.Errorf("found %+v, expected %q", got, want)
	}
}

// TestRankExpectationErrors: what is wrong with two lists of rows is an error of loading, at its
// place.
func TestRankExpectationErrors(t *testing.T) {
	for text, want := range map[string]string{
		"kendall(kl, rows=a1;a4, rows=b1;b2) > 0":                   `x.yaml:12:32: expectation "kendall(kl, rows=a1;a4, rows=b1;b2) > 0": unknown row "a4"`,
		"kendall(kl, rows=a1;a2;a3, rows=b1;b2) > 0":                `the lists of kendall have 3 and 2 rows, expected as many in both`,
		"kendall(kl, rows=a1, rows=b1) > 0":                         `each list has one; expected at least 2`,
		"kendall(kl, rows=a1;a2;a1, rows=b1;b2;b3) > 0":             `the row a1 is twice in one list`,
		"kendall(kl, rows=a1;a2) > 0":                               `kendall compares two lists of rows, expected kendall(metric, rows=A;B;…, rows=A2;B2;…)`,
		"kendall(kl) > 0":                                           `kendall compares two lists of rows`,
		"kendall > 0":                                               `kendall has no rows`,
		"kendall() > 0":                                             `expected kendall(metric, rows=`,
		"kendall(kl, rows=a1;, rows=b1;b2) > 0":                     `unknown row ""`,
		"kendall(kl, rows=a1;a2, rows=b1;b2, rows=a1;b2) > 0":       `found a third`,
		"kendall(kl, row=a1;a2, rows=b1;b2) > 0":                    `unknown axis "row"`,
		"kendall(kl rows=a1;a2, rows=b1;b2) > 0":                    `expected , or )`,
		"kendall(ku, rows=a1;a2, rows=b1;b2) > 0":                   `unknown metric "ku"`,
		"kendal(kl, rows=a1;a2, rows=b1;b2) > 0":                    `did you mean "kendall"?`,
		"kl(rows=a1) > 0":                                           `unknown axis "rows"`,
		"kl(row=a1;a2) > 0":                                         `unknown row "a1;a2"`,
		"kendall(ttft_cold_p50, rows=a1;a2, rows=b1;b2) > 0":        `ttft_cold_p50 of row a1 is never measured`,
		"kendall(kl, rows=a1;a2, rows=b1;b2) > 20ms":                `kendall: found "20ms", expected a number whose unit is number`,
		"best_kept(flips_won, rows=a1;a2, rows=b1;b2) > 0":          `no value of flips_won is better than another`,
		"kendall(kl, rows=a1;a2, rows=b1;b2) > kendall(kl, rows=a1": `expected , or )`,
	} {
		_, err := scenario.Parse("x.yaml", []byte(sixRows+"expect: [ \""+text+"\" ]\n"), options())
		if err == nil || !says(err, want) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}

// TestRanksLeaveAxesFree: at each value of an axis that the statistic does not name, it is judged
// on the rows there.
func TestRanksLeaveAxesFree(t *testing.T) {
	file := strings.Replace(sixRows, "group: 64", `group: "${g}"`, 1) + "sweep: { g: [32, 64] }\nexpect:\n" +
		"  - kendall(kl, rows=a1;a2, rows=b1;b3) > 0\n  - kendall(kl, rows=a1;a2, rows=b1;b3, g=64) < 0\n"
	s, err := scenario.Parse("x.yaml", []byte(file), options())
	if err != nil {
		t.Fatal(err)
	}
	plan := s.Plan()
	begin := plan.Begin()
	events := []lab.Event{{Kind: lab.KindBegin, Begin: &begin}}
	for i, cell := range plan.Cells {
		for row, kl := range map[string]float64{"a1": 1, "a2": 2, "b1": 3, "b3": 4 - 2*float64(i)} {
			events = append(events, lab.Event{Kind: lab.KindRow, Cell: cell.ID, Row: row, Values: map[string]lab.Measure{"kl": {Value: kl}}})
		}
	}
	var got []string
	for _, v := range s.Verdicts(lab.Fold(events).Snapshot()) {
		got = append(got, v.Text)
	}
	const up, down = "tau of kl 1.00 over 2 rows of one seed", "tau of kl -1.00 over 2 rows of one seed"
	if want := up + "|" + down + "|" + down; strings.Join(got, "|") != want {
		t.Errorf("found %q, expected %q", got, want)
	}
}
