package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"pgregory.net/rapid"

	"slimlab/internal/golden"
	"slimlab/lab"
	"slimlab/lab/stat"
)

// figures are made up; they show shapes.
func figures(row string, seed int) map[string]lab.Measure {
	spread := 0.001 * float64(seed-2)
	switch row {
	case "FM":
		return map[string]lab.Measure{"params": {Value: 1_250_304}, "bytes": {Value: 2_500_608}, "smaller": {Value: 1}, "auc": {Value: 0.812, Low: 0.80, High: 0.82, N: 1600}, "auc_delta": {}, "ttft_cold_p50": {Value: 0.0123 + spread}, "paper": {Value: 0}}
	case "distilled":
		return map[string]lab.Measure{"params": {Value: 305_000}, "bytes": {Value: 610_000}, "smaller": {Value: 4.0993}, "auc": {Value: 0.805 + spread, N: 1600}, "auc_delta": {Value: -0.0086 + spread}, "ttft_cold_p50": {Value: 0.0041 + spread/10, Warning: "7 samples"}, "paper": {Value: -0.0015}}
	}
	return map[string]lab.Measure{"params": {Value: 305_000}, "bytes": {Value: 198_400}, "smaller": {Value: 12.604}, "auc": {Value: 0.804 + spread, N: 1600}, "auc_delta": {Value: -0.0099 + spread}, "ttft_cold_p50": {Value: 0.00095 + spread/100}}
}

func run(id string, seeds int, change func(row string, seed int, values map[string]lab.Measure)) *lab.Board {
	begin := &lab.Begin{Run: id, Scenario: "figure1", About: "distil | quantize", Hash: "0123456789abcdef", Version: "v1", Machine: "test, 2 cores", Quick: true,
		Rows: []string{"FM", "distilled", "w8a8"}, Columns: []string{"params", "bytes", "smaller", "auc", "auc_delta", "paper", "ttft_cold_p50"}}
	for seed := 1; seed <= seeds; seed++ {
		begin.Cells = append(begin.Cells, lab.Cell{ID: fmt.Sprintf("seed=%d", seed), Seed: seed})
	}
	b := lab.Fold([]lab.Event{{Kind: lab.KindBegin, Begin: begin}})
	for i, c := range begin.Cells {
		b.Apply(lab.Event{Kind: lab.KindCell, Time: float64(i), Cell: c.ID, State: lab.Running, Stage: "FM"})
		for _, row := range begin.Rows {
			values := figures(row, c.Seed)
			if change != nil {
				change(row, c.Seed, values)
			}
			b.Apply(lab.Event{Kind: lab.KindRow, Time: float64(i), Cell: c.ID, Row: row, Values: values})
		}
		b.Apply(lab.Event{Kind: lab.KindCell, Time: float64(i) + 1, Cell: c.ID, State: lab.Done})
	}
	b.Apply(lab.Event{Kind: lab.KindVerdict, Time: 4, Name: "smaller(row=w8a8) > 10", Held: true, Text: "smaller(row=w8a8) = 12.604"})
	b.Apply(lab.Event{Kind: lab.KindVerdict, Time: 4, Name: "auc_delta(row=w8a8) > -0.5%", Held: false, Text: "auc_delta(row=w8a8) = -0.0099"})
	b.Apply(lab.Event{Kind: lab.KindEnd, Time: 75.25, State: lab.Done})
	return b
}

// live is a run with a failed and a waiting cell, and a sweep.
func live() *lab.View {
	begin := &lab.Begin{Run: "r2", Scenario: "sweep", Rows: []string{"FM", "kd"}}
	for _, loss := range []string{"fkl", "jsd:0.5"} {
		begin.Cells = append(begin.Cells, lab.Cell{ID: "loss=" + loss + " seed=1", Params: []lab.Param{{Key: "loss", Value: loss}}, Seed: 1})
	}
	return lab.Fold([]lab.Event{
		{Kind: lab.KindBegin, Begin: begin},
		{Kind: lab.KindCell, Time: 1, Cell: begin.Cells[0].ID, State: lab.Running, Stage: "FM"},
		{Kind: lab.KindRow, Time: 2, Cell: begin.Cells[0].ID, Row: "FM", Values: map[string]lab.Measure{"auc": {Value: 0.8}, "loss": {Value: math.NaN()}}},
		{Kind: lab.KindCell, Time: 3, Cell: begin.Cells[0].ID, State: lab.Failed, Stage: "kd", Text: "loss is NaN at step <57>"},
		{Kind: lab.KindNote, Time: 3, Level: lab.Warning, Text: "few examples | only 3"},
	}).Snapshot()
}

