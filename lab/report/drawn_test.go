package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"

	"slimlab/internal/golden"
	"slimlab/lab"
	"slimlab/lab/sweep"
)

// textsOf are the texts of an SVG, by a parser that refuses what is not well-formed; the first two
// are its title and its description.
func textsOf(t *testing.T, svg string) []string {
	t.Helper()
	var texts []string
	text, decoder := strings.Builder{}, xml.NewDecoder(strings.NewReader(svg))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return texts
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, svg)
		}
		switch token := token.(type) {
		case xml.StartElement:
			text.Reset()
		case xml.CharData:
			text.Write(token)
		case xml.EndElement:
			if slices.Contains([]string{"title", "desc", "text"}, token.Name.Local) {
				texts = append(texts, text.String())
			}
		}
	}
}

// TestDrawnCharts: lines, a front and bars as SVG, with hostile names; the axes have the units of
// the tables, the lines and rows their names, and the description the figures.
func TestDrawnCharts(t *testing.T) {
	table := sweptTable()
	for name, c := range map[string]struct {
		shown Shown
		texts []string
		said  []string
	}{
		"along":      {Shown{Along: "ratio", Metric: "auc"}, []string{"AUC", "ratio", "25%", "50%", "scheme w8|a8", `scheme w4a16\x1b[1m`}, []string{"A line chart.", "ratio 25%: 0.7990 (0.7890 to 0.8090)."}},
		"along-step": {Shown{Along: "ratio", Lines: "step", Metric: "ttft_cold_p50", Selection: sweep.Selection{Where: "scheme=w8|a8"}}, []string{"TTFT cold P50 (µs)", "step small", "3 rows left out: not scheme=w8|a8"}, nil},
		"front":      {Shown{Pareto: "bytes,auc"}, []string{"bytes (MB)", "AUC", "front", "overlaps", "FM", `small 50% w4a16\x1b[1m`, "overlaps: another row is better, but an interval of the two overlaps"}, []string{"FM: bytes 5.000MB, AUC 0.8400, front."}},
		"bars":       {Shown{Bars: "ttft_cold_p50,ttft_hot_p50"}, []string{"total (µs)", "TTFT cold P50", "TTFT hot P50", "small 50% w8|a8", "300µs", "without TTFT hot P50, which their totals leave out: small 50% w8|a8, "}, []string{"small 25% w8|a8: 300µs. TTFT cold P50 300µs."}},
	} {
		picture, err := c.shown.Of(table.View)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var first, second bytes.Buffer
		if err := errors.Join(picture("svg", &first, 0), picture("svg", &second, 80)); err != nil || first.String() != second.String() {
			t.Errorf("%s: %v, or two drawings differ", name, err)
		}
		golden.Equal(t, name+".svg", first.String())
		texts := textsOf(t, first.String())
		for _, want := range c.texts {
			if !slices.ContainsFunc(texts[2:], func(s string) bool { return s == want || strings.HasPrefix(s, want) && len(want) > 40 }) {
				t.Errorf("%s: no text %q among %q", name, want, texts)
			}
		}
		for _, want := range c.said {
			if !strings.Contains(texts[1], want) {
				t.Errorf("%s: no %q in the description %q", name, want, texts[1])
			}
		}
		var head bytes.Buffer
		if err := picture("table", &head, 0); err != nil || !strings.HasPrefix(head.String(), texts[0]) {
			t.Errorf("%s: the title is %q, and that of the table %q", name, texts[0], head.String())
		}
	}
	// a table of figures has no drawing
	for _, shown := range []Shown{{Pivot: "ratio,scheme", Metric: "auc"}, {Group: "ratio"}, {}} {
		picture, err := shown.Of(table.View)
		if err != nil {
			t.Fatal(err)
		}
		if err := picture("svg", io.Discard, 0); err == nil {
			t.Errorf("%v as svg is no error", shown.Options())
		}
	}
}

// TestDrawnIntervals: bounds are those of the rows, those with an end that is not finite are left
// out and said, and so are labels that have no room.
func TestDrawnIntervals(t *testing.T) {
	f := &sweep.Front{Points: []sweep.Point{
		{X: &lab.Summary{Value: 1}, Y: &lab.Summary{Value: 2, Low: 1.5, High: 2.5, Interval: true}, Best: true},
		{X: &lab.Summary{Value: 2}, Y: &lab.Summary{Value: 3, Low: math.Inf(-1), High: 4, Interval: true}, Best: true},
	}}
	table := sweptTable()
	c := frontChart(table, f)
	if b := c.Series[0].Points[0].YBounds; b == nil || b.Low != 1.5 || b.High != 2.5 {
		t.Errorf("bounds %v", b)
	}
	if c.Series[0].Points[1].YBounds != nil || !slices.Contains(c.Notes, "1 interval not drawn: an end is not finite") {
		t.Errorf("bounds %v, notes %q", c.Series[0].Points[1].YBounds, c.Notes)
	}
	for i := range mostLabels {
		f.Points = append(f.Points, sweep.Point{X: &lab.Summary{Value: float64(3 + i)}, Y: &lab.Summary{}})
	}
	c = frontChart(table, f)
	if c.Series[0].Points[0].Label == "" || c.Series[1].Points[0].Label != "" || !strings.Contains(strings.Join(c.Notes, "\n"), fmt.Sprintf("%d dominated rows without label", mostLabels)) {
		t.Errorf("labels %+v, notes %q", c.Series[1].Points[0], c.Notes)
	}
}
