package report

import (
	"cmp"
	"encoding/csv"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"slimlab/lab"
	"slimlab/lab/sweep"
)

// CSV writes one line a row of the run, values in base units as they are: row, the sweep's axes,
// state, seeds, for each metric its value and the bounds of its interval, then warnings. What was
// not measured is empty. Each seed by itself is in the JSON. No row is folded: in sweeps the last
// column, repeated, is true where a step stands again at another value of an axis that changes
// nothing in it, so that lines with false count once. Columns that a selection chose stand in its
// order, behind row. Several runs are one table, which begins with the column scenario and has the
// axes and metrics of all.
func CSV(w io.Writer, tables ...*sweep.Table) error {
	c := csvTable{scenarios: len(tables) > 1}
	for _, t := range tables {
		c.columns = appendNew(c.columns, t.Columns()...)
		c.sweep = c.sweep || len(t.Axes) > 0
	}
	c.arrange(tables)
	return c.write(w, tables)
}

// csvAgainst writes a table as CSV does. Behind the bounds of each metric stand the baseline's
// value, the difference relative to it, and the verdict.
func csvAgainst(w io.Writer, t *sweep.Table, against *Against) error {
	c := csvTable{columns: t.Columns(), sweep: len(t.Axes) > 0, against: against}
	c.arrange([]*sweep.Table{t})
	return c.write(w, []*sweep.Table{t})
}

func (c *csvTable) write(w io.Writer, tables []*sweep.Table) error {
	out := csv.NewWriter(w)
	out.Write(c.head())
	for _, t := range tables {
		shown := map[int]bool{}
		for i := range t.Rows {
			shown[t.Rows[i].Index] = true
		}
		for _, i := range t.Each() {
			out.Write(c.line(t.View.Begin.Scenario, &t.View.Rows[i], !shown[i]))
		}
	}
	out.Flush()
	return out.Error()
}

// csvTable is what the lines have in common.
type csvTable struct {
	scenarios bool // the column scenario
	sweep     bool // the column repeated
	seeds     bool // the column seeds, behind the state
	columns   []sweep.Column
	against   *Against // nil: no baseline
}

// arrange leaves one column for axes of one key, and where no columns were chosen brings those of
// several runs into one order: axes, state, metrics.
func (c *csvTable) arrange(tables []*sweep.Table) {
	for i := range c.columns {
		c.columns[i].Axis = 0 // lines find their value by its key
	}
	c.columns = appendNew(nil, c.columns...)
	if !slices.ContainsFunc(tables, func(t *sweep.Table) bool { return t.Chosen() != nil }) {
		c.seeds = true
		slices.SortStableFunc(c.columns, func(a, b sweep.Column) int { return cmp.Compare(a.Kind, b.Kind) })
	}
}

func (c *csvTable) head() []string {
	var head []string
	if c.scenarios {
		head = append(head, "scenario")
	}
	for _, column := range c.columns {
		switch key := column.Key; column.Kind {
		case sweep.Step:
			head = append(head, "row")
		case sweep.Metric:
			head = append(head, key, key+"_low", key+"_high")
			if c.against != nil {
				head = append(head, key+"_base", key+"_delta", key+"_verdict")
			}
		default:
			head = append(head, key)
		}
		if column.Kind == sweep.State && c.seeds {
			head = append(head, "seeds")
		}
	}
	head = append(head, "warnings")
	if c.sweep {
		head = append(head, "repeated")
	}
	return head
}

func (c *csvTable) line(scenario string, r *lab.TableRow, repeated bool) []string {
	var line, warnings []string
	if c.scenarios {
		line = append(line, scenario)
	}
	for _, column := range c.columns {
		switch column.Kind {
		case sweep.Step:
			line = append(line, r.Name)
		case sweep.Value:
			value, _ := r.Param(column.Key)
			line = append(line, value)
		case sweep.State:
			line = append(line, r.State.String())
			if c.seeds {
				line = append(line, strconv.Itoa(r.Done))
			}
		case sweep.Metric:
			s, ok := r.Metric(column.Key)
			line = append(line, csvCells(s, ok)...)
			if c.against != nil {
				line = append(line, c.against.csvCells(r, column.Key)...)
			}
			for _, d := range s.Warnings {
				warnings = append(warnings, column.Key+": "+d)
			}
		}
	}
	if c.against != nil && c.against.equal[r.Label()] == nil {
		warnings = append(warnings, "the baseline has no such row")
	}
	line = append(line, strings.Join(warnings, "; "))
	if c.sweep {
		line = append(line, strconv.FormatBool(repeated))
	}
	return line
}

// csvCells are a value and the bounds of its interval.
func csvCells(s lab.Summary, measured bool) []string {
	switch {
	case !measured:
		return []string{"", "", ""}
	case !s.Interval:
		return []string{plain(s.Value), "", ""}
	}
	return []string{plain(s.Value), plain(s.Low), plain(s.High)}
}

func appendNew[T comparable](list []T, more ...T) []T {
	for _, x := range more {
		if !slices.Contains(list, x) {
			list = append(list, x)
		}
	}
	return list
}

// number writes a number as plain does, and nothing for what is none.
func number(x float64) string {
	if math.IsNaN(x) {
		return ""
	}
	return plain(x)
}

// plain writes a number so that it reads back as the same bits, without an exponent where people
// would not write one.
func plain(x float64) string {
	if size := math.Abs(x); size >= 1e-6 && size < 1e15 {
		return strconv.FormatFloat(x, 'f', -1, 64)
	}
	return strconv.FormatFloat(x, 'g', -1, 64)
}
