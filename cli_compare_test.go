package main

import (
	"path/filepath"
	"strings"
	"testing"

	"slimlab/lab"
	"slimlab/lab/store"
)

// writeSweep writes the log of a run of a sweep of ratio, with steps of these names, of which all
// but the first depend on it; the AUC of each falls with the ratio.
func writeSweep(t *testing.T, folder, id string, steps ...string) {
	t.Helper()
	writeSweepOf(t, folder, id, []string{"0.2", "0.4"}, steps...)
}

// writeSweepOf is writeSweep with other ratios.
func writeSweepOf(t *testing.T, folder, id string, ratios []string, steps ...string) {
	t.Helper()
	begin := lab.Begin{Run: id, Scenario: "swept", Hash: id, Rows: steps, Columns: []string{"auc"}, Depends: [][]string{{}}}
	for range steps[1:] {
		begin.Depends = append(begin.Depends, []string{"ratio"})
	}
	for _, ratio := range ratios {
		begin.Cells = append(begin.Cells, lab.Cell{ID: ratio, Seed: 1, Params: []lab.Param{{Key: "ratio", Value: ratio}}})
	}
	l, err := store.Open(filepath.Join(folder, "runs")).Create(begin)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range begin.Cells {
		for k, row := range steps {
			auc := 0.8 - 0.1*float64(i*k)
			l.Append(lab.Event{Kind: lab.KindRow, Cell: c.ID, Row: row, Values: map[string]lab.Measure{"auc": {Value: auc, Low: auc - 0.01, High: auc + 0.01, N: 100}}})
		}
		l.Append(lab.Event{Kind: lab.KindCell, Cell: c.ID, State: lab.Done})
	}
	l.Append(lab.Event{Kind: lab.KindEnd, State: lab.Done})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestCompareRows: rows of one run or of several are compared by any name that only one row has; an
// error lists the rows that there are.
func TestCompareRows(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("SLIMLAB_HOME", folder)
	long := strings.Repeat("n", 200)
	writeSweep(t, folder, "one", "base", "pruned")
	writeSweep(t, folder, "two", "base", "pruned", long, "سريع", "a\x1b[31mb")
	for _, c := range []struct {
		args string
		code int
		want []string
	}{
		{"one:pruned 0.2|one:pruned 0.4", exitRegression, []string{"base one:pruned ratio=0.2 (swept) against new one:pruned ratio=0.4 (swept)", "ratio    0.2   0.4", "pruned  AUC", "- worse", "first auc of pruned"}},
		{"one:pruned 0.4|one:ratio=20% step=pruned", exitHeld, []string{"+ better"}},
		{"one:base|one:base", exitHeld, []string{"= same"}},
		{"one:base|two:base|two:pruned 0.2|two:pruned 0.4", exitRegression, []string{"#4 two:pruned ratio=0.4 (swept)", "#4 two:pruned ratio=0.4: 1 figure is significantly worse", "step"}},
		{"one:pruned 0.4|--baseline|one:base", exitRegression, []string{"base one:base (swept) against new one:pruned ratio=0.4"}},
		{"one:base|one:pruned 0.4|--baseline|one:pruned 0.4", exitHeld, []string{"base one:pruned ratio=0.4 (swept) against new one:base"}},
		{"two:" + long + " 0.2|two:سريع 0.2", exitHeld, []string{long}},
		{"one:pruned|one:base", exitUsage, []string{`run one: row "pruned": 2 rows meet its words, expected one: pruned ratio=0.2; pruned ratio=0.4`}},
		{"one:prund|one:base", exitUsage, []string{`row "prund": expected one of base; pruned ratio=0.2; pruned ratio=0.4, did you mean "pruned"?`}},
		{"two:x|one:base", exitUsage, []string{`a\x1b[31mb`}},
		{"one:|one:base", exitUsage, []string{"found no name of a row"}},
		{"one:base|two", exitUsage, []string{`one:base is a row and two a whole run: expected rows alone, such as "two:base", or runs alone`}},
		{"none:base|one:base", exitBaseline, []string{`run "none"`}},
		{"one:base", exitUsage, []string{"two runs or more"}},
	} {
		out, errs, code := slimlab(t, append([]string{"compare"}, strings.Split(c.args, "|")...)...)
		for _, want := range c.want {
			if code != c.code || !strings.Contains(out+errs, want) {
				t.Errorf("%s: exit %d, expected %d and %q\n%s%s", c.args, code, c.code, want, out, errs)
			}
		}
		if strings.ContainsRune(out+errs, '\x1b') {
			t.Errorf("%s: an escape is printed", c.args)
		}
	}
	var many []string
	for i := range 12 {
		many = append(many, []string{"one", "two"}[i%2])
	}
	for _, format := range []string{"table", "md", "csv", "json"} {
		out, errs, code := slimlab(t, append([]string{"compare", "--format", format}, many...)...)
		if code != exitHeld || !strings.Contains(out, "pruned") || format == "table" && !strings.Contains(out, "#12 two") {
			t.Errorf("12 runs as %s: exit %d\n%s%s", format, code, out, errs)
		}
	}
	if out, errs, code := slimlab(t, "compare", "one:base", "two:base", "--format", "json"); code != exitHeld || !strings.Contains(out, `"two:base"`) {
		t.Errorf("rows as JSON: exit %d\n%s%s", code, out, errs)
	}
}

// TestCompareSweeps: two sweeps are compared over the points that both have; what does not depend
// on an axis is one row. Points of the base that the new run lacks are exit code 5, said once.
func TestCompareSweeps(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("SLIMLAB_HOME", folder)
	for id, ratios := range map[string]string{"a": "0.2 0.4", "b": "0.2 0.4 0.6", "c": "0.8"} {
		writeSweepOf(t, folder, id, strings.Fields(ratios), "original", "pruned")
	}
	writeSweep(t, folder, "d", "FM", "sft")
	for _, c := range []struct {
		args  string
		code  int
		want  []string
		lines int // that name only one side
	}{
		{"a b", exitHeld, []string{"original          AUC", "only the new run has measured 1 of 3 rows of pruned (ratio=0.6)"}, 1},
		{"b a", exitBaseline, []string{"only the base has measured 1 of 3 rows of pruned (ratio=0.6)", "the new run has not measured 1 row of the base: 1 of 3 rows of pruned (ratio=0.6)"}, 1},
		{"b c", exitBaseline, []string{"original", "only the base has measured all 3 rows of pruned (ratio=0.2, 0.4, 0.6)"}, 2},
		{"b d", exitBaseline, []string{"NOT COMPARABLE", "no row is in both runs: the base has original, pruned; the new run FM, sft"}, 0},
		{"b a d", exitBaseline, []string{"#3: no row is in both runs", "#2: only the base has measured 1 of 3 rows"}, 1},
	} {
		out, errs, code := slimlab(t, append([]string{"compare"}, strings.Fields(c.args)...)...)
		for _, want := range c.want {
			if code != c.code || !strings.Contains(out+errs, want) {
				t.Errorf("%s: exit %d, expected %d and %q\n%s%s", c.args, code, c.code, want, out, errs)
			}
		}
		if lines := strings.Count(out, "has measured"); lines != c.lines {
			t.Errorf("%s: %d lines name rows of one side, expected %d\n%s", c.args, lines, c.lines, out)
		}
	}
}
