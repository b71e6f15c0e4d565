package report

import (
	"encoding/csv"
	"io"
	"math"
	"strconv"
	"strings"

	"slimlab/lab"
)

// CSV writes one line a row of the table, values in base units as they are: row, the sweep's axes,
// state, seeds, and for each metric its value and the bounds of its interval. What was not measured
// is empty. Each seed by itself is in the JSON.
func CSV(w io.Writer, v *lab.View) error {
	out := csv.NewWriter(w)
	head := append([]string{"row"}, v.Axes()...)
	head = append(head, "state", "seeds")
	columns := v.Columns()
	for _, m := range columns {
		head = append(head, m.Key, m.Key+"_low", m.Key+"_high")
	}
	head = append(head, "warnings")
	out.Write(head)
	for i := range v.Rows {
		out.Write(csvRow(&v.Rows[i], columns))
	}
	out.Flush()
	return out.Error()
}

func csvRow(r *lab.TableRow, columns []lab.Metric) []string {
	line := []string{r.Name}
	for _, p := range r.Params {
		line = append(line, p.Value)
	}
	line = append(line, r.State.String(), strconv.Itoa(r.Done))
	var warnings []string
	for _, m := range columns {
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

// plain writes a number so that it reads back as the same bits, without an exponent where people
// would not write one.
func plain(x float64) string {
	if size := math.Abs(x); size >= 1e-6 && size < 1e15 {
		return strconv.FormatFloat(x, 'f', -1, 64)
	}
	return strconv.FormatFloat(x, 'g', -1, 64)
}
