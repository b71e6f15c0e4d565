package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"slimlab/internal/golden"
	"slimlab/lab"
	"slimlab/lab/sweep"
)

// sweepView is a run of two ratios and two schemes, of which one step depends on neither and one on
// the ratio alone.
func sweepView() *lab.View {
	begin := &lab.Begin{Run: "r3", Scenario: "sweep", Rows: []string{"FM", "pruned", "quantized"}, Depends: [][]string{{}, {"ratio"}, {"ratio", "scheme"}}, Columns: []string{"bytes", "auc"}}
	events := []lab.Event{{Kind: lab.KindBegin, Begin: begin}}
	for r, ratio := range []string{"0.25", "0.5"} {
		for s, scheme := range []string{"w8a8", "w4a16"} {
			cell := lab.Cell{ID: ratio + " " + scheme, Seed: 1, Params: []lab.Param{{Key: "ratio", Value: ratio}, {Key: "scheme", Value: scheme}}}
			begin.Cells = append(begin.Cells, cell)
			for i, row := range begin.Rows {
				pruned, quantized := float64(min(i, 1)*r), float64(max(0, i-1)*(s+1))
				events = append(events, lab.Event{Kind: lab.KindRow, Time: 1, Cell: cell.ID, Row: row, Values: map[string]lab.Measure{
					"bytes": {Value: 4e6 / float64(i+1) / (1 + pruned) / (1 + quantized)}, "auc": {Value: 0.8 - 0.01*pruned - 0.002*quantized, Low: 0.79 - 0.01*pruned, High: 0.81 - 0.01*pruned},
				}})
			}
			events = append(events, lab.Event{Kind: lab.KindCell, Time: 2, Cell: cell.ID, State: lab.Done})
		}
	}
	return lab.Fold(append(events, lab.Event{Kind: lab.KindEnd, Time: 3, State: lab.Done})).Snapshot()
}

// TestSweepReports: tables for people fold, files for programs have every row and say which repeat.
func TestSweepReports(t *testing.T) {
	for name, s := range map[string]sweep.Selection{"sweep": {}, "selected": {Where: "ratio<0.4 or not has:ratio", Sort: "-bytes", Columns: "auc,ratio,state,tokens_per_s"}, "all": {All: true}} {
		table, err := sweep.Select(sweepView(), s)
		if err != nil {
			t.Fatal(err)
		}
		for _, format := range []string{"table", "md", "csv", "json"} {
			var b bytes.Buffer
			if err := WriteTables(format, &b, table); err != nil {
				t.Fatal(err)
			}
			golden.Equal(t, name+"."+format, b.String())
		}
	}
}

// TestGroupReports: groups in every format, with the steps that they mix and their best rows.
func TestGroupReports(t *testing.T) {
	table, err := sweep.Select(sweepView(), sweep.Selection{})
	if err != nil {
		t.Fatal(err)
	}
	groups, err := table.Group("ratio", "", sweep.Choice{})
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range GroupFormats() {
		var b bytes.Buffer
		if err := WriteGroups(format, &b, groups, 0); err != nil {
			t.Fatal(err)
		}
		golden.Equal(t, "groups."+format, b.String())
	}
	var b bytes.Buffer
	if err := WriteGroups("junit", &b, groups, 0); err == nil || !strings.Contains(err.Error(), "expected one of table, md, csv, json") {
		t.Errorf("groups as junit: %v", err)
	}
	if err := WriteGroups("csv", failing{}, groups, 0); !errors.Is(err, errFull) {
		t.Errorf("a full disk: %v", err)
	}
}

// TestLongWordsLeaveRoom: in a table that does not fit, names and values of axes are cut, which is
// said, before metrics are left out; without a limit nothing is.
func TestLongWordsLeaveRoom(t *testing.T) {
	v := sweepView()
	long := strings.Repeat("x", 200)
	for i := range v.Cells {
		v.Cells[i].Params[0].Value += long
	}
	for i := range v.Rows {
		v.Rows[i].Params[0].Value += long
	}
	var b bytes.Buffer
	if err := Text(&b, v, 80); err != nil || !strings.Contains(b.String(), "AUC") || !strings.Contains(b.String(), "of more than 24 characters are cut in 80 columns") || strings.Contains(b.String(), long) {
		t.Errorf("%v\n%s", err, b.String())
	}
	b.Reset()
	if err := Text(&b, v, 0); err != nil || !strings.Contains(b.String(), long) || strings.Contains(b.String(), "are cut") {
		t.Errorf("%v\n%s", err, b.String())
	}
}

// TestRepeatedRowsAreNamed: CSV and JSON count each measurement once where repeated ones are left
// out, and JSON names the row that is repeated.
func TestRepeatedRowsAreNamed(t *testing.T) {
	var b bytes.Buffer
	if err := Write("csv", &b, sweepView()); err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(&b).ReadAll()
	once := 0
	for _, line := range lines[1:] {
		if line[len(line)-1] == "false" {
			once++
		}
	}
	if err != nil || len(lines) != 13 || once != 7 {
		t.Errorf("%d lines, %d of them not repeated (%v), expected 13 and 7", len(lines), once, err)
	}
	b.Reset()
	if err := Write("json", &b, sweepView()); err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Rows []struct {
			Row     string
			Params  map[string]any
			Repeats *int
			Depends []string
		}
	}
	if err := json.Unmarshal(b.Bytes(), &doc); err != nil || len(doc.Rows) != 12 {
		t.Fatalf("%d rows, %v", len(doc.Rows), err)
	}
	for i, r := range doc.Rows {
		if r.Params["ratio"] != []float64{0.25, 0.5}[i/6] {
			t.Errorf("row %d has the ratio %v, expected a number", i, r.Params["ratio"])
		}
		if r.Repeats == nil {
			continue
		}
		of := doc.Rows[*r.Repeats]
		if of.Repeats != nil || of.Row != r.Row || fmt.Sprint(of.Depends) != fmt.Sprint(r.Depends) {
			t.Errorf("row %d repeats row %d, which is %v", i, *r.Repeats, of)
		}
	}
}

// TestTypedValues: what JSON can carry as a number or a boolean is one, all else a string.
func TestTypedValues(t *testing.T) {
	for value, want := range map[string]string{
		"0.25": "0.25", "-1e-3": "-1e-3", "3": "3", "true": "true", "": `""`, "30%": `"30%"`, "w8a8": `"w8a8"`, "01": `"01"`, "1 2": `"1 2"`, "null": `"null"`, "NaN": `"NaN"`, "-": `"-"`, "[1]": `"[1]"`,
	} {
		if got := string(typed(value)); got != want {
			t.Errorf("%q is %s, expected %s", value, got, want)
		}
	}
}
