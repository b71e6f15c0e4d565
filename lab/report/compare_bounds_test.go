package report

import (
	"testing"

	"slimlab/lab"
)

// TestWhatDecidesAComparison: rules that other tests only pass by.
func TestWhatDecidesAComparison(t *testing.T) {
	// four seeds are paired: a seed that moves both runs alike does not hide a loss
	moved := Compare(seeded("b", "auc", 1, 0.5, 0.6, 0.7, 0.8), seeded("n", "auc", 1, 0.489, 0.59, 0.691, 0.79)).Changes[0]
	if moved.Judgement != Worse {
		t.Errorf("four seeds that differ alike: %+v", moved)
	}
	three := Compare(seeded("b", "auc", 1, 0.5, 0.6, 0.7), seeded("n", "auc", 1, 0.489, 0.59, 0.691)).Changes[0]
	if three.Judgement != Within {
		t.Errorf("three seeds, whose differences say little of their spread: %+v", three)
	}
	// the floor is relative to the size of a value, whatever its sign
	for _, x := range []float64{1, -1} {
		for change, want := range map[float64]Judgement{0.0005: Within, 0.002: Worse} {
			one := Compare(seeded("b", "loss", 1, x, x, x, x), seeded("n", "loss", 1, x+change, x+change, x+change, x+change)).Changes[0]
			if one.Judgement != want {
				t.Errorf("%v and %v more: %s, expected %s", x, change, one.Judgement, want)
			}
		}
	}
}

// TestAdjustedAtAlpha: a figure is worse where its adjusted p is at most 5%.
func TestAdjustedAtAlpha(t *testing.T) {
	for _, c := range []struct {
		p    float64
		want Judgement
	}{{0.024, Worse}, {0.025, Worse}, {0.026, Within}, {0.049, Within}} {
		judged := &Comparison{Changes: []Change{{Metric: lab.Metric{Key: "auc"}, P: c.p, Judgement: Worse}, {Metric: lab.Metric{Key: "loss"}, P: 0.9, Judgement: Within}}}
		judged.adjust()
		if one := judged.Changes[0]; one.Judgement != c.want || one.Adjusted != 2*c.p {
			t.Errorf("p %v of two figures: %s, adjusted %v, expected %s", c.p, one.Judgement, one.Adjusted, c.want)
		}
	}
}

// TestRowsThatNobodyMeasured: a row that the base has not measured either is not lost.
func TestRowsThatNobodyMeasured(t *testing.T) {
	base, next := run("b", 2, nil).Snapshot(), run("n", 2, nil).Snapshot()
	base.Rows[2].Done, next.Rows = 0, next.Rows[:2]
	if c := Compare(base, next); len(c.Lost) != 0 || len(c.Missing) != 0 {
		t.Errorf("lost %q, missing %q", c.Lost, c.Missing)
	}
	base.Rows[2].Done = 2
	if c := Compare(base, next); len(c.Lost) != 1 {
		t.Errorf("a row that the base has measured: lost %q", c.Lost)
	}
}

// TestUnknownMachines: a log that does not name its machine is compared as before.
func TestUnknownMachines(t *testing.T) {
	m, n := []string{"m"}, []string{"n"}
	for _, c := range []struct {
		base, next []string
		same       bool
	}{{nil, nil, true}, {m, nil, true}, {nil, m, true}, {m, m, true}, {m, n, false}, {m, []string{"m", "n"}, false}, {[]string{"m", "n"}, []string{"m", "n"}, false}} {
		of := &Comparison{Timings: true}
		got := of.sameMachine(&lab.TableRow{Machines: c.base}, &lab.TableRow{Machines: c.next})
		if got != c.same || of.Timings != c.same || (len(of.Reasons) == 0) != c.same {
			t.Errorf("%q and %q: %t, %q", c.base, c.next, got, of.Reasons)
		}
	}
}
