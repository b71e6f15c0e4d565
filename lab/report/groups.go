package report

import (
	"cmp"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"slimlab/internal/jsondoc"
	"slimlab/internal/nearest"
	"slimlab/internal/texttable"
	"slimlab/internal/visible"
	"slimlab/lab"
	"slimlab/lab/sweep"
)

// GroupFormats lists what WriteGroups can write.
func GroupFormats() []string { return []string{"table", "md", "csv", "json"} }

// WriteGroups writes the groups of a run's rows: a table for a terminal of a width (0 is without
// limit), a Markdown section, a CSV line a group, or a JSON document.
func WriteGroups(format string, w io.Writer, g *sweep.Groups, width int) error {
	var err error
	switch format {
	case "table":
		err = groupsText(w, g, width)
	case "md":
		err = groupsMarkdown(w, g)
	case "csv":
		err = groupsCSV(w, g)
	case "json":
		err = groupsJSON(w, g)
	default:
		return nearest.Check("format of groups", format, GroupFormats())
	}
	if err != nil {
		return fmt.Errorf("groups as %s: %w", format, err)
	}
	return nil
}

// GroupColumn is a metric's means over the groups, ready to be written.
type GroupColumn struct {
	Metric lab.Metric
	Scale  Scale
	metric int
	best   float64
}

// GroupColumns returns the columns of the metrics.
func GroupColumns(g *sweep.Groups) []GroupColumn {
	columns := make([]GroupColumn, len(g.Metrics))
	for i, m := range g.Metrics {
		var values []float64
		for n := range g.Groups {
			if mean := g.Groups[n].Means[i]; mean.N > 0 {
				values = append(values, mean.Value)
			}
		}
		columns[i] = GroupColumn{m, ScaleOf(m.Unit, values...), i, bestOf(m.Better, values)}
	}
	return columns
}

// Cell returns the column's cell of a group; a warning says how many rows have no value.
func (c *GroupColumn) Cell(one *sweep.Group) TableCell {
	mean := one.Means[c.metric]
	if mean.N == 0 {
		return TableCell{Value: Missing}
	}
	cell := TableCell{Value: c.Scale.Format(mean.Value), Best: mean.Value == c.best}
	if half := mean.High - mean.Value; half > 0 && !math.IsInf(half, 0) {
		cell.Interval = c.Scale.Width(half)
	}
	if mean.N < len(one.Rows) {
		cell.Warnings = []string{fmt.Sprintf("%d of %d rows measured", mean.N, len(one.Rows))}
	}
	return cell
}

// BestRow names the best row of a group and its value; "" where none is measured.
func BestRow(g *sweep.Groups, one *sweep.Group) string {
	if one.Best < 0 {
		return ""
	}
	r := &g.Table.Rows[one.Best]
	return Format(g.BestBy.Unit, r.Values[g.BestBy.Key].Value) + " " + g.Rest(r)
}

func newGroupTable(g *sweep.Groups) *table {
	t := &table{rows: len(g.Groups)}
	words := func(title string, left bool, text func(one *sweep.Group) string) {
		c := column{title: title, left: left, fixed: true}
		for i := range g.Groups {
			c.cells = append(c.cells, cell{value: visible.Line(text(&g.Groups[i]))})
		}
		t.columns = append(t.columns, c)
	}
	for i := range g.By {
		words(g.By[i].Key, true, func(one *sweep.Group) string { return cmp.Or(one.Values[i], AnyValue) })
	}
	words("n", false, func(one *sweep.Group) string { return strconv.Itoa(len(one.Rows)) })
	if g.BestBy != nil {
		words("best "+g.BestBy.Label, true, func(one *sweep.Group) string { return BestRow(g, one) })
	}
	for _, m := range GroupColumns(g) {
		c := column{title: m.Metric.Label}
		for i := range g.Groups {
			one := m.Cell(&g.Groups[i])
			var notes []int
			for _, warning := range one.Warnings {
				notes = append(notes, t.note(warning))
			}
			c.cells = append(c.cells, cell{one.Value, one.Interval, one.Best, notes})
		}
		t.columns = append(t.columns, c)
	}
	return t
}

// AnyValue stands for the value of a group on an axis on which its rows do not depend.
const AnyValue = "any"

// GroupNotes say what the figures of groups are, what is unusual first.
func GroupNotes(g *sweep.Groups) []string {
	var lines []string
	if steps := g.Mixed(); steps != nil {
		lines = []string{"groups mix the steps " + strings.Join(steps, ", ") + ": group by step too, or filter step=…, to keep them apart"}
	}
	return append(lines, "n rows; "+sweep.IntervalMeaning)
}

func groupsText(w io.Writer, g *sweep.Groups, width int) error {
	var b strings.Builder
	v := g.Table.View
	b.WriteString(head(v, width))
	newGroupTable(g).fit(&b, width)
	for _, line := range append(GroupNotes(g), hidden(g.Table)...) {
		b.WriteString(visible.Line(line) + "\n")
	}
	_, err := io.WriteString(w, visible.Text(b.String()))
	return err
}

func groupsMarkdown(w io.Writer, g *sweep.Groups) error {
	var b strings.Builder
	v, t := g.Table.View, newGroupTable(g)
	fmt.Fprintf(&b, "## %s\n\n%s\n\n", texttable.Escape(title(v)), texttable.Escape(subtitle(v)))
	b.WriteString(t.markdown().Markdown())
	markdownList(&b, "", t.notes, func(i int, note string) string { return marks([]int{i + 1}) + " " + texttable.Escape(note) })
	markdownList(&b, "", append(GroupNotes(g), hidden(g.Table)...), func(_ int, line string) string { return texttable.Escape(line) })
	_, err := io.WriteString(w, visible.Text(b.String()))
	return err
}

