package report

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"slimlab/internal/golden"
	"slimlab/lab"
	"slimlab/lab/sweep"
)

// TestEdgesOfFormats: what is just below a bound, on it and just above.
func TestEdgesOfFormats(t *testing.T) {
	for seconds, want := range map[float64]string{
		0: "0ms", 0.0004: "<1ms", 0.0006: "1ms", 0.999: "999ms", 0.9996: "1.0s", 1: "1.0s", 59.94: "59.9s", 99.94: "99.9s", 99.96: "1m 39s", 100: "1m 40s", math.Inf(1): Missing, 119.9: "1m 59s", 3599.9: "59m 59s", 3600: "1h 00m", 3660: "1h 01m", 7199: "1h 59m", 7200: "2h 00m", 36000: "10h 00m",
	} {
		if got := Duration(seconds); got != want {
			t.Errorf("%v s: %q, expected %q", seconds, got, want)
		}
	}
	for x, want := range map[float64]string{
		0: "0", 1e-6: "0.000001", 9.9e-7: "9.9e-07", 1e15: "1e+15", 999999999999999: "999999999999999", -2.5: "-2.5", math.Inf(1): "+Inf", 1.0 / 3: "0.3333333333333333",
	} {
		if got := plain(x); got != want {
			t.Errorf("plain of %v: %q, expected %q", x, got, want)
		}
	}
	for _, c := range []struct {
		unit lab.Unit
		x    float64
		want string
	}{
		{lab.Count, 0.5, "0.500"}, {lab.Bytes, 0.25, "0.250B"}, {lab.Count, 1000, "1.00k"}, {lab.Count, 1e12, "1.00T"}, {lab.Seconds, 1e-3, "1.00ms"},
		{lab.Seconds, 1e-10, "0.100ns"}, {lab.Ratio, 9.994, "9.99×"}, {lab.Ratio, 10, "10.0×"}, {lab.Rate, 1e-9, "0.0000"},
	} {
		if got := Format(c.unit, c.x); got != c.want {
			t.Errorf("unit %d of %v: %q, expected %q", c.unit, c.x, got, c.want)
		}
	}
	// what is not finite has no part in a column's scale
	for _, odd := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), 0} {
		if got := ScaleOf(lab.Bytes, 2500, odd, 1500).Format(1500); got != "1.50kB" {
			t.Errorf("beside %v: %q", odd, got)
		}
	}
}

// TestCSVOfRuns: several runs are one table, whose lines begin with the scenario and have the axes
// and metrics of all.
func TestCSVOfRuns(t *testing.T) {
	var b bytes.Buffer
	if err := CSV(&b, sweep.Of(live()), sweep.Of(run("r1", 1, nil).Snapshot())); err != nil {
		t.Fatal(err)
	}
	golden.Equal(t, "runs.csv", b.String())
}

// TestTroubles: what a reader must not miss is listed once: a failed cell's own error is not
// repeated, and an error of the same cell with another text is.
func TestTroubles(t *testing.T) {
	begin := &lab.Begin{Run: "r", Scenario: "s", Rows: []string{"FM"}, Cells: []lab.Cell{{ID: "a", Seed: 1}, {ID: "b", Seed: 2}}}
	view := lab.Fold([]lab.Event{
		{Kind: lab.KindBegin, Begin: begin},
		{Kind: lab.KindNote, Cell: "a", Level: lab.Info, Text: "for information"},
		{Kind: lab.KindNote, Cell: "a", Level: lab.Warning, Text: "the loss is NaN"},
		{Kind: lab.KindNote, Cell: "a", Level: lab.Error, Text: "the loss is NaN"},
		{Kind: lab.KindCell, Cell: "a", State: lab.Failed, Text: "the loss is NaN"},
		{Kind: lab.KindNote, Cell: "a", Level: lab.Error, Text: "another"},
		{Kind: lab.KindNote, Level: lab.Warning, Text: "of the run"},
		{Kind: lab.KindNote, Level: lab.Warning, Text: "of the run"},
		{Kind: lab.KindCell, Cell: "b", State: lab.Done},
	}).Snapshot()
	want := "cell a failed: the loss is NaN\nwarning: the loss is NaN (a)\nerror: another (a)\nwarning: of the run"
	if got := strings.Join(troubles(view), "\n"); got != want {
		t.Errorf("found\n%s\nexpected\n%s", got, want)
	}
}

