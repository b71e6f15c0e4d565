package report

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"slimlab/lab"
)

// TestRepeatedRowsAreComparedOnce: a step that does not depend on an axis is one row of a
// comparison of runs that both fold it, whatever other runs stand beside them; a run whose log does
// not say so has all rows.
func TestRepeatedRowsAreComparedOnce(t *testing.T) {
	a, b, old := sweepRun("a", "1", lab.Done), sweepRun("b", "2", lab.Done), sweepRun("old", "3", lab.Done)
	old.Begin.Depends = nil // of an earlier version; nor are its artifacts equal
	for i := range old.Rows {
		old.Rows[i].Keys = []string{"", "", "", "", ""}
	}
	count := func(c *Comparison, row string) (n int) {
		for _, one := range c.Changes {
			if one.Row == row {
				n++
			}
		}
		return n
	}
	c := Compare(a, b)
	if count(c, "FM") != 2 || count(c, "pruned ratio=0.2") != 2 || count(c, "pruned ratio=0.4") != 2 || len(c.Changes) != 6 || len(c.Missing) > 0 {
		t.Errorf("compared %+v, missing %q", c.Changes, c.Missing)
	}
	if text := written(t, c); !strings.Contains(text, "1 repeated row folded in each run") {
		t.Errorf("nothing says what is folded:\n%s", text)
	}
	for _, pair := range [][2]*lab.View{{a, old}, {old, a}} {
		c := Compare(pair[0], pair[1])
		if count(c, "FM ratio=0.2") != 2 || count(c, "FM ratio=0.4") != 2 || len(c.Changes) != 8 || len(c.Missing) > 0 {
			t.Errorf("%s with %s: %+v, missing %q", pair[0].Begin.Run, pair[1].Begin.Run, c.Changes, c.Missing)
		}
	}
	for _, views := range [][]*lab.View{{a, b, a}, {a, b, old}, {old, b, a}} {
		rows := map[string]int{}
		c := CompareRuns(views, 0, nil)
		for i := range c.Lines {
			rows[c.Lines[i].Row]++
			for run := range views {
				if _, ok := c.Lines[i].Value(run, 0); !ok {
					t.Errorf("run %d has no %s of %s", run, c.Lines[i].Metric.Key, c.Lines[i].Row)
				}
			}
		}
		folded := !slices.Contains(views, old)
		if (rows["FM"] == 2) != folded || (rows["FM ratio=0.4"] == 2) == folded || rows["pruned ratio=0.4"] != 2 {
			t.Errorf("lines of rows: %v", rows)
		}
	}
	part := sweepRun("b", "2", lab.Done)
	part.Rows[0].Done, part.Rows[0].Values = 0, nil
	if c := Compare(a, part); count(c, "FM") != 2 {
		t.Errorf("a row that was measured at another value of the axis is not compared: %+v", c.Changes)
	}
}