func TestReports(t *testing.T) {
	views := map[string]*lab.View{"done": run("r1", 3, nil).Snapshot(), "one-seed": run("r1", 1, nil).Snapshot(), "live": live(), "empty": lab.NewBoard().Snapshot()}
	for name, v := range views {
		for _, format := range Formats() {
			var b bytes.Buffer
			if err := Write(format, &b, v); err != nil {
				t.Fatal(err)
			}
			golden.Equal(t, name+"."+format, b.String())
		}
	}
	var b bytes.Buffer
	if err := Text(&b, views["done"], 60); err != nil {
		t.Fatal(err)
	}
	golden.Equal(t, "done.60.table", b.String())
	if err := Write("xml", io.Discard, views["done"]); err == nil || !strings.Contains(err.Error(), "expected one of table, md, csv, json, junit") {
		t.Errorf("unknown format: %v", err)
	}
}

// JSON, CSV and JUnit files are valid.
func TestMachineFormatsParse(t *testing.T) {
	for _, v := range []*lab.View{run("r1", 3, nil).Snapshot(), live(), lab.NewBoard().Snapshot()} {
		var b bytes.Buffer
		if err := Write("json", &b, v); err != nil || !json.Valid(b.Bytes()) {
			t.Errorf("json: %v\n%s", err, b.String())
		}
		b.Reset()
		if err := Write("csv", &b, v); err != nil {
			t.Error(err)
		}
		if lines, err := csv.NewReader(&b).ReadAll(); err != nil || len(lines) != len(v.Rows)+1 {
			t.Errorf("csv: %v, %d lines", err, len(lines))
		}
		b.Reset()
		if err := Write("junit", &b, v); err != nil {
			t.Error(err)
		}
		var suites junitSuites
		if err := xml.Unmarshal(b.Bytes(), &suites); err != nil || len(suites.Suites) != 1 || suites.Suites[0].Tests != len(suites.Suites[0].Cases) {
			t.Errorf("junit: %v", err)
		}
	}
}

// failing refuses everything, as a full disk does.
type failing struct{}

var errFull = errors.New("no space left on device")

func (failing) Write([]byte) (int, error) { return 0, errFull }

func TestWriteErrors(t *testing.T) {
	v := run("r1", 1, nil).Snapshot()
	for _, format := range Formats() {
		if err := Write(format, failing{}, v); !errors.Is(err, errFull) {
			t.Errorf("%s: %v", format, err)
		}
	}
	for _, format := range CompareFormats() {
		if err := Compare(v, v).Write(format, failing{}); !errors.Is(err, errFull) {
			t.Errorf("%s: %v", format, err)
		}
	}
}

// No line of the head or the table is wider than asked, unless a word or the columns that are
// always shown are.
func TestTextFits(t *testing.T) {
	v := run("r1", 3, nil).Snapshot()
	rapid.Check(t, func(t *rapid.T) {
		width := rapid.IntRange(1, 250).Draw(t, "width")
		var b bytes.Buffer
		if err := Text(&b, v, width); err != nil {
			t.Fatal(err)
		}
		head, body, _ := strings.Cut(b.String(), "\n\n")
		for _, line := range strings.Split(head, "\n") {
			if w := ansi.StringWidth(line); w > width && strings.Contains(strings.TrimSpace(line), " ") {
				t.Fatalf("%d wide, want %d: %s", w, width, line)
			}
		}
		for _, line := range strings.Split(body, "\n")[:4] {
			if w := ansi.StringWidth(line); w > max(width, len("distilled")) {
				t.Fatalf("%d wide, want %d: %s", w, width, line)
			}
		}
	})
}

