package loadreport

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"slimlab/internal/texttable"
	"slimlab/internal/visible"
)

// missing is the text of a value that there is none of.
const missing = "–"

// Text writes a summary for a terminal: warnings, latencies, rates, errors, and with definitions
// what each figure is.
func Text(w io.Writer, s *Summary, withDefinitions bool) error {
	var b strings.Builder
	line := func(format string, values ...any) {
		b.WriteString(visible.Line(fmt.Sprintf(format, values...)))
		b.WriteByte('\n')
	}
	for _, l := range s.head() {
		line("%s", l)
	}
	for _, warning := range s.Warnings {
		line("WARNING %s: %s", warning.ID, warning.Text)
	}
	for _, n := range s.Notes {
		line("%s", n)
	}
	b.WriteByte('\n')
	b.WriteString(s.latencyTable().Text())
	if intervals := s.intervalTable(); len(intervals.Rows) > 0 {
		b.WriteByte('\n')
		b.WriteString(intervals.Text())
	}
	for _, l := range s.Latencies {
		if l.WithoutInterval != "" {
			line("%s: %s", l.Name, l.WithoutInterval)
		}
	}
	b.WriteByte('\n')
	b.WriteString(s.figureTable().Text())
	if len(s.Errors) > 0 {
		b.WriteByte('\n')
		errors := texttable.New(0, "requests", "")
		errors.Columns[1].Right = false
		errors.Columns[1].Head = "error"
		for _, e := range s.Errors {
			errors.Add(strconv.Itoa(e.Number), e.Text)
		}
		b.WriteString(errors.Text())
	}
	if withDefinitions {
		b.WriteByte('\n')
		for _, d := range s.definitions() {
			line("%s (%s): %s", d.Name, d.ID, d.Sentence)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// head is what the run was, and how many of its requests came to what.
func (s *Summary) head() (lines []string) {
	for _, part := range [][2]string{{"", s.Title}, {"target ", s.Target}, {"workload ", s.Workload}, {"arrivals ", s.Arrivals}} {
		if part[1] != "" {
			lines = append(lines, part[0]+part[1])
		}
	}
	clock := ""
	if s.Simulated {
		clock = ", on a simulated clock"
	}
	lines = append(lines, fmt.Sprintf("requests %d: %d answered, %d failed, %d dropped%s", s.Requests, s.Answered, s.Failed, s.Dropped, clock))
	if len(s.Objectives) > 0 {
		var bounds []string
		for _, o := range s.Objectives {
			bounds = append(bounds, o.String())
		}
		lines = append(lines, "objectives "+strings.Join(bounds, ", "))
	}
	return lines
}

// latencyTable has a row of each latency, in milliseconds. A percentile of too few is marked.
func (s *Summary) latencyTable() *texttable.Table {
	t := texttable.New(1, "latency, ms", "n", "mean", "P50", "P90", "P95", "P99", "max")
	for _, l := range s.Latencies {
		if l.N == 0 {
			t.Add(l.Name, "0", missing, missing, missing, missing, missing, missing)
			continue
		}
		cells := []string{l.Name, strconv.Itoa(l.N), milli(l.Mean)}
		for _, p := range l.Percentiles {
			value := milli(p.Value)
			if p.Warning != "" {
				value += "?"
			}
			cells = append(cells, value)
		}
		t.Add(append(cells, milli(l.Max))...)
	}
	return t
}

// intervalTable has the 95% intervals of the percentiles, in milliseconds.
func (s *Summary) intervalTable() *texttable.Table {
	t := texttable.New(1, "95% intervals, ms", "P50", "P90", "P95", "P99")
	for _, l := range s.Latencies {
		if l.N == 0 || l.WithoutInterval != "" {
			continue
		}
		cells := []string{l.Name}
		for _, p := range l.Percentiles {
			cells = append(cells, milli(p.Low)+" to "+milli(p.High))
		}
		t.Add(cells...)
	}
	return t
}

func (s *Summary) figureTable() *texttable.Table {
	t := texttable.New(1, "whole run", "", "")
	t.Columns[2].Right = false
	for _, f := range s.Figures {
		t.Add(f.Name, f.text(), f.Unit)
	}
	return t
}

func (f Figure) text() string {
	switch f.ID {
	case CachedShare, GoodputShare, ConcurrencySlope:
		return fmt.Sprintf("%.1f%%", 100*f.Value)
	case PeakConcurrency:
		return strconv.Itoa(int(f.Value))
	}
	return digits(f.Value)
}

// definitions are those of the figures that the summary has.
func (s *Summary) definitions() (list []Definition) {
	for _, l := range s.Latencies {
		list = append(list, l.Definition)
	}
	for _, f := range s.Figures {
		list = append(list, f.Definition)
	}
	return list
}

// digits writes a number with three digits at least, and all before its point.
func digits(x float64) string {
	if x == 0 || math.IsNaN(x) || math.IsInf(x, 0) {
		return strconv.FormatFloat(x, 'f', -1, 64)
	}
	decimals := 2 - int(math.Floor(math.Log10(math.Abs(x))))
	return strconv.FormatFloat(x, 'f', min(max(decimals, 0), 6), 64)
}

func milli(seconds float64) string { return digits(1000 * seconds) }

func milliseconds(seconds float64) string {
	if math.IsNaN(seconds) {
		return missing
	}
	return milli(seconds) + " ms"
}