func written(t *testing.T, c *Comparison) string {
	t.Helper()
	var b strings.Builder
	if err := c.Write("table", &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// sweptRun is a run of a sweep of axes: "original" depends on none of them, "pruned" on ratio and
// "quantized" on all.
func sweptRun(id string, axes map[string][]string) *lab.View {
	var keys, ratio []string
	for _, key := range []string{"loss", "ratio", "scheme"} {
		if len(axes[key]) > 0 {
			keys = append(keys, key)
		}
	}
	if len(axes["ratio"]) > 0 {
		ratio = []string{"ratio"}
	}
	begin := &lab.Begin{Run: id, Scenario: id, Hash: id, Rows: []string{"original", "pruned", "quantized"}, Columns: []string{"auc"}, Depends: [][]string{{}, ratio, keys}}
	points := [][]lab.Param{nil}
	for _, key := range keys {
		var more [][]lab.Param
		for _, p := range points {
			for _, value := range axes[key] {
				more = append(more, append(slices.Clone(p), lab.Param{Key: key, Value: value}))
			}
		}
		points = more
	}
	events := []lab.Event{{Kind: lab.KindBegin, Begin: begin}}
	for i, params := range points {
		begin.Cells = append(begin.Cells, lab.Cell{ID: fmt.Sprint(i), Seed: 1, Params: params})
		for k, row := range begin.Rows {
			key := row // of the model, which the axes that the step depends on decide
			for _, p := range params {
				if slices.Contains(begin.Depends[k], p.Key) {
					key += " " + p.Value
				}
			}
			events = append(events, lab.Event{Kind: lab.KindRow, Cell: fmt.Sprint(i), Row: row, Key: key, Values: map[string]lab.Measure{"auc": {Value: 0.8}}})
		}
		events = append(events, lab.Event{Kind: lab.KindCell, Cell: fmt.Sprint(i), State: lab.Done})
	}
	return lab.Fold(append(events, lab.Event{Kind: lab.KindEnd, State: lab.Done})).Snapshot()
}

// TestSweepsOfOtherAxesShareRows: what two sweeps have in common is compared once, whatever other
// axes and values they have; each other row is counted on one of the sides, once, in one line a
// step.
func TestSweepsOfOtherAxesShareRows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) (axes map[string][]string, ratios, schemes []string) {
			subset := func(key string, of ...string) []string {
				return slices.DeleteFunc(of, func(value string) bool { return !rapid.Bool().Draw(t, name+key+value) })
			}
			ratios, schemes = subset("ratio", "0", "0.2", "0.4"), subset("scheme", "none", "w8a8")
			return map[string][]string{"ratio": ratios, "scheme": schemes}, ratios, schemes
		}
		first, ratiosA, schemesA := draw("a")
		second, ratiosB, schemesB := draw("b")
		both := func(a, b []string) int { // values that both have; 1 where neither has the axis
			if len(a) == 0 && len(b) == 0 {
				return 1
			}
			return len(slices.DeleteFunc(slices.Clone(a), func(v string) bool { return !slices.Contains(b, v) }))
		}
		pruned := both(ratiosA, ratiosB)
		quantized := pruned * both(schemesA, schemesB)
		c := Compare(sweptRun("a", first), sweptRun("b", second))
		if want := 1 + pruned + quantized; len(c.Changes) != want {
			t.Fatalf("%v with %v: %d rows are compared, expected %d", first, second, len(c.Changes), want)
		}
		all := func(ratios, schemes []string) int {
			r, s := max(1, len(ratios)), max(1, len(schemes))
			return 1 + r + r*s
		}
		lost, more := all(ratiosA, schemesA)-len(c.Changes), all(ratiosB, schemesB)-len(c.Changes)
		if len(c.Lost) != lost || len(c.Missing) != lost+more {
			t.Fatalf("lost %q, missing %q, expected %d and %d", c.Lost, c.Missing, lost, lost+more)
		}
		for i, want := range []int{lost, more} {
			for _, one := range c.Apart[i] {
				want -= one.Rows
			}
			if want != 0 || len(c.Apart[i]) > 2 {
				t.Fatalf("by step: %v", c.Apart[i])
			}
		}
	})
}

// TestOneValueOfAnAxis: a plan with one value of an axis does not say which steps depend on it. The
// other run's plan does, or the artifacts do.
func TestOneValueOfAnAxis(t *testing.T) {
	of := func(id, ratios string) *lab.View {
		v := sweptRun(id, map[string][]string{"ratio": strings.Fields(ratios), "scheme": {"a", "b"}})
		if !strings.Contains(ratios, " ") {
			v.Begin.Depends = [][]string{{}, {}, {"scheme"}}
		}
		return v
	}
	for _, c := range []struct {
		base, next string
		rows       string // that are compared
	}{
		{"0.2", "0.2", "original|pruned|quantized scheme=a|quantized scheme=b"},
		{"0.2", "0.4", "original"},
		{"0.2", "0.2 0.4", "original|pruned ratio=0.2|quantized ratio=0.2 scheme=a|quantized ratio=0.2 scheme=b"},
		{"0.2 0.4", "0.4", "original|pruned ratio=0.4|quantized ratio=0.4 scheme=a|quantized ratio=0.4 scheme=b"},
		{"0.2 0.4", "0.6", "original"},
	} {
		base, next := of("a", c.base), of("b", c.next)
		var rows []string
		for _, one := range Compare(base, next).Changes {
			rows = appendNew(rows, one.Row)
		}
		if got := strings.Join(rows, "|"); got != c.rows {
			t.Errorf("ratio %s with %s: compared %s, expected %s", c.base, c.next, got, c.rows)
		}
		var lines []string
		for _, line := range CompareRuns([]*lab.View{base, next, base}, 0, nil).Lines {
			lines = appendNew(lines, line.Row)
		}
		for _, row := range rows {
			if !slices.Contains(lines, row) {
				t.Errorf("ratio %s with %s: three runs have no row %s: %q", c.base, c.next, row, lines)
			}
		}
	}
}