// groupsCSV writes one line a group: what it is grouped by, n, each metric's mean with the bounds
// of its interval and the number of rows that have it, the best row and its value.
func groupsCSV(w io.Writer, g *sweep.Groups) error {
	out := csv.NewWriter(w)
	var head []string
	for i := range g.By {
		head = append(head, g.By[i].Key)
	}
	head = append(head, "n")
	for _, m := range g.Metrics {
		head = append(head, m.Key+"_mean", m.Key+"_low", m.Key+"_high", m.Key+"_n")
	}
	if g.BestBy != nil {
		head = append(head, "best_row", "best_"+g.BestBy.Key)
	}
	out.Write(head)
	for i := range g.Groups {
		one := &g.Groups[i]
		line := append(append([]string{}, one.Values...), strconv.Itoa(len(one.Rows)))
		for _, m := range one.Means {
			line = append(line, csvMean(m)...)
		}
		switch {
		case g.BestBy == nil:
		case one.Best < 0:
			line = append(line, "", "")
		default:
			r := &g.Table.Rows[one.Best]
			line = append(line, g.Table.Label(r), plain(r.Values[g.BestBy.Key].Value))
		}
		out.Write(line)
	}
	out.Flush()
	return out.Error()
}

func csvMean(m sweep.Mean) []string {
	switch {
	case m.N == 0:
		return []string{"", "", "", "0"}
	case !m.Bounded():
		return []string{plain(m.Value), "", "", strconv.Itoa(m.N)}
	}
	return []string{plain(m.Value), plain(m.Low), plain(m.High), strconv.Itoa(m.N)}
}

// groupsSchema names the shape of the document of groups.
const groupsSchema = "slimlab.groups/1"

type jsonGroups struct {
	Run      string      `json:"run"`
	Scenario string      `json:"scenario"`
	Where    string      `json:"where,omitempty"` // the filter that rows met
	By       []string    `json:"by"`
	BestBy   string      `json:"best_by,omitempty"` // the metric that decides which row is the best
	Interval string      `json:"interval"`          // what the intervals are
	Groups   []jsonGroup `json:"groups"`
}

type jsonGroup struct {
	// what the group has in common; null where its rows do not depend on the axis
	Values  map[string]json.RawMessage `json:"values"`
	N       int                        `json:"n"` // rows
	Metrics map[string]jsonMean        `json:"metrics"`
	Best    *jsonMember                `json:"best,omitempty"`
	Rows    []jsonMember               `json:"rows"`
}

type jsonMean struct {
	Mean lab.Number  `json:"mean"`
	Low  *lab.Number `json:"low,omitempty"`
	High *lab.Number `json:"high,omitempty"`
	N    int         `json:"n"` // rows that have a value
}

// jsonMember is a row of a group, with the axes that its step depends on.
type jsonMember struct {
	Row    string                     `json:"row"`
	Params map[string]json.RawMessage `json:"params"`
	Value  *lab.Number                `json:"value,omitempty"` // of the metric that decides
}

func groupsJSON(w io.Writer, g *sweep.Groups) error {
	b := &g.Table.View.Begin
	out := jsonGroups{Run: b.Run, Scenario: b.Scenario, Where: g.Table.Where, By: []string{}, Interval: sweep.IntervalMeaning, Groups: []jsonGroup{}}
	for i := range g.By {
		out.By = append(out.By, g.By[i].Key)
	}
	if g.BestBy != nil {
		out.BestBy = g.BestBy.Key
	}
	for i := range g.Groups {
		out.Groups = append(out.Groups, newJSONGroup(g, &g.Groups[i]))
	}
	return jsondoc.Write(w, groupsSchema, out)
}

func newJSONGroup(g *sweep.Groups, one *sweep.Group) jsonGroup {
	out := jsonGroup{Values: map[string]json.RawMessage{}, N: len(one.Rows), Metrics: map[string]jsonMean{}}
	for i, value := range one.Values {
		out.Values[g.By[i].Key] = json.RawMessage("null")
		if value != "" {
			out.Values[g.By[i].Key] = typed(value)
		}
	}
	for i, m := range one.Means {
		if m.N == 0 {
			continue
		}
		mean := jsonMean{Mean: lab.Number(m.Value), N: m.N}
		if m.Bounded() {
			low, high := lab.Number(m.Low), lab.Number(m.High)
			mean.Low, mean.High = &low, &high
		}
		out.Metrics[g.Metrics[i].Key] = mean
	}
	for _, i := range one.Rows {
		member := newJSONMember(g, i)
		out.Rows = append(out.Rows, member)
		if i == one.Best {
			out.Best = &member
		}
	}
	return out
}

func newJSONMember(g *sweep.Groups, row int) jsonMember {
	r := &g.Table.Rows[row]
	member := jsonMember{Row: r.Name, Params: map[string]json.RawMessage{}}
	for axis, at := range r.At {
		if at != sweep.Any {
			member.Params[g.Table.Axes[axis].Key] = typed(g.Table.Axes[axis].Values[at])
		}
	}
	if g.BestBy != nil {
		if s, ok := r.Metric(g.BestBy.Key); ok {
			value := lab.Number(s.Value)
			member.Value = &value
		}
	}
	return member
}