func TestFormat(t *testing.T) {
	for _, c := range []struct {
		unit lab.Unit
		x    float64
		want string
	}{
		{lab.Count, 999, "999"}, {lab.Count, 1234, "1.23k"}, {lab.Count, 1_250_304, "1.25M"}, {lab.Count, 0, "0"}, {lab.Count, 12.5, "12.5"},
		{lab.Bytes, 512, "512B"}, {lab.Bytes, 2_500_608, "2.50MB"}, {lab.Bytes, 12_000_000_000, "12.0GB"},
		{lab.Seconds, 0.0123, "12.3ms"}, {lab.Seconds, 0.00095, "950µs"}, {lab.Seconds, 3.5, "3.50s"}, {lab.Seconds, 2e-8, "20.0ns"}, {lab.Seconds, 0, "0ns"},
		{lab.BytesPerSecond, 12.3e9, "12.3GB/s"}, {lab.OperationsPerSecond, 950e6, "950Mop/s"},
		{lab.Rate, 14127, "14.1k"}, {lab.Fraction, 0.81234, "0.8123"}, {lab.Nats, 0.2236, "0.2236"},
		{lab.Percent, -0.0015, "-0.15%"}, {lab.Percent, 0.0003, "+0.03%"}, {lab.Percent, 0, "0.00%"}, {lab.Percent, -0.0000001, "0.00%"},
		{lab.Ratio, 12.604, "12.6×"}, {lab.Ratio, 1.5, "1.50×"}, {lab.Plain, 3, "3"}, {lab.Plain, 3.14159, "3.14"},
		{lab.Fraction, math.NaN(), "NaN"}, {lab.Seconds, math.Inf(1), "+Inf"},
	} {
		if got := Format(c.unit, c.x); got != c.want {
			t.Errorf("unit %d of %v: %q, want %q", c.unit, c.x, got, c.want)
		}
	}
	for seconds, want := range map[float64]string{0.85: "850ms", 12.34: "12.3s", 247: "4m 07s", 7500: "2h 05m"} {
		if got := Duration(seconds); got != want {
			t.Errorf("%v s: %q, want %q", seconds, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) { // nothing panics, and a column has one unit
		unit := lab.Unit(rapid.IntRange(0, int(lab.OperationsPerSecond)).Draw(t, "unit"))
		values := rapid.SliceOf(rapid.Float64()).Draw(t, "values")
		scale := ScaleOf(unit, values...)
		for _, x := range values {
			// 1e307 is more than a float64 in per cent: it is written as it is
			if text := scale.Format(x); !strings.HasSuffix(text, scale.Suffix) && math.Abs(x) < math.MaxFloat64/100 {
				t.Fatalf("%q without %q", text, scale.Suffix)
			}
			scale.Width(x)
		}
	})
}

// The Board's interval over seeds and that of package stat are the same law.
func TestBoardIntervalIsStats(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(-10, 10), 2, 8).Draw(t, "values")
		b := run("r", len(values), func(row string, seed int, m map[string]lab.Measure) { m["auc"] = lab.Measure{Value: values[seed-1]} })
		s, _ := b.Snapshot().Rows[0].Metric("auc")
		want := stat.MeanInterval(values)
		below, above := s.Sides() // not cut to the range of an AUC
		if math.Abs(s.Value-want.Value) > 1e-9 || math.Abs(s.Value-below-want.Low) > 1e-9 || math.Abs(s.Value+above-want.High) > 1e-9 {
			t.Fatalf("board %v [%v, %v], stat %+v", s.Value, s.Low, s.High, want)
		}
	})
}

// TestIntervalsThatAreCut: bounds stand in place of ± where that would leave the metric's range,
// and a note says so.
func TestIntervalsThatAreCut(t *testing.T) {
	b := run("r", 2, func(row string, seed int, m map[string]lab.Measure) {
		m["auc"] = lab.Measure{Value: []float64{0.98, 1}[seed-1]}
	})
	var text, lines strings.Builder
	if err := Text(&text, b.Snapshot(), 0); err != nil || !strings.Contains(text.String(), "0.9900* [0.8629, 1.0000]") && !strings.Contains(text.String(), "0.9900 [0.8629, 1.0000]") || !strings.Contains(text.String(), "interval cut at 1, the highest value there is") {
		t.Errorf("%v\n%s", err, text.String())
	}
	if err := Write("csv", &lines, b.Snapshot()); err != nil || strings.Contains(lines.String(), "1.11") {
		t.Errorf("%v\n%s", err, lines.String())
	}
}

