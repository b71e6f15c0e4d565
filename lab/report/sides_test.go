package report

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"slimlab/lab"
)

// sweepRun is a run of a sweep of ratio with the steps FM, which does not depend on it, and pruned,
// which does.
func sweepRun(id, hash string, state lab.State) *lab.View {
	begin := &lab.Begin{Run: id, Scenario: "s", Hash: hash, Version: "v1", Machine: "m", Rows: []string{"FM", "pruned"}, Columns: []string{"auc", "ttft_cold_p50"}, Depends: [][]string{{}, {"ratio"}}}
	events := []lab.Event{{Kind: lab.KindBegin, Begin: begin}}
	for i, ratio := range []string{"0.2", "0.4"} {
		for seed := 1; seed <= 5; seed++ {
			c := lab.Cell{ID: fmt.Sprint(ratio, seed), Seed: seed, Params: []lab.Param{{Key: "ratio", Value: ratio}}}
			begin.Cells = append(begin.Cells, c)
			for k, row := range begin.Rows {
				loss := 0.1 * float64(i*k)
				events = append(events, lab.Event{Kind: lab.KindRow, Cell: c.ID, Row: row, Key: fmt.Sprint(row, i*k, seed), Test: "t", Values: map[string]lab.Measure{
					"auc": {Value: 0.8 - loss + 0.001*float64(seed)}, "ttft_cold_p50": {Value: 0.01 - 0.05*loss + 0.0001*float64(seed)},
				}})
			}
			if state == lab.Done || i == 0 {
				events = append(events, lab.Event{Kind: lab.KindCell, Cell: c.ID, State: lab.Done})
			}
		}
	}
	if state != lab.Running {
		events = append(events, lab.Event{Kind: lab.KindEnd, State: state})
	}
	return lab.Fold(events).Snapshot()
}

// rowNamed is a row of a view as a side.
func rowNamed(t *testing.T, v *lab.View, label string) Side {
	t.Helper()
	at := slices.IndexFunc(v.Rows, func(r lab.TableRow) bool { return r.Label() == label })
	if at < 0 {
		t.Fatalf("no row %s", label)
	}
	return Side{v, at}
}

// TestCompareSides: rows of a sweep differ in their step and in the axes that they depend on; they
// are judged, timings too, and are called as their common step. The run stays as it was.
func TestCompareSides(t *testing.T) {
	v := sweepRun("r", "1", lab.Done)
	fm, low, high := rowNamed(t, v, "FM ratio=0.4"), rowNamed(t, v, "pruned ratio=0.2"), rowNamed(t, v, "pruned ratio=0.4")
	resolve := func(b lab.Begin) ([]Setting, error) {
		return []Setting{{"pruned.ratio", fmt.Sprint(b.Cells[0].Params)}, {"serve.requests", "10"}, {"sweep.ratio", "0.2, 0.4"}}, nil
	}
	c := CompareSides([]Side{low, high}, 0, resolve)
	pair := c.Against[1]
	if !pair.Comparable || !pair.Timings || len(pair.Reasons) > 0 || len(c.Notes) > 0 {
		t.Errorf("comparable %t, timings %t: %q, %q", pair.Comparable, pair.Timings, pair.Reasons, c.Notes)
	}
	if len(c.Settings) != 1 || c.Settings[0].Key != "ratio" || !slices.Equal(c.Settings[0].Values, []string{"0.2", "0.4"}) {
		t.Errorf("settings %v", c.Settings)
	}
	for _, one := range pair.Changes {
		want := Worse
		if one.Metric.Timing {
			want = Better
		}
		if one.Row != "pruned" || one.Judgement != want {
			t.Errorf("%s of %s is %s, expected %s", one.Metric.Key, one.Row, one.Judgement, want)
		}
	}
	c = CompareSides([]Side{fm, high}, 0, resolve)
	if got := fmt.Sprint(c.Settings); got != "[{step [FM pruned]} {ratio [– 0.4]}]" || c.Runs[0].Run != "r:FM" || c.Lines[0].Row != "row" {
		t.Errorf("settings %s of %s, row %s", got, c.Runs[0].Run, c.Lines[0].Row)
	}
	if v.Begin.Run != "r" || len(v.Begin.Settings) > 0 || len(v.Begin.Cells[0].Params) == 0 || len(v.Rows) != 4 {
		t.Errorf("the run has changed: %+v", v.Begin)
	}
}

// TestTimingsOfSides: timings of one run are not judged where an axis decides what is served.
func TestTimingsOfSides(t *testing.T) {
	v := sweepRun("r", "1", lab.Done)
	sides := []Side{rowNamed(t, v, "pruned ratio=0.2"), rowNamed(t, v, "pruned ratio=0.4")}
	c := CompareSides(sides, 0, func(b lab.Begin) ([]Setting, error) {
		return []Setting{{"serve.concurrency", b.Cells[0].Params[0].Value}}, nil
	})
	pair := c.Against[1]
	if pair.Timings || !strings.Contains(strings.Join(pair.Reasons, ""), "the rows differ in serve.concurrency") {
		t.Errorf("timings are judged: %q", pair.Reasons)
	}
	for _, one := range pair.Changes {
		if unknown := one.Judgement == Unknown; unknown != one.Metric.Timing {
			t.Errorf("%s is %s: %q", one.Metric.Key, one.Judgement, one.Warnings)
		}
	}
}

// TestSidesOfTwoScenarios: the settings that the scenarios have at the sides' points, and what is
// known of sides whose settings cannot be derived.
func TestSidesOfTwoScenarios(t *testing.T) {
	a, b := sweepRun("a", "1", lab.Done), sweepRun("b", "2", lab.Done)
	sides := []Side{rowNamed(t, a, "pruned ratio=0.2"), rowNamed(t, b, "pruned ratio=0.4")}
	c := CompareSides(sides, 0, func(b lab.Begin) ([]Setting, error) {
		return []Setting{{"pruned.ratio", b.Cells[0].Params[0].Value}, {"sweep.ratio", b.Run}}, nil
	})
	if got := fmt.Sprint(c.Settings); got != "[{ratio [0.2 0.4]} {pruned.ratio [0.2 0.4]}]" {
		t.Errorf("settings %s", got)
	}
	c = CompareSides(sides, 0, func(lab.Begin) ([]Setting, error) { return nil, errors.New("gone") })
	if got := fmt.Sprint(c.Settings); !strings.Contains(got, "{ratio [0.2 0.4]}") || !strings.Contains(got, "{hash [1 2]}") || len(c.Notes) == 0 {
		t.Errorf("settings %s, notes %q", got, c.Notes)
	}
}

// TestSidesOfUnfinishedRuns: a row whose seeds have all reported lacks nothing, whatever else the
// run lacks.
func TestSidesOfUnfinishedRuns(t *testing.T) {
	v := sweepRun("r", "1", lab.Stopped)
	for _, row := range v.Rows {
		if row.State != lab.Done {
			t.Fatalf("%s is %s", row.Label(), row.State)
		}
	}
	c := CompareSides([]Side{{v, 1}, {v, 3}}, 0, nil)
	if got := c.Against[1].Unfinished; got != [2]string{} {
		t.Errorf("unfinished %q", got)
	}
	if c := Compare(v, v); c.Unfinished[0] == "" {
		t.Error("the run itself is finished")
	}
}
