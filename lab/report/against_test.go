package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"slimlab/internal/golden"
	"slimlab/internal/visible"
	"slimlab/lab"
	"slimlab/lab/sweep"
)

// unlikeBase is a baseline for run: without w8a8, without paper of distilled, with a further row.
func unlikeBase() *lab.View {
	base := run("base", 5, func(row string, seed int, m map[string]lab.Measure) {
		one := m["auc"]
		one.Value += 0.01
		m["auc"] = one
		if row == "distilled" {
			delete(m, "paper")
		}
		if row == "FM" {
			m["bytes"] = lab.Measure{}
		}
	}).Snapshot()
	base.Rows[2].Name = "w4a16"
	return base
}

// TestAgainst: the table of a run with differences to a baseline, in every format.
func TestAgainst(t *testing.T) {
	v := run("r", 5, nil).Snapshot()
	a := NewAgainst(v, unlikeBase(), nil)
	for _, format := range AgainstFormats() {
		var b bytes.Buffer
		if err := WriteAgainst(format, &b, sweep.Of(v), a, 0); err != nil {
			t.Fatal(err)
		}
		golden.Equal(t, "against."+format, b.String())
		if err := WriteAgainst(format, failing{}, sweep.Of(v), a, 0); !errors.Is(err, errFull) {
			t.Errorf("%s to a full disk: %v", format, err)
		}
	}
	var b bytes.Buffer
	if err := WriteAgainst("table", &b, sweep.Of(v), a, 60); err != nil {
		t.Fatal(err)
	}
	golden.Equal(t, "against.60.table", b.String())
	if err := WriteAgainst("junit", &b, sweep.Of(v), a, 0); err == nil {
		t.Error("JUnit with a baseline")
	}
}

// TestDeltaSaysWhyThereIsNone: each way in which a difference is absent.
func TestDeltaSaysWhyThereIsNone(t *testing.T) {
	v := run("r", 5, func(row string, _ int, m map[string]lab.Measure) {
		if row == "FM" {
			delete(m, "params")
		}
	}).Snapshot()
	waits := v.Rows[1]
	waits.Done, waits.Values = 0, nil
	base := unlikeBase()
	base.Rows = append(base.Rows, lab.TableRow{Name: "later"})
	later := v.Rows[1]
	later.Name = "later"
	v.Rows = append(v.Rows, later)
	a := NewAgainst(v, base, nil)
	for _, c := range []struct {
		row        *lab.TableRow
		metric     string
		shown, why string
	}{
		{&v.Rows[0], "auc", "-1.22% -", ""},
		{&v.Rows[0], "bytes", "– -", "no relative difference to a baseline of 0B"},
		{&v.Rows[0], "params", "–", ""},
		{&v.Rows[1], "smaller", "0.00% =", ""},
		{&v.Rows[1], "paper", "–", "not measured in the baseline"},
		{&v.Rows[2], "auc", "–", "the baseline has no such row"},
		{&v.Rows[3], "auc", "–", "the baseline has not measured the row"},
		{&waits, "auc", "–", ""},
	} {
		metric, _ := lab.MetricByKey(c.metric)
		if shown, why := a.Delta(c.row, metric); shown != c.shown || why != c.why {
			t.Errorf("%s of %s: %q, %q, expected %q, %q", c.metric, c.row.Name, shown, why, c.shown, c.why)
		}
	}
}