// TestTroublesOfManyCells: a warning that many cells have is one line.
func TestTroublesOfManyCells(t *testing.T) {
	begin := &lab.Begin{Run: "r", Scenario: "s", Rows: []string{"FM"}}
	for _, id := range []string{"a", "b", "c", "d"} {
		begin.Cells = append(begin.Cells, lab.Cell{ID: id, Seed: 1})
	}
	events := []lab.Event{{Kind: lab.KindBegin, Begin: begin}}
	for text, cells := range map[string]string{"of all": "abcd", "of three": "bcd", "of two": "acc", "of one": "d"} {
		for _, id := range cells {
			events = append(events, lab.Event{Kind: lab.KindNote, Cell: string(id), Level: lab.Warning, Text: text})
		}
	}
	lines := troubles(lab.Fold(events).Snapshot())
	slices.Sort(lines)
	want := "warning: of all (in all 4 cells)\nwarning: of one (d)\nwarning: of three (b and 2 more of 4 cells)\nwarning: of two (a, c)"
	if got := strings.Join(lines, "\n"); got != want {
		t.Errorf("found\n%s\nexpected\n%s", got, want)
	}
}

// judged compares a row "distilled" of two runs with so many seeds, each on its own machine where
// apart is set, and returns the change of a metric.
func judged(t *testing.T, key string, apart bool, base, next []lab.Measure) Change {
	t.Helper()
	view := func(id string, of []lab.Measure) *lab.View {
		return run(id, len(of), func(row string, seed int, m map[string]lab.Measure) { m[key] = of[seed-1] }).Snapshot()
	}
	a, b := view("b", base), view("n", next)
	b.Begin.Columns = append(b.Begin.Columns, key)
	if apart {
		for i := range b.Rows {
			b.Rows[i].Machines = []string{"another"}
		}
	}
	for _, one := range Compare(a, b).Changes {
		if one.Row == "distilled" && one.Metric.Key == key {
			return one
		}
	}
	t.Fatalf("no %s was compared", key)
	return Change{}
}

// measures are values of a sample with an interval of so much on each side, 0 for none.
func measures(half float64, values ...float64) (m []lab.Measure) {
	for _, v := range values {
		one := lab.Measure{Value: v, N: 100}
		if half != 0 {
			one.Low, one.High = v-half, v+half
		}
		m = append(m, one)
	}
	return m
}

