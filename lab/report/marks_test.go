package report

import (
	"bytes"
	"strings"
	"testing"

	"slimlab/lab"
)

// TestMarksOnEveryFace: each form of a report that has a timing says what is to be known of it: the
// run that took it, the machine, other processes. One that judges it says so beside the judgement.
func TestMarksOnEveryFace(t *testing.T) {
	timing := lab.Timing{Stage: "serve", Run: "r0", Machine: "shared", Findings: []string{"2 threads deliver the work of 1.0"}, Others: 1}
	marks := []string{"timing of run r0", "timed on a shared machine", "timed beside another slimlab process"}
	view := lab.Fold([]lab.Event{
		{Kind: lab.KindBegin, Begin: &lab.Begin{Run: "r1", Scenario: "tiny", Rows: []string{"a"}, Columns: []string{"ttft_cold_p50"}, Cells: []lab.Cell{{ID: "seed=1", Seed: 1}}}},
		{Kind: lab.KindRow, Cell: "seed=1", Row: "a", Timings: []lab.Timing{timing}, Values: map[string]lab.Measure{"ttft_cold_p50": {Value: 0.25, Warning: timing.Warning("r1")}}},
		{Kind: lab.KindVerdict, Name: "ttft_cold_p50(row=a) < 1s", Held: true, Text: "ttft_cold_p50(row=a) = 0.25", Warnings: marks},
		{Kind: lab.KindVerdict, Name: "ttft_cold_p50(row=a) < 0.1s", Text: "ttft_cold_p50(row=a) = 0.25", Warnings: marks},
		{Kind: lab.KindEnd, State: lab.Done},
	}).Snapshot()
	for format, each := range map[string]int{"table": 3, "md": 3, "csv": 1, "json": 3, "junit": 2} {
		var b bytes.Buffer
		if err := Write(format, &b, view); err != nil {
			t.Fatal(err)
		}
		for _, mark := range marks {
			if n := strings.Count(b.String(), mark); n != each {
				t.Errorf("%s says %q %d times, expected %d:\n%s", format, mark, n, each, &b)
			}
		}
		if format == "json" && !strings.Contains(b.String(), timing.Findings[0]) {
			t.Errorf("json lacks the findings:\n%s", &b)
		}
		if format == "junit" && strings.Count(b.String(), "<system-out>ttft_cold_p50(row=a) = 0.25") != 2 {
			t.Errorf("cases of junit lack their values:\n%s", &b)
		}
	}
}

// TestTimingWarning: what is known of a timing, in words; of its own run, on a steady machine,
// there is none.
func TestTimingWarning(t *testing.T) {
	for _, c := range []struct {
		timing lab.Timing
		want   string
	}{
		{lab.Timing{Run: "r1", Machine: "steady"}, ""},
		{lab.Timing{Run: "r1"}, ""},
		{lab.Timing{Run: "r0"}, "timing of run r0"},
		{lab.Timing{Run: "r1", Machine: "throttled"}, "timed on a throttled machine"},
		{lab.Timing{Run: "r0", Machine: "shared", Others: 3}, "timing of run r0; timed on a shared machine; timed beside another slimlab process"},
		{lab.Timing{Run: "r1", Machine: "shared", Beside: true}, "timed beside other cells of the run"},
	} {
		if got := c.timing.Warning("r1"); got != c.want {
			t.Errorf("%+v: %q, expected %q", c.timing, got, c.want)
		}
	}
}