// TestAgainstFindsEqualRows: in another sweep, a row that does not depend on an axis and rows at
// the same values, however these are written; whatever rows repeat.
func TestAgainstFindsEqualRows(t *testing.T) {
	v, base := sweepRun("r", "1", lab.Done), sweepRun("base", "2", lab.Done)
	for i := range base.Cells {
		base.Cells[i].Params = []lab.Param{{Key: "ratio", Value: map[string]string{"0.2": "20%", "0.4": "0.5"}[base.Cells[i].Params[0].Value]}}
	}
	for i := range base.Rows {
		base.Rows[i].Params = []lab.Param{{Key: "ratio", Value: map[string]string{"0.2": "20%", "0.4": "0.5"}[base.Rows[i].Params[0].Value]}}
	}
	a := NewAgainst(v, base, nil)
	auc, _ := lab.MetricByKey("auc")
	var got []string
	for i := range v.Rows {
		shown, _ := a.Delta(&v.Rows[i], auc)
		got = append(got, v.Rows[i].Label()+" "+shown)
	}
	if want := "FM ratio=0.2 0.00% =|pruned ratio=0.2 0.00% =|FM ratio=0.4 0.00% =|pruned ratio=0.4 –"; strings.Join(got, "|") != want {
		t.Errorf("found %s\nexpected %s", strings.Join(got, "|"), want)
	}
	if notes := strings.Join(a.Notes, "\n"); !strings.Contains(notes, "the baseline alone has measured 1 of 2 rows of pruned (ratio=0.5)") {
		t.Errorf("notes:\n%s", notes)
	}
	var b bytes.Buffer
	if err := WriteAgainst("csv", &b, sweep.Of(v), a, 0); err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(&b).ReadAll()
	if err != nil || len(lines) != 5 || len(lines[0]) != len(lines[4]) || strings.Join(lines[0], ",") != "row,ratio,state,seeds,auc,auc_low,auc_high,auc_base,auc_delta,auc_verdict,ttft_cold_p50,ttft_cold_p50_low,ttft_cold_p50_high,ttft_cold_p50_base,ttft_cold_p50_delta,ttft_cold_p50_verdict,warnings,repeated" {
		t.Errorf("%v %q", err, lines)
	}
	b.Reset()
	if err := WriteAgainst("json", &b, sweep.Of(v), a, 0); err != nil {
		t.Fatal(err)
	}
	var document struct {
		Rows []struct {
			Against    map[string]struct{ Verdict string }
			NoBaseline string `json:"no_baseline"`
		}
	}
	if err := json.Unmarshal(b.Bytes(), &document); err != nil || len(document.Rows) != 4 || document.Rows[2].Against["auc"].Verdict != "same" || document.Rows[3].NoBaseline == "" {
		t.Errorf("%v\n%s", err, b.String())
	}
}

// TestAgainstItself: a run differs in nothing from itself, and the table is else as without a
// baseline.
func TestAgainstItself(t *testing.T) {
	v := sweepRun("r", "1", lab.Done)
	a := NewAgainst(v, v, nil)
	if len(a.Notes) > 0 {
		t.Errorf("notes %q", a.Notes)
	}
	for i := range v.Rows {
		for _, m := range v.Columns() {
			if shown, why := a.Delta(&v.Rows[i], m); shown != "0.00% =" && shown != "0.00% ~" || why != "" {
				t.Errorf("%s of %s: %q, %q", m.Key, v.Rows[i].Label(), shown, why)
			}
		}
	}
}

// TestOddNamesAgainst: whatever runs, rows and notes are named, the table has its columns in
// Markdown, and no format for people has controls.
func TestOddNamesAgainst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name, note := oddText().Draw(t, "name"), oddText().Draw(t, "note")
		v, base := oddRun("a", name, note), oddRun("b", name, note)
		base.Rows[2].Name += "z"
		a := NewAgainst(v, base, unresolved)
		for _, format := range []string{"table", "md"} {
			var b bytes.Buffer
			if err := WriteAgainst(format, &b, sweep.Of(v), a, 80); err != nil || visible.Text(b.String()) != b.String() {
				t.Fatalf("%s: %v %q", format, err, b.String())
			}
			columns := 0
			for line := range strings.SplitSeq(b.String(), "\n") {
				if format != "md" || !strings.HasPrefix(line, "|") {
					columns = 0
					continue
				}
				n := len(cellsOf(line))
				if columns > 0 && n != columns {
					t.Fatalf("%d cells, expected %d: %q", n, columns, line)
				}
				columns = n
			}
		}
	})
}