// TestJudgementsAtTheirBounds: each judgement just below, on and just above what decides it.
func TestJudgementsAtTheirBounds(t *testing.T) {
	nan := math.NaN()
	for name, c := range map[string]struct {
		key        string
		apart      bool
		base, next []lab.Measure
		want       Judgement
	}{
		"a difference of the floor":                 {"auc_delta", true, measures(0, 0, 0, 0), measures(0, 0.001, 0.001, 0.001), Within},
		"a difference above the floor":              {"auc_delta", true, measures(0, 0, 0, 0), measures(0, 0.00101, 0.00101, 0.00101), Better},
		"a relative difference below the floor":     {"auc", true, measures(0, 0.5, 0.5), measures(0, 0.4996, 0.4996), Within},
		"a relative difference above the floor":     {"auc", true, measures(0, 0.5, 0.5), measures(0, 0.4994, 0.4994), Worse},
		"an interval from 0 on":                     {"auc", true, measures(0.03, 0.5), measures(0.04, 0.45), Within},
		"an interval without 0":                     {"auc", true, measures(0.03, 0.5), measures(0.03, 0.45), Worse},
		"not a number any more, lower is better":    {"bytes", false, measures(0, 5), measures(0, nan), Worse},
		"not a number any more, higher is better":   {"auc", false, measures(0, 5), measures(0, nan), Worse},
		"not a number any more, nothing is better":  {"paper", false, measures(0, 5), measures(0, nan), Changed},
		"not a number before":                       {"paper", false, measures(0, nan), measures(0, 5), Changed},
		"a number at last, higher is better":        {"auc", false, measures(0, nan), measures(0, 5), Better},
		"a number at last, lower is better":         {"bytes", false, measures(0, nan), measures(0, 5), Better},
		"a time at last":                            {"ttft_cold_p50", false, measures(0, nan), measures(0, 5), Better},
		"not a number in both":                      {"auc", false, measures(0, nan), measures(0, nan), Same},
		"not a number in both, by other seeds":      {"bytes", false, measures(0, nan, 1), measures(0, 1, nan), Unknown},
		"infinite in both, of either sign":          {"auc", true, measures(0, math.Inf(1)), measures(0, math.Inf(-1)), Unknown},
		"a time that is not a number in both":       {"ttft_cold_p50", false, measures(0, nan, nan, nan, nan), measures(0, nan, nan, nan, nan), Unknown},
		"a zero of either sign":                     {"auc_delta", false, measures(0, 0, math.Copysign(0, -1)), measures(0, math.Copysign(0, -1), 0), Same},
		"the mean of other seeds":                   {"bytes", false, measures(0, 1, 2), measures(0, 2, 1), Changed},
		"an interval whose bounds are no numbers":   {"auc", true, measures(nan, 0.5), measures(nan, 0.1), Unknown},
		"an interval without bounds":                {"auc", true, measures(math.Inf(1), 0.5), measures(math.Inf(1), 0.1), Unknown},
		"a size":                                    {"bytes", true, []lab.Measure{{Value: 100}}, []lab.Measure{{Value: 101}}, Worse},
		"a time of one seed":                        {"ttft_cold_p50", false, measures(0, 1), measures(0, 9), Within},
		"times whose ranges touch":                  {"ttft_cold_p50", false, measures(0, 1, 1.2), measures(0, 1.2, 1.4), Within},
		"times whose ranges touch from above":       {"ttft_cold_p50", false, measures(0, 1.2, 1.4), measures(0, 1, 1.2), Within},
		"a rate from nothing":                       {"tokens_per_s", false, measures(0, 0, 0, 0, 0), measures(0, 5, 6, 7, 8), Better},
		"a rate of nothing":                         {"tokens_per_s", false, measures(0, 0, 0, 0, 0), measures(0, 0, 0, 0, 0), Within},
		"times whose ranges are apart":              {"ttft_cold_p50", false, measures(0, 1, 1.001), measures(0, 1.2, 1.201), Worse},
		"times of four seeds, apart":                {"ttft_cold_p50", false, measures(0, 1, 2, 3, 4), measures(0, 5, 6, 7, 8), Worse},
		"times of four seeds, all but one apart":    {"ttft_cold_p50", false, measures(0, 1, 2, 3, 5), measures(0, 4, 6, 7, 8), Within},
		"times that differ by less than clocks do":  {"ttft_cold_p50", false, measures(0, 1, 1.001, 1.002, 1.003), measures(0, 1.04, 1.041, 1.042, 1.043), Within},
		"times that differ by more, and are better": {"ttft_cold_p50", false, measures(0, 1.06, 1.061, 1.062, 1.063), measures(0, 1, 1.001, 1.002, 1.003), Better},
		"times on another machine":                  {"ttft_cold_p50", true, measures(0, 1, 2, 3, 4), measures(0, 5, 6, 7, 8), Unknown},
	} {
		if one := judged(t, c.key, c.apart, c.base, c.next); one.Judgement != c.want {
			t.Errorf("%s: %s, expected %s: %+v", name, one.Judgement, c.want, one)
		}
	}
	for seeds, tested := range map[int]bool{3: false, 4: true, 5: true} {
		values := []float64{1, 2, 3, 4, 5}[:seeds]
		one := judged(t, "ttft_cold_p50", false, measures(0, values...), measures(0, values...))
		if math.IsNaN(one.P) == tested {
			t.Errorf("%d seeds: p is %v", seeds, one.P)
		}
	}
}

