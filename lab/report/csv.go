package report

import (
	"encoding/csv"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"slimlab/lab"
)

// CSV writes one line a row of the table, values in base units as they are: row, the sweep's axes,
// state, seeds, and for each metric its value and the bounds of its interval. What was not measured
// is empty. Each seed by itself is in the JSON. Several runs are one table, which begins with the
// column scenario and has the axes and metrics of all.
func CSV(w io.Writer, views ...*lab.View) error {
	t := csvTable{scenarios: len(views) > 1}
	for _, v := range views {
		t.axes = appendNew(t.axes, v.Axes()...)
		t.metrics = appendNew(t.metrics, v.Columns()...)
	}
	out := csv.NewWriter(w)
	out.Write(t.head())
	for _, v := range views {
		for i := range v.Rows {
			out.Write(t.line(v.Begin.Scenario, &v.Rows[i]))
		}
	}
	out.Flush()
	return out.Error()
}

// csvTable is what the lines have in common.
type csvTable struct {
	scenarios bool // the column scenario
	axes      []string
	metrics   []lab.Metric
}

func (t *csvTable) head() []string {
	head := append([]string{"row"}, t.axes...)
	if t.scenarios {
		head = append([]string{"scenario"}, head...)
	}
	head = append(head, "state", "seeds")
	for _, m := range t.metrics {
		head = append(head, m.Key, m.Key+"_low", m.Key+"_high")
	}
	return append(head, "warnings")
}

func (t *csvTable) line(scenario string, r *lab.TableRow) []string {
	line := []string{r.Name}
	if t.scenarios {
		line = []string{scenario, r.Name}
	}
	for _, axis := range t.axes {
		value, _ := r.Param(axis)
		line = append(line, value)
	}
	line = append(line, r.State.String(), strconv.Itoa(r.Done))
	var warnings []string
	for _, m := range t.metrics {
		s, ok := r.Metric(m.Key)
		if !ok {
			line = append(line, "", "", "")
			continue
		}
		line = append(line, plain(s.Value))
		if s.Interval {
			line = append(line, plain(s.Low), plain(s.High))
		} else {
			line = append(line, "", "")
		}
		for _, d := range s.Warnings {
			warnings = append(warnings, m.Key+": "+d)
		}
	}
	return append(line, strings.Join(warnings, "; "))
}

func appendNew[T comparable](list []T, more ...T) []T {
	for _, x := range more {
		if !slices.Contains(list, x) {
			list = append(list, x)
		}
	}
	return list
}

// plain writes a number so that it reads back as the same bits, without an exponent where people
// would not write one.
func plain(x float64) string {
	if size := math.Abs(x); size >= 1e-6 && size < 1e15 {
		return strconv.FormatFloat(x, 'f', -1, 64)
	}
	return strconv.FormatFloat(x, 'g', -1, 64)
}
