package sweep

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"slimlab/lab"
)

// groupTable is a sweep of three ratios and two schemes with values that say where they are.
func groupTable(t *testing.T) *Table {
	b := lab.Begin{Run: "r", Scenario: "s", Rows: []string{"FM", "q"}, Depends: [][]string{{}, {"ratio", "scheme"}}, Columns: []string{"bytes", "auc"}}
	events := []lab.Event{{Kind: lab.KindBegin, Begin: &b}}
	for i, ratio := range []string{"0.5", "0.25", "0.125"} {
		for j, scheme := range []string{"w8", "w4"} {
			id := ratio + scheme
			b.Cells = append(b.Cells, lab.Cell{ID: id, Seed: 1, Params: []lab.Param{{Key: "ratio", Value: ratio}, {Key: "scheme", Value: scheme}}})
			events = append(events,
				lab.Event{Kind: lab.KindRow, Cell: id, Row: "FM", Values: map[string]lab.Measure{"bytes": {Value: 100}, "auc": {Value: 0.9}}},
				lab.Event{Kind: lab.KindRow, Cell: id, Row: "q", Values: map[string]lab.Measure{"bytes": {Value: float64(10 * (i + 1))}, "auc": {Value: 0.5 + 0.1*float64(i) + 0.02*float64(j)}}})
		}
	}
	table, err := Select(lab.Fold(events).Snapshot(), Selection{})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// TestGroupsAreMeansOverRows: with the lowest and the highest, the best row, and the groups in
// order.
func TestGroupsAreMeansOverRows(t *testing.T) {
	g, err := groupTable(t).Group("ratio", "", Choice{})
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	for _, one := range g.Groups {
		values = append(values, strings.Join(one.Values, " "))
	}
	if !slices.Equal(values, []string{"0.125", "0.25", "0.5", ""}) {
		t.Errorf("groups %q, expected the ratios in order and what has none last", values)
	}
	first := g.Groups[0]
	if got := first.Totals[1]; math.Abs(got.Value-0.71) > 1e-12 || got.Low != 0.7 || got.High != 0.72 || got.N != 2 || got.Row >= 0 {
		t.Errorf("the mean is %+v, expected 0.71 of 2 rows from 0.7 to 0.72", got)
	}
	if label := g.Rest(&g.Table.Rows[first.Best]); g.BestBy.Key != "auc" || label != "q w4" {
		t.Errorf("best by %s is %s, expected by auc q w4", g.BestBy.Key, label)
	}
	if g.Mixed() != nil {
		t.Errorf("mixed %q, expected none", g.Mixed())
	}
}

// TestGroupsSort: by means of metrics and by what they are grouped by.
func TestGroupsSort(t *testing.T) {
	for _, c := range []struct{ by, sort, want string }{
		{"ratio", "-auc", "[] [0.125] [0.25] [0.5]"},
		{"ratio", "bytes", "[0.5] [0.25] [0.125] []"},
		{"ratio", "-ratio", "[0.5] [0.25] [0.125] []"},
		{"scheme,step", "", "[w8 q] [w4 q] [ FM]"},
		{"step", "", "[FM] [q]"},
	} {
		g, err := groupTable(t).Group(c.by, c.sort, Choice{})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, one := range g.Groups {
			got = append(got, fmt.Sprint(one.Values))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("by %s sorted by %q: %s, expected %s", c.by, c.sort, got, c.want)
		}
	}
}

// TestEachRowIsInOneGroup for every set of keys.
func TestEachRowIsInOneGroup(t *testing.T) {
	table := groupTable(t)
	for _, by := range []string{"step", "ratio", "scheme", "ratio,scheme", "step,ratio,scheme"} {
		g, err := table.Group(by, "", Choice{})
		if err != nil {
			t.Fatal(err)
		}
		seen := make([]int, len(table.Rows))
		for _, one := range g.Groups {
			for _, i := range one.Rows {
				seen[i]++
				if !slices.Equal(g.ValuesOf(&table.Rows[i]), one.Values) {
					t.Errorf("by %s: row %d is in the group %q", by, i, one.Values)
				}
			}
		}
		if slices.ContainsFunc(seen, func(n int) bool { return n != 1 }) {
			t.Errorf("by %s: rows are in %v groups", by, seen)
		}
	}
}

func TestGroupErrors(t *testing.T) {
	for _, c := range []struct{ by, sort, want string }{
		{"auc", "", "group: auc has a value of its own in each row; expected step or an axis of the sweep: ratio, scheme"},
		{"state", "", "expected step or an axis"},
		{"rtio", "", `did you mean "ratio"?`},
		{"  ", "", "group: found no key"},
		{" , ", "", `group: has nothing at place 1 of " , "`},
		{"ratio", "auc,,ratio", `sort: has nothing at place 2 of "auc,,ratio"`},
		{"ratio", "scheme", "sort: groups have no scheme of their own; expected a metric, or one of what they are grouped by: ratio"},
	} {
		if _, err := groupTable(t).Group(c.by, c.sort, Choice{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("by %q sorted by %q: %v, expected %q", c.by, c.sort, err, c.want)
		}
	}
}

// TestPlacesOfListsThatAreEmpty: a comma too many is refused in every list of keys.
func TestPlacesOfListsThatAreEmpty(t *testing.T) {
	for _, c := range []struct {
		selection Selection
		want      string
	}{
		{Selection{Sort: "auc,"}, `sort: has nothing at place 2 of "auc,"`},
		{Selection{Columns: ",auc"}, `columns: has nothing at place 1 of ",auc"`},
		{Selection{Columns: "ratio, ,auc"}, `columns: has nothing at place 2 of "ratio, ,auc"`},
	} {
		if _, err := Select(groupTable(t).View, c.selection); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, expected %q", c.selection, err, c.want)
		}
	}
	if _, err := ParseChoice("mean,,auc=best"); err == nil || !strings.Contains(err.Error(), "has nothing at place 2") {
		t.Errorf("aggregates with an empty place: %v", err)
	}
}

// TestFirstOfEqualsIsTheBest: of rows with the best value in either direction the first one; a
// value that is not a number is none.
func TestFirstOfEqualsIsTheBest(t *testing.T) {
	for _, direction := range []lab.Direction{lab.Lower, lab.Higher} {
		sign := map[lab.Direction]float64{lab.Lower: 1, lab.Higher: -1}[direction]
		table, m := &Table{}, lab.Metric{Key: "k", Better: direction}
		for _, x := range []float64{1, math.NaN(), 3, 1, 2, math.NaN()} {
			table.Rows = append(table.Rows, Row{TableRow: &lab.TableRow{Values: map[string]lab.Summary{"k": {Value: sign * x}}}})
		}
		for want, rows := range map[int][]int{0: {0, 1, 2, 3, 4, 5}, 3: {1, 2, 3, 4}, 4: {2, 4}, -1: {1, 5}} {
			if best := table.Total(rows, m, Best).Row; best != want {
				t.Errorf("%s is better: the best of the rows %v is %d, expected %d", direction, rows, best, want)
			}
		}
	}
}

// TestRestOfARow: what its group does not say, of what the row has.
func TestRestOfARow(t *testing.T) {
	for by, want := range map[string][2]string{"ratio": {"FM", "q w8"}, "step": {"FM", "0.5 w8"}, "step,ratio": {"FM", "w8"}, "step,ratio,scheme": {"FM", "q"}} {
		g, err := groupTable(t).Group(by, "", Choice{})
		if err != nil {
			t.Fatal(err)
		}
		if got := [2]string{g.Rest(&g.Table.Rows[0]), g.Rest(&g.Table.Rows[1])}; got != want {
			t.Errorf("by %s: %q, expected %q", by, got, want)
		}
	}
}

// TestRowsLeftOutAreCounted: also where rows are left out of what was left.
func TestRowsLeftOutAreCounted(t *testing.T) {
	table := groupTable(t)
	once := table.Only([]int{0, 2, 3, 5})
	if twice := once.Only([]int{3}); once.Left != len(table.Rows)-4 || twice.Left != len(table.Rows)-1 || table.Left != 0 {
		t.Errorf("left out of %d rows are %d, then %d", len(table.Rows), once.Left, twice.Left)
	}
}

// TestBestOfAGroup: by the metric that is sorted by, else by quality.
func TestBestOfAGroup(t *testing.T) {
	for sort, want := range map[string]string{"": "auc", "-bytes": "bytes", "ratio": "auc", "ratio,-bytes": "bytes"} {
		if g, err := groupTable(t).Group("ratio", sort, Choice{}); err != nil || g.BestBy == nil || g.BestBy.Key != want {
			t.Errorf("sorted by %q: the best is by %+v, expected %s (%v)", sort, g.BestBy, want, err)
		}
	}
}

// TestAggregateOfAColumnThatIsNotShown: it would change nothing, so it is an error that names those
// that are.
func TestAggregateOfAColumnThatIsNotShown(t *testing.T) {
	choice := Choice{Only: map[string]Aggregate{"loss": Min}}
	if _, err := groupTable(t).Group("ratio", "", choice); err == nil || err.Error() != "aggregate: loss is not shown here; expected one of bytes, auc" {
		t.Errorf("%v", err)
	}
	if kept := choice.Keep([]lab.Metric{metric(t, "auc")}); kept.String() != "" {
		t.Errorf("kept %q, expected nothing", kept.String())
	}
}

// TestMixedGroups: two steps in a group are said.
func TestMixedGroups(t *testing.T) {
	g := &Groups{Table: groupTable(t), Groups: []Group{{Rows: []int{1, 2}}, {Rows: []int{0, 1, 2}}}}
	if got := g.Mixed(); !slices.Equal(got, []string{"FM", "q"}) {
		t.Errorf("mixed are %q", got)
	}
}

// TestQualityOfARun: the metric by which a run is looked at is the divergence where it is the first
// of section Evaluate, else the one with the least noise, else the first of section Evaluate, in
// the table or measured, else the first that has a direction.
func TestQualityOfARun(t *testing.T) {
	for columns, want := range map[string]string{
		"": "", "bytes auc loss auc_soft": "auc_soft", "bytes agreement loss auc": "auc", "agreement loss": "loss", "bytes agreement": "agreement", "mlp_kept bytes tokens_per_s": "bytes", "mlp_kept tokens_per_s bytes": "tokens_per_s", "mlp_kept": "",
		"params bytes smaller kl": "kl", "bytes flips kl": "flips", "bytes smaller kl flips loss": "kl", "bytes loss kl": "loss", "ttft_cold_p50 bytes auc_ceiling choice_accuracy": "choice_accuracy",
		"params bytes +kl": "kl", "params bytes +loss": "loss", "flips bytes +kl": "flips",
	} {
		columns, measured, _ := strings.Cut(columns, " +") // that are no columns
		begin := lab.Begin{Run: "r", Rows: []string{"a"}, Cells: []lab.Cell{{ID: "c"}}, Columns: strings.Fields(columns)}
		values := map[string]lab.Measure{}
		for _, key := range append(strings.Fields(measured), begin.Columns...) {
			values[key] = lab.Measure{Value: 1}
		}
		v := lab.Fold([]lab.Event{{Kind: lab.KindBegin, Begin: &begin}, {Kind: lab.KindRow, Cell: "c", Row: "a", Values: values}}).Snapshot()
		if got := Quality(v).Key; got != want {
			t.Errorf("of %q the quality is %q, expected %q", columns, got, want)
		}
	}
}

// TestRowsOfASelection: the step is the first column, once; rows stand in the order of the run
// unless they are sorted.
func TestRowsOfASelection(t *testing.T) {
	v := groupTable(t).View
	for _, c := range []struct {
		s             Selection
		columns, each string
	}{
		{Selection{Columns: "auc,step,ratio,auc"}, "step auc ratio", "[0 1 2 3 4 5 6 7 8 9 10 11]"},
		{Selection{Columns: "step"}, "step", "[0 1 2 3 4 5 6 7 8 9 10 11]"},
		{Selection{Columns: "bytes", Where: "step=q", Sort: "auc"}, "step bytes", "[1 3 5 7 9 11]"},
		{Selection{Columns: "bytes", Where: "step=q", Sort: "-auc"}, "step bytes", "[11 9 7 5 3 1]"},
	} {
		table, err := Select(v, c.s)
		if err != nil {
			t.Fatal(err)
		}
		if columns, each := strings.Join(keysOf(table.Columns()), " "), fmt.Sprint(table.Each()); columns != c.columns || each != c.each {
			t.Errorf("%+v: columns %s, rows %s, expected %s, %s", c.s, columns, each, c.columns, c.each)
		}
	}
}