// TestComparisonApart: the text of a comparison between machines gives the reasons, the rows that
// only one run has, and the interval of each difference, in points for deltas and in per cent of
// the base for others.
func TestComparisonApart(t *testing.T) {
	base := run("base", 3, func(row string, seed int, m map[string]lab.Measure) {
		if row == "FM" {
			m["auc_delta"] = lab.Measure{Value: 0, N: 9}
		}
	}).Snapshot()
	next := run("next", 3, func(row string, seed int, m map[string]lab.Measure) {
		m["auc"] = lab.Measure{Value: m["auc"].Value - 0.01 - 0.0001*float64(seed), N: 1600}
		m["auc_delta"] = lab.Measure{Value: m["auc_delta"].Value - 0.02 - 0.001*float64(seed), N: 1600}
	}).Snapshot()
	for i := range next.Rows {
		next.Rows[i].Machines = []string{"another"}
	}
	next.Begin.Version = "v2"
	next.Rows = next.Rows[:2]
	for _, format := range CompareFormats() {
		var b bytes.Buffer
		if err := Compare(base, next).Write(format, &b); err != nil {
			t.Fatal(err)
		}
		golden.Equal(t, "apart."+format, b.String())
	}
}

// TestSameSamplesAndModels: rows were measured on the same test sample, and are of the same models,
// where both logs name them and the names are equal; where either does not, the scenarios decide.
func TestSameSamplesAndModels(t *testing.T) {
	none, unnamed, one, other := []string(nil), []string{"t", ""}, []string{"t", "u"}, []string{"t", "v"}
	for _, c := range []struct {
		a, b   []string
		byName bool // else by scenario
		same   bool
	}{
		{one, one, true, true}, {one, other, true, false}, {one, one[:1], true, false},
		{none, none, false, false}, {none, one, false, false}, {one, none, false, false},
		{unnamed, one, false, false}, {one, unnamed, false, false}, {unnamed, unnamed, false, false}, {none, unnamed, false, false},
	} {
		a, b := &lab.TableRow{Tests: c.a}, &lab.TableRow{Tests: c.b}
		for _, scenario := range []string{"h", "i"} {
			base, next := &lab.View{Begin: lab.Begin{Hash: "h"}}, &lab.View{Begin: lab.Begin{Hash: scenario}}
			want := c.same
			if !c.byName {
				want = scenario == "h"
			}
			if got := sameTest(base, next, a, b); got != want {
				t.Errorf("tests %q and %q, scenarios h and %s: %v", c.a, c.b, scenario, got)
			}
			of := func(keys []string) *lab.TableRow {
				return &lab.TableRow{Keys: keys, Tests: one, Machines: []string{"m"}}
			}
			if got := sameRecipe(base, next, of(c.a), of(c.b)); got != want {
				t.Errorf("keys %q and %q, scenarios h and %s: %v", c.a, c.b, scenario, got)
			}
		}
	}
}

// TestBoundsOfADifference: the interval of a difference is written where both of its bounds are
// finite in the unit of the text.
func TestBoundsOfADifference(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, c := range []struct {
		low, high, factor float64
		want              string
	}{
		{-0.5, 0.25, 100, " [-50.00, +25.00]"}, {0, 0, 100, " [+0.00, +0.00]"}, {-1, 1, 0.5, " [-0.50, +0.50]"},
		{nan, 1, 1, ""}, {-1, nan, 1, ""}, {-inf, 1, 1, ""}, {-1, inf, 1, ""}, {nan, nan, 1, ""}, {-inf, inf, 1, ""},
		{-1, 1, inf, ""}, {0, 1, inf, ""}, {-1e300, 1, 1e10, ""},
	} {
		one := Change{Low: c.low, High: c.high}
		if got := one.bounds(c.factor); got != c.want {
			t.Errorf("%v to %v, times %v: %q, expected %q", c.low, c.high, c.factor, got, c.want)
		}
	}
}