func TestCompare(t *testing.T) {
	base := run("base", 5, nil).Snapshot()
	next := run("next", 5, func(row string, seed int, m map[string]lab.Measure) {
		switch row {
		case "distilled":
			m["auc"] = lab.Measure{Value: m["auc"].Value - 0.002}
			m["ttft_cold_p50"] = lab.Measure{Value: m["ttft_cold_p50"].Value * 1.5}
		case "w8a8":
			m["bytes"] = lab.Measure{Value: 150_000}
			m["ttft_cold_p50"] = lab.Measure{Value: m["ttft_cold_p50"].Value * 1.02}
			delete(m, "smaller")
		}
	}).Snapshot()
	c := Compare(base, next)
	got := map[string]Judgement{}
	for _, one := range c.Changes {
		got[one.Row+" "+one.Metric.Key] = one.Judgement
	}
	for key, want := range map[string]Judgement{
		"FM auc": Same, "FM ttft_cold_p50": Within, "distilled auc": Worse, "distilled ttft_cold_p50": Worse,
		"w8a8 bytes": Better, "w8a8 ttft_cold_p50": Within, "w8a8 smaller": Unknown, "distilled paper": Same,
	} {
		if got[key] != want {
			t.Errorf("%s: %s, want %s", key, got[key], want)
		}
	}
	if len(c.Worse()) != 2 || !c.Comparable || !c.Timings {
		t.Errorf("worse: %+v", c.Worse())
	}
	for _, format := range CompareFormats() {
		var b bytes.Buffer
		if err := c.Write(format, &b); err != nil {
			t.Fatal(err)
		}
		golden.Equal(t, "compare."+format, b.String())
	}
	if err := c.Write("csv", io.Discard); err == nil {
		t.Error("comparison as csv")
	}
}

func TestCompareDoubts(t *testing.T) {
	base := run("base", 3, nil)
	slow := func(row string, seed int, m map[string]lab.Measure) {
		m["ttft_cold_p50"] = lab.Measure{Value: m["ttft_cold_p50"].Value * 3}
	}
	find := func(c *Comparison, row, key string) Change {
		for _, one := range c.Changes {
			if one.Row == row && one.Metric.Key == key {
				return one
			}
		}
		t.Fatalf("no %s of %s", key, row)
		return Change{}
	}
	if one := find(Compare(base.Snapshot(), run("n", 3, slow).Snapshot()), "FM", "ttft_cold_p50"); one.Judgement != Worse || !strings.Contains(strings.Join(one.Warnings, " "), "ranges are compared") {
		t.Errorf("few seeds: %+v", one)
	}
	if one := find(Compare(run("b", 1, nil).Snapshot(), run("n", 1, slow).Snapshot()), "FM", "ttft_cold_p50"); one.Judgement != Within {
		t.Errorf("one seed: %+v", one)
	}
	if one := find(Compare(base.Snapshot(), run("n", 2, nil).Snapshot()), "distilled", "auc"); one.Judgement != Within || !strings.Contains(strings.Join(one.Warnings, " "), "judged by the seeds of both runs alone: 1, 2") {
		t.Errorf("different seeds: %+v", one)
	}
	moved := run("n", 3, slow).Snapshot()
	moved.Rows[1].Machines = []string{"test, 2 cores", "another"}
	if c := Compare(base.Snapshot(), moved); c.Timings || find(c, "FM", "ttft_cold_p50").Judgement != Worse || find(c, "distilled", "ttft_cold_p50").Judgement != Unknown ||
		len(c.Reasons) != 1 || !strings.Contains(c.Reasons[0], "test, 2 cores and test, 2 cores, another") {
		t.Errorf("one row on another machine: %+v", c.Reasons)
	}
	elsewhere := run("n", 3, slow).Snapshot()
	for i := range elsewhere.Rows {
		elsewhere.Rows[i].Machines = []string{"another"}
	}
	if c := Compare(base.Snapshot(), elsewhere); c.Timings || !c.Comparable || find(c, "FM", "ttft_cold_p50").Judgement != Unknown || find(c, "FM", "auc").Judgement != Same {
		t.Errorf("another machine: %+v", c.Reasons)
	}
	elsewhere.Begin.Hash = "other"
	elsewhere.Rows = elsewhere.Rows[:2]
	elsewhere.Begin.Settings = []string{"steps=30"}
	if c := Compare(base.Snapshot(), elsewhere); !c.Comparable || c.Timings || find(c, "FM", "ttft_cold_p50").Judgement != Unknown || len(c.Missing) != 1 || len(c.Worse()) != 0 ||
		!strings.Contains(c.Reasons[0], "of the base alone: none, of the new run alone: steps=30") {
		t.Errorf("another scenario: %q, %q", c.Reasons, c.Missing)
	}
	nothing := run("n", 3, nil).Snapshot()
	nothing.Rows = nil
	if c := Compare(base.Snapshot(), nothing); c.Comparable || len(c.Reasons) != 1 {
		t.Errorf("no row in common: %q", c.Reasons)
	}
	broken := run("n", 3, func(row string, seed int, m map[string]lab.Measure) { m["auc"] = lab.Measure{Value: math.NaN()} }).Snapshot()
	if one := find(Compare(base.Snapshot(), broken), "FM", "auc"); one.Judgement != Worse {
		t.Errorf("NaN: %+v", one)
	}
}

