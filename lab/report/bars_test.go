package report

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"

	"slimlab/internal/golden"
	"slimlab/lab"
	"slimlab/lab/sweep"
)

// barsView is a run of rows with times that add up: one has a part alone, one none, one a part that
// is too small for a character.
func barsView() *lab.View {
	begin := &lab.Begin{Run: "r", Scenario: "s", Rows: []string{"FM", "wide 模型\x1b[1m|", "part", "none", "small"}, Cells: []lab.Cell{{ID: "c", Seed: 1}}}
	events := []lab.Event{{Kind: lab.KindBegin, Begin: begin}}
	for row, values := range map[string]map[string]lab.Measure{
		"FM":              {"ttft_cold_p50": {Value: 0.040, Low: 0.030, High: 0.050}, "ttft_hot_p50": {Value: 0.020}, "tpot_p50": {Value: 0.020}, "bytes": {Value: 5e6}},
		"wide 模型\x1b[1m|": {"ttft_cold_p50": {Value: 0.010}, "ttft_hot_p50": {Value: 0.010}, "tpot_p50": {Value: 0.020}},
		"part":            {"ttft_hot_p50": {Value: 0.030}},
		"none":            {"bytes": {Value: 1e6}, "tpot_p50": {Value: math.NaN()}, "auc_delta": {Value: -0.1}},
		"small":           {"ttft_cold_p50": {Value: 0.0001}, "ttft_hot_p50": {Value: 0}, "tpot_p50": {Value: 0.008}},
	} {
		events = append(events, lab.Event{Kind: lab.KindRow, Cell: "c", Row: row, Values: values})
	}
	return lab.Fold(events).Snapshot()
}

const threeTimes = "ttft_cold_p50,ttft_hot_p50, tpot_p50"

// TestBars: bars in every format, and in terminals wide and narrow.
func TestBars(t *testing.T) {
	shown := Shown{Bars: threeTimes}
	picture, err := shown.Of(barsView())
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range ChartFormats() {
		var b bytes.Buffer
		if err := picture(format, &b, 0); err != nil {
			t.Fatal(err)
		}
		readable(t, format, b.String())
		golden.Equal(t, "bars-three."+format, b.String())
	}
	for _, width := range []int{24, 40} {
		var b bytes.Buffer
		if err := picture("table", &b, width); err != nil {
			t.Fatal(err)
		}
		golden.Equal(t, fmt.Sprintf("bars-three.%d.table", width), b.String())
	}
	if err := picture("junit", &bytes.Buffer{}, 0); err == nil {
		t.Error("bars as JUnit are no error")
	}
}

// TestBarsFit: whatever the width, no line is wider than it but for a word of a note that is, the
// longest bar fills its room, each part is as long as its share to a character, and a bar is ASCII.
func TestBarsFit(t *testing.T) {
	shown := Shown{Bars: threeTimes}
	v := barsView()
	picture, err := shown.Of(v)
	if err != nil {
		t.Fatal(err)
	}
	for width := 16; width <= 200; width++ {
		var out bytes.Buffer
		if err := picture("table", &out, width); err != nil {
			t.Fatal(err)
		}
		full, other := "", ""
		for line := range strings.Lines(out.String()) {
			line = strings.TrimSuffix(line, "\n")
			if ansi.StringWidth(line) > width {
				t.Errorf("width %d: %q has %d columns", width, line, ansi.StringWidth(line))
			}
			if strings.HasSuffix(line, "80.00ms") {
				full = line
			} else if strings.HasSuffix(line, "40.00ms") {
				other = line
			}
		}
		cold, hot, tpot := strings.Count(full, "#"), strings.Count(full, "="), strings.Count(full, "o")
		room := cold + hot + tpot
		if apart := math.Abs(float64(cold)-float64(room)/2) + math.Abs(float64(hot)-float64(room)/4) + math.Abs(float64(tpot)-float64(room)/4); room < 5 || apart > 3 {
			t.Errorf("width %d: %q has parts of %d, %d and %d characters, expected a half and two quarters", width, full, cold, hot, tpot)
		}
		if n := strings.Count(other, "#") + strings.Count(other, "=") + strings.Count(other, "o"); math.Abs(float64(n)-float64(room)/2) > 0.5 {
			t.Errorf("width %d: %q has %d characters of %d, expected half", width, other, n, room)
		}
		if bar := full[strings.Index(full, "#"):]; strings.ContainsFunc(bar, func(r rune) bool { return r >= 0x80 }) {
			t.Errorf("width %d: %q is not ASCII", width, bar)
		}
		// notes may be wrapped
		text := strings.Join(strings.Fields(out.String()), " ")
		for _, want := range []string{"# TTFT cold P50", "= TTFT hot P50", "o TPOT P50", "no bar, for want of each of these metrics: none", "without TPOT P50, which their totals leave out: part"} {
			if width > 20 && !strings.Contains(text, want) {
				t.Errorf("width %d: no %q in\n%s", width, want, out.String())
			}
		}
	}
}

// TestBarsRefused: what --bars cannot be, each with what was found.
func TestBarsRefused(t *testing.T) {
	for _, c := range []struct {
		shown Shown
		want  string
	}{
		{Shown{Bars: "bytes,tpot_p50"}, `--bars: bytes is of the unit "bytes" and tpot_p50 of "seconds"; expected metrics of one unit`},
		{Shown{Bars: "tpot_p50,,bytes"}, `--bars: has nothing at place 2`},
		{Shown{Bars: ","}, "--bars: has nothing at place 1"},
		{Shown{Bars: " "}, "--bars: found 0 metrics, expected 1 to 7"},
		{Shown{Bars: "tpot_p50,tpot_p50"}, "--bars: tpot_p50 stands twice"},
		{Shown{Bars: "tpot_p5"}, `did you mean "tpot_p50"?`},
		{Shown{Bars: "loss"}, "--bars loss: no row has any; this run has "},
		{Shown{Bars: "auc_delta"}, "--bars auc_delta: auc_delta of row none is -10.00%; expected none below 0"},
		{Shown{Bars: "tpot_p50", Selection: sweep.Selection{Where: "step=none"}}, "no row has any"},
		{Shown{Bars: "ttft_cold_p50,ttft_cold_p99,ttft_hot_p50,ttft_hot_p99,ttft_load_p50,ttft_load_p99,tpot_p50,tpot_p99"}, "found 8 metrics, expected 1 to 7"},
	} {
		if _, err := c.shown.Of(barsView()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, expected %q", c.shown.Options(), err, c.want)
		}
	}
	table := sweep.Of(barsView())
	bytesMetric, _ := lab.MetricByKey("bytes")
	table.Rows[0].Values = map[string]lab.Summary{"bytes": {Value: math.MaxFloat64}}
	b := &Bars{Metrics: []lab.Metric{bytesMetric, bytesMetric}}
	if err := b.arrange(table); err == nil || !strings.Contains(err.Error(), "larger than any number") {
		t.Errorf("a total that overflows: %v", err)
	}
	only := Shown{Bars: "bytes", Selection: sweep.Selection{Where: "step=FM"}}
	picture, err := only.Of(barsView())
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := picture("csv", &out, 0); err != nil || out.String() != "row,bytes,bytes_low,bytes_high,total\nFM,5000000,,,5000000\n" {
		t.Errorf("--where: %v, %q", err, out.String())
	}
}