// TestTextOfADifference: relative to the base, or in points where the values are relative changes
// themselves.
func TestTextOfADifference(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, c := range []struct {
		unit               lab.Unit
		base, next, delta  float64
		want, withInterval string // of −0.001 to 0.002
	}{
		{lab.Percent, -0.08, -0.09, -0.125, "-1.00 pt", "-1.00 pt [-0.10, +0.20]"}, {lab.Percent, 0, 0.005, nan, "+0.50 pt", "+0.50 pt [-0.10, +0.20]"},
		{lab.Percent, 0.01, 0.01, 0, "0.00 pt", "0.00 pt [-0.10, +0.20]"}, {lab.Percent, nan, 0.01, nan, Missing, Missing}, {lab.Percent, 0.01, nan, nan, Missing, Missing},
		{lab.Fraction, 0.8, 0.84, 0.05, "+5.00%", "+5.00% [-0.12, +0.25]"}, {lab.Fraction, -0.8, -0.84, -0.05, "-5.00%", "-5.00% [-0.12, +0.25]"},
		{lab.Fraction, 0, 0.84, nan, Missing, Missing}, {lab.Fraction, 0.8, 0.8, 0, "0.00%", "0.00% [-0.12, +0.25]"}, {lab.Seconds, 1, inf, inf, "+Inf", "+Inf [-0.10, +0.20]"},
	} {
		one := Change{Metric: lab.Metric{Unit: c.unit}, Base: lab.Summary{Value: c.base}, New: lab.Summary{Value: c.next}, Delta: c.delta, Low: -0.001, High: 0.002, P: nan}
		if got, whole := one.DeltaText(), one.fields()[4]; got != c.want || whole != c.withInterval {
			t.Errorf("%v to %v: %q and %q, expected %q and %q", c.base, c.next, got, whole, c.want, c.withInterval)
		}
	}
}

// TestAxesAreAlwaysShown: in a narrow terminal metrics are left out, the columns that tell rows
// apart are not.
func TestAxesAreAlwaysShown(t *testing.T) {
	for width := 1; width < 60; width++ {
		var b bytes.Buffer
		if err := Text(&b, live(), width); err != nil {
			t.Fatal(err)
		}
		for _, column := range []string{"step", "loss", "state", "jsd:0.5", "failed"} {
			if table, _, _ := strings.Cut(b.String(), "error"); !strings.Contains(table, column) {
				t.Fatalf("%q is not shown in %d columns:\n%s", column, width, b.String())
			}
		}
	}
}

// edgeValue draws a value of a metric, often one at an edge.
func edgeValue() *rapid.Generator[float64] {
	return rapid.OneOf(
		rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), math.Inf(-1), 0, math.Copysign(0, -1), 5e-324, -1e-9, 1, math.MaxFloat64, -math.MaxFloat64}),
		rapid.Float64Range(-2, 2), rapid.Float64())
}

// edgeRun draws a run of no, one or several seeds whose values are at the edges.
func edgeRun(t *rapid.T, name string, seeds int) *lab.View {
	v := run(name, seeds, func(row string, seed int, m map[string]lab.Measure) {
		for _, key := range []string{"bytes", "auc", "auc_delta", "paper", "ttft_cold_p50"} {
			one := lab.Measure{Value: edgeValue().Draw(t, name+" "+key)}
			if rapid.Bool().Draw(t, "interval") {
				one.Low, one.High = edgeValue().Draw(t, "low"), edgeValue().Draw(t, "high")
				if one.Low > one.High {
					one.Low, one.High = one.High, one.Low
				}
			}
			if m[key] = one; rapid.IntRange(0, 9).Draw(t, "absent") == 0 {
				delete(m, key)
			}
		}
	}).Snapshot()
	if rapid.Bool().Draw(t, "influence") {
		for _, row := range v.Rows {
			for _, key := range []string{"auc", "auc_delta"} {
				for i := range row.Values[key].Seeds {
					row.Values[key].Seeds[i].Influence = edgeInfluence(t)
				}
			}
		}
	}
	return v
}

