package report

import (
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/charmbracelet/x/ansi"

	"slimlab/internal/jsondoc"
	"slimlab/internal/nearest"
	"slimlab/internal/texttable"
	"slimlab/internal/visible"
	"slimlab/lab"
	"slimlab/lab/sweep"
)

const barsSchema = "slimlab.bars/1"

// barSigns stand for the metrics of bars in a terminal, each for one: ASCII, told apart without
// colour.
const barSigns = "#=o+*x%"

const (
	usualWidth = 80 // of a terminal, where its width is not known
	// columns that a bar has at least beside its label; else it stands in a line of its own
	leastBar = 10
)

// WriteBars writes bars in one of DrawnFormats: as a text, bars of characters within a width (0:
// of 80 columns); as md a table of the figures, a row for each bar; as csv a line for each.
func WriteBars(format string, w io.Writer, t *sweep.Table, b *Bars, width int) error {
	err := nearest.Check("format of bars", format, DrawnFormats())
	switch {
	case err != nil:
		return err
	case format == "csv":
		err = barsCSV(w, t, b)
	case format == "json":
		err = jsondoc.Write(w, barsSchema, newJSONBars(t, b))
	case format == "svg":
		err = barChart(t, b).Write(w)
	case format == "md":
		err = writeChartText(w, format, b.title(), func(escape func(string) string) *texttable.Table { return barsTable(t, b, escape) }, b.notes(t))
	default:
		err = barsText(w, t, b, width)
	}
	if err != nil {
		return fmt.Errorf("bars as %s: %w", format, err)
	}
	return nil
}

// barsText draws the bars with characters: label, bar, total.
func barsText(w io.Writer, t *sweep.Table, b *Bars, width int) error {
	if width <= 0 {
		width = usualWidth
	}
	scale := b.Scale()
	labels, totals := make([]string, len(b.Bars)), make([]string, len(b.Bars))
	labelled, totalled, largest := 0, 0, 0.0
	for i := range b.Bars {
		one := &b.Bars[i]
		labels[i], totals[i] = visible.Line(t.Label(&t.Rows[one.Row])), scale.Format(one.Total)
		labelled, totalled, largest = max(labelled, ansi.StringWidth(labels[i])), max(totalled, ansi.StringWidth(totals[i])), max(largest, one.Total)
	}
	labelled = max(1, min(labelled, width/2))
	room := width - labelled - 2 - 1 - totalled // of the longest bar
	apart := room < leastBar                    // each bar is below its label
	if apart {
		room, labelled = max(1, width-1-totalled), width
	}
	var out strings.Builder
	out.WriteString(wrapWords(visible.Line(b.title()), width) + "\n\n")
	lost := false
	for i := range b.Bars {
		bar, small := barOf(&b.Bars[i], largest, room)
		lost = lost || small
		label, between := ansi.Truncate(labels[i], labelled, "…"), "\n"
		if !apart {
			label, between = texttable.PadRight(label, labelled), "  "
		}
		out.WriteString(label + between + strings.TrimLeft(bar+" "+totals[i], " ") + "\n")
	}
	out.WriteString("\n")
	for j, m := range b.Metrics {
		out.WriteString(ansi.Truncate(barSigns[j:j+1]+"  "+m.Label, width, "…") + "\n")
	}
	notes := b.notes(t)
	if lost {
		notes = append([]string{fmt.Sprintf("a character is %s; a part that is less may not show", scale.Format(largest/float64(room)))}, notes...)
	}
	for _, note := range notes {
		out.WriteString("\n" + wrapWords(visible.Line(note), width) + "\n")
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// barOf is a bar of characters of which the largest total has room. Its parts end where their sums
// do, rounded to a character; small reports that one of them has no character.
func barOf(bar *Bar, largest float64, room int) (text string, small bool) {
	var b strings.Builder
	sum, drawn := 0.0, 0
	for j, s := range bar.Values {
		if s == nil || s.Value == 0 {
			continue
		}
		sum += s.Value
		end := min(room, int(math.Round(sum/largest*float64(room))))
		small = small || end == drawn
		b.WriteString(strings.Repeat(barSigns[j:j+1], end-drawn))
		drawn = end
	}
	return b.String(), small
}

func barsTable(t *sweep.Table, b *Bars, clean func(string) string) *texttable.Table {
	scale := b.Scale()
	out := &texttable.Table{}
	for _, head := range append([]string{"step"}, axisKeys(t)...) {
		out.Columns = append(out.Columns, texttable.Column{Head: clean(head)})
	}
	for _, m := range b.Metrics {
		out.Columns = append(out.Columns, texttable.Column{Head: clean(m.Label), Right: true})
	}
	out.Columns = append(out.Columns, texttable.Column{Head: "total", Right: true})
	for i := range b.Bars {
		var cells []string
		for _, label := range pointLabels(t, &t.Rows[b.Bars[i].Row]) {
			cells = append(cells, clean(label))
		}
		for _, s := range b.Bars[i].Values {
			if s == nil {
				cells = append(cells, Missing)
			} else {
				cells = append(cells, scale.Summary(*s))
			}
		}
		out.Rows = append(out.Rows, append(cells, scale.Format(b.Bars[i].Total)))
	}
	return out
}

func barsCSV(w io.Writer, t *sweep.Table, b *Bars) error {
	out := csv.NewWriter(w)
	head := append([]string{"row"}, axisKeys(t)...)
	for _, m := range b.Metrics {
		head = append(head, m.Key, m.Key+"_low", m.Key+"_high")
	}
	out.Write(append(head, "total"))
	for i := range b.Bars {
		line := pointLabels(t, &t.Rows[b.Bars[i].Row])
		for _, s := range b.Bars[i].Values {
			if s == nil {
				line = append(line, "", "", "")
			} else {
				line = append(line, csvCells(*s, true)...)
			}
		}
		out.Write(append(line, plain(b.Bars[i].Total)))
	}
	out.Flush()
	return out.Error()
}

type jsonBars struct {
	Run     string          `json:"run"`
	Unit    string          `json:"unit"`
	Metrics []jsonBarMetric `json:"metrics"` // from the beginning of a bar
	Bars    []jsonBar       `json:"bars"`
	Lack    []string        `json:"rows_without"` // each of the metrics
}

type jsonBarMetric struct {
	Metric string `json:"metric"`
	Better string `json:"better"`
}

type jsonBar struct {
	Row    string               `json:"row"`
	Params map[string]string    `json:"params"` // only the axes that the row depends on
	Values map[string]jsonValue `json:"values"` // by metric, those that the row has
	Total  lab.Number           `json:"total"`  // of these
}

func newJSONBars(t *sweep.Table, b *Bars) jsonBars {
	out := jsonBars{Run: t.View.Begin.Run, Unit: b.Metrics[0].Unit.String(), Lack: b.lacking(t)}
	for _, m := range b.Metrics {
		out.Metrics = append(out.Metrics, jsonBarMetric{m.Key, m.Better.String()})
	}
	for i := range b.Bars {
		r := &t.Rows[b.Bars[i].Row]
		one := jsonBar{Row: r.Name, Params: paramsOf(t, r), Values: map[string]jsonValue{}, Total: lab.Number(b.Bars[i].Total)}
		for j, s := range b.Bars[i].Values {
			if s != nil {
				one.Values[b.Metrics[j].Key] = newJSONValue(s.Value, s.Low, s.High, s.Interval)
			}
		}
		out.Bars = append(out.Bars, one)
	}
	return out
}
