package report

import (
	"cmp"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
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

// GroupColumn is what a metric comes to over the groups, ready to be written.
type GroupColumn struct {
	Metric    lab.Metric // headed by the aggregate: "AUC mean"
	Aggregate sweep.Aggregate
	Scale     Scale
	metric    int
	best      float64
}

// GroupColumns returns the columns of the metrics.
func GroupColumns(g *sweep.Groups) []GroupColumn {
	columns := make([]GroupColumn, len(g.Metrics))
	for i, m := range g.Metrics {
		var values []float64
		for n := range g.Groups {
			if total := &g.Groups[n].Totals[i]; total.Has() && !math.IsNaN(total.Value) {
				values = append(values, total.Value)
			}
		}
		a := g.Choice.Of(m.Key)
		m = Aggregated(m, a)
		columns[i] = GroupColumn{m, a, ScaleOf(m.Unit, values...), i, bestOf(m.Better, values)}
	}
	return columns
}

// Cell returns the column's cell of a group, beside a mean or median its spread; a warning says how
// many rows have no value.
func (c *GroupColumn) Cell(one *sweep.Group) TableCell {
	total := &one.Totals[c.metric]
	cell := TableCell{Value: Missing}
	if !math.IsNaN(total.Value) {
		cell.Value, cell.Best = c.Scale.Format(total.Value), total.Value == c.best
	}
	if c.Aggregate.Averages() && total.Spreads() {
		cell.Interval = c.Scale.Range(total.Low, total.High)
	}
	switch {
	case !total.Has():
	case math.IsNaN(total.Value):
		cell.Warnings = []string{"neither more nor less is better: no row is the best"}
	case total.N < len(one.Rows) && c.Aggregate != sweep.Count:
		cell.Warnings = []string{fmt.Sprintf("%d of %d rows measured", total.N, len(one.Rows))}
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
	t := &table{rows: len(g.Groups), beside: "spreads (low–high)"}
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
	n := "n rows, of each its value over all seeds"
	if slices.ContainsFunc(g.Metrics, func(m lab.Metric) bool { return g.Choice.Of(m.Key).Averages() }) {
		n += "; " + sweep.SpreadMeaning
	}
	return append(lines, n)
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

// groupsCSV writes one line a group: what it is grouped by, n, of each metric its aggregate, the
// lowest and the highest value and the number of rows that have one, the best row and its value.
func groupsCSV(w io.Writer, g *sweep.Groups) error {
	out := csv.NewWriter(w)
	var head []string
	for i := range g.By {
		head = append(head, g.By[i].Key)
	}
	head = append(head, "n")
	for _, m := range g.Metrics {
		if a := g.Choice.Of(m.Key); a != sweep.Min && a != sweep.Max && a != sweep.Count {
			head = append(head, m.Key+"_"+a.String())
		}
		head = append(head, m.Key+"_min", m.Key+"_max", m.Key+"_n")
	}
	if g.BestBy != nil {
		head = append(head, "best_row", "best_"+g.BestBy.Key)
	}
	out.Write(head)
	for i := range g.Groups {
		one := &g.Groups[i]
		line := append(append([]string{}, one.Values...), strconv.Itoa(len(one.Rows)))
		for n, m := range g.Metrics {
			total := &one.Totals[n]
			if a := g.Choice.Of(m.Key); a != sweep.Min && a != sweep.Max && a != sweep.Count {
				line = append(line, number(total.Value))
			}
			line = append(line, number(total.Low), number(total.High), strconv.Itoa(total.N))
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

// groupsSchema names the shape of the document of groups.
const groupsSchema = "slimlab.groups/2"

type jsonGroups struct {
	Run      string      `json:"run"`
	Scenario string      `json:"scenario"`
	Where    string      `json:"where,omitempty"` // the filter that rows met
	By       []string    `json:"by"`
	BestBy   string      `json:"best_by,omitempty"` // the metric that decides which row is the best
	Spread   string      `json:"spread"`            // what min and max are
	Groups   []jsonGroup `json:"groups"`
}

type jsonGroup struct {
	// what the group has in common; null where its rows do not depend on the axis
	Values  map[string]json.RawMessage `json:"values"`
	N       int                        `json:"n"` // rows
	Metrics map[string]jsonGroupTotal  `json:"metrics"`
	Best    *jsonMember                `json:"best,omitempty"`
	Rows    []jsonMember               `json:"rows"`
}

type jsonGroupTotal struct {
	Aggregate string `json:"aggregate"` // what the value is: "mean"
	jsonTotal
}

// jsonMember is a row of a group, with the axes that its step depends on.
type jsonMember struct {
	Row    string                     `json:"row"`
	Params map[string]json.RawMessage `json:"params"`
	Value  *lab.Number                `json:"value,omitempty"` // of the metric that decides
}

func groupsJSON(w io.Writer, g *sweep.Groups) error {
	b := &g.Table.View.Begin
	out := jsonGroups{Run: b.Run, Scenario: b.Scenario, Where: g.Table.Where, By: []string{}, Spread: "min to max is the spread of the rows over their settings, not an error of measurement", Groups: []jsonGroup{}}
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
	out := jsonGroup{Values: map[string]json.RawMessage{}, N: len(one.Rows), Metrics: map[string]jsonGroupTotal{}}
	for i, value := range one.Values {
		out.Values[g.By[i].Key] = json.RawMessage("null")
		if value != "" {
			out.Values[g.By[i].Key] = typed(value)
		}
	}
	for i, m := range g.Metrics {
		if total := &one.Totals[i]; total.Has() {
			out.Metrics[m.Key] = jsonGroupTotal{g.Choice.Of(m.Key).String(), newJSONTotal(g.Table, total, m.Key)}
		}
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