// edgeInfluence draws that of no or a few units, of one of two test sets.
func edgeInfluence(t *rapid.T) *lab.Influence {
	if rapid.IntRange(0, 9).Draw(t, "none") == 0 {
		return nil
	}
	size := rapid.OneOf(rapid.Just(0.0), rapid.Float64Range(-1, 1), rapid.SampledFrom([]float64{1e-40, 3e38, -3e38}))
	of := lab.NewInfluence(rapid.SampledFrom([]string{"t", "t", "t", "u"}).Draw(t, "test"), "members", rapid.SliceOfN(size, 1, 3).Draw(t, "units"))
	return &of
}

// TestFacesOfEdgeValues: whatever was measured, every format writes the run; JSON and CSV can be
// read; no face shows a number with two signs, a negative zero, or an interval of what has none.
func TestFacesOfEdgeValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := edgeRun(t, "r", rapid.IntRange(0, 5).Draw(t, "seeds"))
		for _, format := range Formats() {
			var b bytes.Buffer
			if err := Write(format, &b, v); err != nil {
				t.Fatal(err)
			}
			noOddNumbers(t, format, b.String())
			if format == "json" && !json.Valid(b.Bytes()) {
				t.Fatalf("not JSON: %s", b.String())
			}
		}
	})
}

func noOddNumbers(t *rapid.T, format, text string) {
	for _, odd := range []string{"++", "--0", "+-", "-0.00 ", "-0.00%", "-0.0000", "±NaN", "±Inf", "±+Inf", "NaN ±", "Inf ±", "Inf%", "NaN%", "[NaN", "Inf]", "NaN]", "[-Inf", "+0.00%"} {
		if format != "json" && format != "csv" && strings.Contains(text, odd) {
			t.Fatalf("%s shows %q:\n%s", format, odd, text)
		}
	}
}

// TestComparisonTurnsAbout: what is better one way is worse the other; nothing is better or worse
// that is not a number in both, or equal; what was judged by an interval shows one with numbers.
func TestComparisonTurnsAbout(t *testing.T) {
	turned := map[Judgement]Judgement{Same: Same, Within: Within, Better: Worse, Worse: Better, Changed: Changed, Unknown: Unknown}
	rapid.Check(t, func(t *rapid.T) {
		a := edgeRun(t, "a", rapid.IntRange(1, 5).Draw(t, "seeds"))
		b := edgeRun(t, "b", rapid.IntRange(1, 5).Draw(t, "seeds"))
		if rapid.Bool().Draw(t, "another machine") {
			for i := range b.Rows {
				b.Rows[i].Machines = []string{"another"}
			}
		}
		there, back := Compare(a, b), Compare(b, a)
		other := map[string]Change{}
		for _, one := range back.Changes {
			other[one.Row+" "+one.Metric.Key] = one
		}
		for _, one := range there.Changes {
			if want := turned[one.Judgement]; other[one.Row+" "+one.Metric.Key].Judgement != want {
				t.Fatalf("%s %s: %+v, the other way %+v", one.Row, one.Metric.Key, one, other[one.Row+" "+one.Metric.Key])
			}
			before, after := one.compared()
			if judged := one.Judgement == Better || one.Judgement == Worse; judged && (before == after || math.IsNaN(before) && math.IsNaN(after)) {
				t.Fatalf("%s: %s of %v and %v", one.Metric.Key, one.Judgement, before, after)
			}
			if math.IsNaN(one.Low) != math.IsNaN(one.High) || math.IsInf(one.Low, 0) || math.IsInf(one.High, 0) || one.Low > one.High {
				t.Fatalf("%s: interval %v to %v", one.Metric.Key, one.Low, one.High)
			}
		}
		for _, format := range CompareFormats() {
			var text bytes.Buffer
			if err := there.Write(format, &text); err != nil {
				t.Fatal(err)
			}
			noOddNumbers(t, format, text.String())
		}
	})
}