// What the same recipe measures must agree in every bit; what another recipe, another machine or
// other kernels measure is judged by the interval of the difference.
func TestCompareQuality(t *testing.T) {
	auc := func(change float64, noise ...float64) func(string, int, map[string]lab.Measure) {
		return func(row string, seed int, m map[string]lab.Measure) {
			v := m["auc"].Value + change
			if len(noise) > 0 {
				v += noise[(seed-1)%len(noise)]
			}
			m["auc"] = lab.Measure{Value: v, Low: v - 0.02, High: v + 0.02, N: 1600}
		}
	}
	without := func(change float64) func(string, int, map[string]lab.Measure) {
		return func(row string, seed int, m map[string]lab.Measure) {
			m["auc"] = lab.Measure{Value: m["auc"].Value + change, N: 1600}
		}
	}
	const elsewhere, otherScenario, otherTest = 1, 2, 4
	for name, c := range map[string]struct {
		seeds     int
		base, new func(string, int, map[string]lab.Measure)
		differ    int
		want      Judgement
		warning   string
	}{
		"the same recipe, other bits":                {3, auc(0), auc(-1e-12), 0, Worse, "the same recipe"},
		"the same recipe, the same bits":             {3, auc(0), auc(0), 0, Same, ""},
		"other kernels, the same bits":               {3, auc(0), auc(0), elsewhere, Same, ""},
		"other kernels, rounding":                    {3, auc(0), auc(-1e-5), elsewhere, Within, "paired over 3 seeds"},
		"other kernels, one seed":                    {1, auc(0), auc(-0.01), elsewhere, Within, "one seed"},
		"other kernels, one seed, far":               {1, auc(0), auc(-0.05), elsewhere, Worse, "one seed"},
		"other kernels, one seed, no interval":       {1, without(0), without(-0.05), elsewhere, Unknown, "cannot be judged"},
		"other kernels, noise over seeds":            {3, auc(0), auc(-0.002, 0.01, -0.01, 0), elsewhere, Within, "paired over 3 seeds"},
		"other kernels, worse in all seeds":          {3, auc(0), auc(-0.01, 0.001, -0.001, 0), elsewhere, Worse, "paired over 3 seeds"},
		"other kernels, better in all seeds":         {3, auc(0), auc(0.01, 0.001, -0.001, 0), elsewhere, Better, "paired over 3 seeds"},
		"trained for half as long":                   {3, auc(0), auc(-0.05, 0.01, -0.01, 0), otherScenario, Worse, "paired over 3 seeds"},
		"another test sample, a difference of its":   {3, auc(0), auc(-0.01, 0.001, -0.001, 0), otherTest, Within, "test samples"},
		"another test sample, further than both say": {3, auc(0), auc(-0.06, 0.001, -0.001, 0), otherTest, Worse, "test samples"},
	} {
		base, next := run("b", c.seeds, c.base).Snapshot(), run("n", c.seeds, c.new).Snapshot()
		for i := range next.Rows {
			for s := range c.seeds {
				base.Rows[i].Keys[s], base.Rows[i].Tests[s] = "k", "t"
				next.Rows[i].Keys[s], next.Rows[i].Tests[s] = "k", "t"
				if c.differ&otherTest != 0 {
					next.Rows[i].Tests[s] = "u"
				}
				if c.differ&otherScenario != 0 {
					next.Rows[i].Keys[s] = "l"
				}
			}
			if c.differ&elsewhere != 0 {
				next.Rows[i].Machines = []string{"test, 2 cores, other kernels"}
			}
		}
		if c.differ&otherScenario != 0 {
			next.Begin.Hash = "other"
		}
		var one Change
		for _, change := range Compare(base, next).Changes {
			if change.Row == "distilled" && change.Metric.Key == "auc" {
				one = change
			}
		}
		if one.Judgement != c.want || !strings.Contains(strings.Join(one.Warnings, "; "), c.warning) {
			t.Errorf("%s: %s %q, want %s %q", name, one.Judgement, one.Warnings, c.want, c.warning)
		}
	}
}

