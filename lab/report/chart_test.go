package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"slimlab/internal/golden"
	"slimlab/lab"
	"slimlab/lab/sweep"
)

// sweptTable is a sweep of two axes whose AUCs have intervals; one row has no latency.
func sweptTable() *sweep.Table {
	begin := &lab.Begin{Run: "r", Scenario: "s", Rows: []string{"FM", "small"}, Depends: [][]string{{}, {"ratio", "scheme"}}}
	events := []lab.Event{{Kind: lab.KindBegin, Begin: begin}}
	for i, ratio := range []string{"50%", "25%"} {
		for j, scheme := range []string{"w8|a8", "w4a16\x1b[1m"} {
			id := fmt.Sprint(i, j)
			begin.Cells = append(begin.Cells, lab.Cell{ID: id, Seed: 1, Params: []lab.Param{{Key: "ratio", Value: ratio}, {Key: "scheme", Value: scheme}}})
			size, auc := 4e5-1e5*float64(2-i)-5e4*float64(j), 0.8-0.02*float64(j)-0.001*float64(i)
			small := map[string]lab.Measure{"bytes": {Value: size}, "auc": {Value: auc, Low: auc - 0.01, High: auc + 0.01}, "ttft_cold_p50": {Value: 1e-9 * size}}
			if id == "11" {
				delete(small, "ttft_cold_p50")
			}
			events = append(events, lab.Event{Kind: lab.KindRow, Cell: id, Row: "FM", Values: map[string]lab.Measure{"bytes": {Value: 5e6}, "auc": {Value: 0.84}}},
				lab.Event{Kind: lab.KindRow, Cell: id, Row: "small", Values: small})
		}
	}
	return sweep.Of(lab.Fold(events).Snapshot())
}

// TestChartsAsText: a front, a pivot and lines in every format, with hostile names.
func TestChartsAsText(t *testing.T) {
	table := sweptTable()
	bytesMetric, _ := lab.MetricByKey("bytes")
	auc, _ := lab.MetricByKey("auc")
	cold, _ := lab.MetricByKey("ttft_cold_p50")
	for _, format := range ChartFormats() {
		for name, metrics := range map[string][2]lab.Metric{"front": {bytesMetric, auc}, "front-cold": {cold, auc}} {
			f, err := table.Front(nil, metrics[0], metrics[1])
			if err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			if err := WriteFront(format, &b, table, f); err != nil {
				t.Fatal(err)
			}
			readable(t, format, b.String())
			golden.Equal(t, name+"."+format, b.String())
		}
		for name, q := range map[string]sweep.Question{
			"pivot":      {Down: "ratio", Across: "scheme", Metric: auc, Step: "small"},
			"pivot-step": {Down: "step", Across: "ratio", Metric: cold},
			"pivot-all":  {Down: "scheme", Across: "ratio", Metric: auc, Aggregate: sweep.Best},
		} {
			p, err := table.Pivot(nil, q)
			if err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			if err := WritePivot(format, &b, table, p); err != nil {
				t.Fatal(err)
			}
			readable(t, format, b.String())
			golden.Equal(t, name+"."+format, b.String())
		}
	}
	for name, shown := range map[string]Shown{"along": {Along: "ratio", Metric: "auc"}, "along-step": {Along: "ratio", Lines: "step", Metric: "ttft_cold_p50"}} {
		picture, err := shown.Of(table.View)
		if err != nil {
			t.Fatal(err)
		}
		for _, format := range ChartFormats() {
			var b bytes.Buffer
			if err := picture(format, &b, 0); err != nil {
				t.Fatal(err)
			}
			readable(t, format, b.String())
			golden.Equal(t, name+"."+format, b.String())
		}
	}
	if got := PivotTitle(&sweep.Pivot{Question: sweep.Question{Down: "a", Across: "b", Metric: lab.Metric{Label: "odd"}}}); got != "odd by a (down) and b (across)" {
		t.Errorf("a metric without direction has the title %q", got)
	}
	if err := WritePivot("junit", &bytes.Buffer{}, table, &sweep.Pivot{}); err == nil {
		t.Error("a pivot as JUnit is no error")
	}
}

// readable reports what a program could not read, or what would act on a terminal.
func readable(t *testing.T, format, text string) {
	t.Helper()
	switch format {
	case "csv":
		if _, err := csv.NewReader(strings.NewReader(text)).ReadAll(); err != nil {
			t.Error(err)
		}
	case "json":
		if !json.Valid([]byte(text)) {
			t.Errorf("not JSON:\n%s", text)
		}
	default:
		if strings.Contains(text, "\x1b") {
			t.Errorf("an escape in %q", text)
		}
	}
}

// TestEqualPointsCountOnce: rows with the same two figures are one point of the front in its count,
// and both are listed, the second one as equal.
func TestEqualPointsCountOnce(t *testing.T) {
	begin := &lab.Begin{Run: "r", Scenario: "s", Rows: []string{"FM", "layers", "small", "other"}, Cells: []lab.Cell{{ID: "c", Seed: 1}}}
	events := []lab.Event{{Kind: lab.KindBegin, Begin: begin}}
	for i, row := range begin.Rows {
		events = append(events, lab.Event{Kind: lab.KindRow, Cell: "c", Row: row, Values: map[string]lab.Measure{"bytes": {Value: []float64{6e6, 6e6, 1e5, 7e6}[i]}, "kl": {Value: []float64{0, 0, 0.1, 0.2}[i]}}})
	}
	s := Shown{Pareto: "bytes,kl"}
	picture, err := s.Of(lab.Fold(events).Snapshot())
	if err != nil {
		t.Fatal(err)
	}
	for format, want := range map[string][]string{
		"table": {"2 of 4 rows", "1 row equals another in both: counted once", "1 dominated row not listed"},
		"csv":   {"\nFM,6000000,,,0,,,front\n", "\nlayers,6000000,,,0,,,equal\n"},
		"json":  {`"slimlab.front/2"`, `"place": "equal",` + "\n      " + `"equals": "FM"`},
	} {
		var b bytes.Buffer
		if err := picture(format, &b, 0); err != nil {
			t.Fatal(err)
		}
		for _, w := range want {
			if !strings.Contains(b.String(), w) {
				t.Errorf("%s lacks %q:\n%s", format, w, &b)
			}
		}
	}
}
