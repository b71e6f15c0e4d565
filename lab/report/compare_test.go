package report

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"slimlab/internal/texttable"
	"slimlab/lab"
)

// TestScenarioDifference: both scenarios are named, then the settings that one of the runs alone
// had, its size before them; where there are none of either, nothing is said of settings.
func TestScenarioDifference(t *testing.T) {
	const names = "a 01234567 and b 89abcdef"
	for _, c := range []struct {
		quick    [2]bool
		settings [2][]string
		want     string
	}{
		{want: names},
		{quick: [2]bool{true, true}, settings: [2][]string{{"steps=3"}, {"steps=3"}}, want: names},
		{quick: [2]bool{true, false}, want: names + "; settings of the base alone: quick, of the new run alone: none"},
		{quick: [2]bool{false, true}, want: names + "; settings of the base alone: none, of the new run alone: quick"},
		{settings: [2][]string{{"steps=3", "seeds=2"}, {"seeds=2"}}, want: names + "; settings of the base alone: steps=3, of the new run alone: none"},
		{quick: [2]bool{true, false}, settings: [2][]string{{"a=1", "b=2"}, {"a=2"}}, want: names + "; settings of the base alone: quick a=1 b=2, of the new run alone: a=2"},
	} {
		base := lab.Begin{Scenario: "a", Hash: "0123456789", Quick: c.quick[0], Settings: c.settings[0]}
		next := lab.Begin{Scenario: "b", Hash: "89abcdef01", Quick: c.quick[1], Settings: c.settings[1]}
		if got := scenarioDifference(base, next); got != c.want {
			t.Errorf("found\n%s\nexpected\n%s", got, c.want)
		}
	}
}

// TestComparisonKeepsTheShapeOfItsTable: no name of a row, column, run or machine is markup of the
// report.
func TestComparisonKeepsTheShapeOfItsTable(t *testing.T) {
	const name = "a|b <i>*x*</i>"
	odd := func(id string) *lab.View {
		v := run(id, 1, nil).Snapshot()
		for i := range v.Rows {
			v.Rows[i].Name += name
			v.Rows[i].Machines = []string{id + name}
		}
		v.Begin.Run, v.Begin.Scenario = id+name, name
		return v
	}
	base, next := odd("base"), odd("next")
	next.Rows = next.Rows[:2]
	var b bytes.Buffer
	if err := Compare(base, next).Write("md", &b); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), name) || strings.Count(b.String(), texttable.Escape(name)) < 5 {
		t.Errorf("the name %q stands in the report as it is:\n%s", name, b.String())
	}
}

// TestIntervalsTowardsZeroDecide: of lopsided intervals the sides on which 0 is decide how likely
// chance is, and the way the runs are compared does not.
func TestIntervalsTowardsZeroDecide(t *testing.T) {
	one := func(value, below, above float64) []lab.Measure {
		return []lab.Measure{{Value: value, Low: value - below, High: value + above, N: 100}}
	}
	for name, c := range map[string]struct {
		high, low []lab.Measure
		likely    bool
	}{
		"short towards each other":        {one(0.6, 0.01, 0.2), one(0.5, 0.2, 0.01), false},
		"long towards each other":         {one(0.6, 0.2, 0.01), one(0.5, 0.01, 0.2), true},
		"one of them long, on the inside": {one(0.6, 0.01, 0.2), one(0.5, 0.01, 0.2), true},
	} {
		down, up := judged(t, "auc", true, c.high, c.low), judged(t, "auc", true, c.low, c.high)
		if math.Abs(down.P-up.P) > 1e-12 || math.Abs(down.Low+up.High) > 1e-12 || math.Abs(down.High+up.Low) > 1e-12 {
			t.Errorf("%s: down %+v\nup %+v", name, down, up)
		}
		if likely := down.P > alpha; likely != c.likely || (down.Judgement == Within) != c.likely || (up.Judgement == Within) != c.likely {
			t.Errorf("%s: p is %v, down is %s, up is %s", name, down.P, down.Judgement, up.Judgement)
		}
	}
}

// TestTimingsOfAnotherScenario: on one machine too they are not judged.
func TestTimingsOfAnotherScenario(t *testing.T) {
	base, next := run("b", 4, nil).Snapshot(), run("n", 4, nil).Snapshot()
	next.Begin.Hash = "other"
	for _, one := range Compare(base, next).Changes {
		if one.Metric.Timing && one.Judgement != Unknown {
			t.Errorf("%s %s: %s", one.Row, one.Metric.Key, one.Judgement)
		}
	}
}

// TestRowsOfSeveralMachinesAreNotOneRecipe: which seed was measured where is not known.
func TestRowsOfSeveralMachinesAreNotOneRecipe(t *testing.T) {
	for _, machines := range [][]string{{}, {"m"}, {"m", "n"}} {
		a := &lab.TableRow{Machines: machines, Keys: []string{"k"}, Tests: []string{"t"}}
		if got, want := sameRecipe(&lab.View{}, &lab.View{}, a, a), len(machines) == 1; got != want {
			t.Errorf("machines %q: %t", machines, got)
		}
	}
}

// TestOneUnitIsNoSample: nothing is paired over a test set of one unit.
func TestOneUnitIsNoSample(t *testing.T) {
	for n, paired := range map[int]bool{1: false, 2: true} {
		of := lab.NewInfluence("t", "members", make([]float64, n))
		seeds := []lab.SeedMeasure{{Seed: 1, Influence: &of}}
		one := &Change{Base: lab.Summary{Seeds: seeds}, New: lab.Summary{Seeds: seeds}}
		if units, why := one.testUnits(); (units != nil) != paired || why != "" {
			t.Errorf("%d units: %v, %q", n, units, why)
		}
	}
}