// TestWhatWasNotMeasuredIsLost: rows that the base alone measured are named, in both directions of
// a comparison, and a run that is not at its end says so.
func TestWhatWasNotMeasuredIsLost(t *testing.T) {
	whole := run("whole", 2, nil).Snapshot()
	none := lab.Fold([]lab.Event{{Kind: lab.KindBegin, Begin: &whole.Begin}, {Kind: lab.KindEnd, State: lab.Stopped}}).Snapshot()
	part := run("part", 2, nil).Snapshot()
	part.State, part.Rows[2].Done, part.Rows[2].Values = lab.Running, 0, nil
	for _, c := range []struct {
		name       string
		base, next *lab.View
		comparable bool
		lost       []string
		unfinished [2]string
	}{
		{"both whole", whole, whole, true, nil, [2]string{}},
		{"nothing new", whole, none, false, []string{"FM", "distilled", "w8a8"}, [2]string{"", "the new run was stopped with 0 of 2 cells done"}},
		{"nothing in the base", none, whole, false, nil, [2]string{"the base was stopped with 0 of 2 cells done", ""}},
		{"nothing at all", none, none, false, nil, [2]string{"the base was stopped with 0 of 2 cells done", "the new run was stopped with 0 of 2 cells done"}},
		{"a part", whole, part, true, []string{"w8a8"}, [2]string{"", "the new run is running with 2 of 2 cells done"}},
		{"a part as base", part, whole, true, nil, [2]string{"the base is running with 2 of 2 cells done", ""}},
	} {
		got := Compare(c.base, c.next)
		if got.Comparable != c.comparable || !slices.Equal(got.Lost, c.lost) || got.Unfinished != c.unfinished {
			t.Errorf("%s: comparable %t, lost %q, unfinished %q; expected %t, %q, %q", c.name, got.Comparable, got.Lost, got.Unfinished, c.comparable, c.lost, c.unfinished)
		}
		for _, change := range got.Changes {
			if !c.comparable || slices.Contains(c.lost, change.Row) {
				t.Errorf("%s: %s of %s is listed as %v", c.name, change.Metric.Key, change.Row, change.Judgement)
			}
		}
	}
}

// TestAsOf: the picture of a run that has not come to its end says when it was true.
func TestAsOf(t *testing.T) {
	v := run("r", 2, nil).Snapshot()
	v.Begin.Started, v.Time, v.Begun = 1_000_000_000, 90.6, true
	for state, want := range map[lab.State]bool{
		lab.Running: true, lab.Silent: true, lab.Crashed: true, lab.Damaged: true, lab.Deleted: true, lab.Done: false, lab.Failed: false, lab.Stopped: false,
	} {
		v.State = state
		got := AsOf(v)
		if at := "as of " + time.Unix(1_000_000_090, 0).Format("2006-01-02 15:04:05"); want && got != at || !want && got != "" {
			t.Errorf("%s: %q", state, got)
		}
		if strings.Contains(subtitle(v), "as of") != want {
			t.Errorf("%s: the subtitle is %q", state, subtitle(v))
		}
	}
}