// TestRowsApart: rows that only one run has are counted by step, with the values of axes that they
// have in common, else one by one.
func TestRowsApart(t *testing.T) {
	axes := func(ratios, schemes string) map[string][]string {
		return map[string][]string{"ratio": strings.Fields(ratios), "scheme": strings.Fields(schemes)}
	}
	for _, c := range []struct {
		base, next map[string][]string
		want       []string
	}{
		{axes("0 0.2", "a b"), axes("0 0.2", "a b"), nil},
		{axes("0 0.2 0.4", "a b c"), axes("0 0.4 0.6", "a b"), []string{
			"only the base has measured 1 of 3 rows of pruned (ratio=0.2)", "only the base has measured 5 of 9 rows of quantized (all of ratio=0.2 and of scheme=c)",
			"only the new run has measured 1 of 3 rows of pruned (ratio=0.6)", "only the new run has measured 2 of 6 rows of quantized (all of ratio=0.6)"}},
		{axes("0 0.2", ""), axes("", ""), []string{"only the base has measured all 2 rows of pruned (ratio=0, 0.2)", "only the base has measured all 2 rows of quantized (ratio=0, 0.2)", "only the new run has measured the rows pruned, quantized"}},
	} {
		pair := Compare(sweptRun("a", c.base), sweptRun("b", c.next))
		if got := pair.apartLines(); !slices.Equal(got, c.want) {
			t.Errorf("%v with %v:\n%s", c.base, c.next, strings.Join(got, "\n"))
		}
	}
	base, next := sweptRun("a", axes("0 0.2 0.4", "a b c")), sweptRun("b", axes("0 0.2 0.4", "a b c"))
	for i := range next.Rows {
		if r := &next.Rows[i]; r.Name == "quantized" && strings.Contains("0 a,0.2 b,0.4 c,0 b,0.2 c,0.4 a", r.Params[0].Value+" "+r.Params[1].Value) {
			r.Done, r.Values = 0, nil
		}
	}
	if got := Compare(base, next).apartLines(); len(got) != 1 || !strings.HasSuffix(got[0], "6 of 9 rows of quantized (ratio=0 scheme=a; ratio=0 scheme=b; ratio=0.2 scheme=b; ratio=0.2 scheme=c; … and 2 more)") {
		t.Errorf("found %q", got)
	}
}

// TestNoRowInBoth: why nothing could be compared is one line.
func TestNoRowInBoth(t *testing.T) {
	a, b := sweptRun("a", map[string][]string{"ratio": {"0"}}), sweptRun("b", map[string][]string{"ratio": {"0.2"}})
	for _, v := range []*lab.View{a, b} { // without original
		v.Begin.Rows, v.Begin.Depends, v.Rows = v.Begin.Rows[1:], v.Begin.Depends[1:], v.Rows[1:]
	}
	other := sweepRun("c", "c", lab.Done)
	for _, c := range []struct {
		base, next *lab.View
		want       string
	}{
		{a, b, "no row is in both runs: both have pruned, quantized, the base over ratio=0 and the new run over ratio=0.2"},
		{a, sweptRunOf("FM", "sft"), "no row is in both runs: the base has pruned, quantized; the new run FM, sft"},
		{b, sweptRunOf("pruned"), "no row is in both runs: both have pruned, the base over ratio=0.2 and the new run over no axis"},
		{other, lab.Fold([]lab.Event{{Kind: lab.KindBegin, Begin: &other.Begin}}).Snapshot(), "no row was measured in both runs"},
	} {
		pair := Compare(c.base, c.next)
		if pair.Comparable || !slices.Contains(pair.Reasons, c.want) || len(pair.apartLines()) > 0 {
			t.Errorf("found %q, %q, expected %q", pair.Reasons, pair.apartLines(), c.want)
		}
	}
}

// sweptRunOf is a run without a sweep whose steps have these names.
func sweptRunOf(steps ...string) *lab.View {
	v := sweptRun("d", nil)
	v.Begin.Rows, v.Begin.Depends = steps, nil
	v.Rows = v.Rows[:len(steps)]
	for i := range v.Rows {
		v.Rows[i].Name = steps[i]
	}
	return v
}
