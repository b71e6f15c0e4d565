package svgchart

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

	"pgregory.net/rapid"

	"slimlab/internal/golden"
)

// document is what a reader of XML finds in a drawing.
type document struct {
	title, desc string
	texts       []string
	paths       []string // their styles
	elements    map[string]int
}

// parse reads a drawing with a parser that refuses what is not well-formed.
func parse(data string) (*document, error) {
	d, decoder := &document{elements: map[string]int{}}, xml.NewDecoder(strings.NewReader(data))
	var open []string
	var text strings.Builder
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return d, nil
		}
		if err != nil {
			return nil, err
		}
		switch token := token.(type) {
		case xml.StartElement:
			open = append(open, token.Name.Local)
			d.elements[token.Name.Local]++
			if token.Name.Space != "http://www.w3.org/2000/svg" {
				return nil, fmt.Errorf("element %s of %q", token.Name.Local, token.Name.Space)
			}
			for _, a := range token.Attr {
				if token.Name.Local == "path" && a.Name.Local == "style" {
					d.paths = append(d.paths, a.Value)
				}
				if strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") {
					return nil, fmt.Errorf("%s of %s is %s", a.Name.Local, token.Name.Local, a.Value)
				}
			}
			text.Reset()
		case xml.CharData:
			text.Write(token)
		case xml.EndElement:
			switch token.Name.Local {
			case "title":
				d.title = text.String()
			case "desc":
				d.desc = text.String()
			case "text":
				d.texts = append(d.texts, text.String())
			}
			open = open[:len(open)-1]
		}
	}
}

// drawn is a chart's bytes and what they hold, which are the same a second time.
func drawn(t testing.TB, c interface{ Write(io.Writer) error }) (string, *document) {
	t.Helper()
	var first, second bytes.Buffer
	if err := errors.Join(c.Write(&first), c.Write(&second)); err != nil {
		t.Fatal(err)
	}
	if first.String() != second.String() {
		t.Fatal("two drawings of one chart differ")
	}
	d, err := parse(first.String())
	if err != nil {
		t.Fatalf("%v in\n%s", err, &first)
	}
	return first.String(), d
}

const hostile = "a<b & \"c\" 'd' </text><script>\x1b[1m\x00\ufffe\u202e\xff"

func hostileChart() *Chart {
	return &Chart{
		Title: "AUC of " + hostile, X: Axis{Title: hostile, Ticks: []Tick{{1, "25%"}, {2, hostile}}}, Y: Axis{Title: "AUC (%)"},
		Series: []Series{
			{Name: "fkl " + hostile, Line: true, Points: []Point{{X: 1, Y: 3, YBounds: &Bounds{2.5, 3.5}, Label: hostile}, {X: 2, Y: 4}}},
			{Name: "rkl", Line: true, Points: []Point{{X: 1, Y: 3.5, XBounds: &Bounds{0.5, 1.25}}, {X: 2, Y: 2}}},
			{Name: "alone", Points: []Point{{X: 1.5, Y: 3, Label: "here"}}},
		},
		Notes: []string{"a point is the mean of up to 2 rows"}, Description: "A chart.\nSecond line " + hostile,
	}
}

func hostileBars() *BarChart {
	return &BarChart{
		Title: "cold + hot", Axis: "total (ms)", Parts: []string{"cold", "hot <&>"}, Description: "Bars.",
		Bars: []Bar{{hostile, []float64{3, 4}, "7.0ms"}, {"b", []float64{0, 2}, "2.0ms"}, {strings.Repeat("long ", 80), []float64{5, 0}, "5.0ms"}},
	}
}

// TestDrawings: what is drawn, whatever the texts are.
func TestDrawings(t *testing.T) {
	text, d := drawn(t, hostileChart())
	golden.Equal(t, "lines.svg", text)
	const shown = `a<b & "c" 'd' </text><script>\x1b[1m\x00\ufffe\u202e\xff`
	if d.title != "AUC of "+shown || !strings.HasPrefix(d.desc, "A chart.\nSecond line "+shown) || !strings.Contains(d.desc, "a point is the mean") {
		t.Errorf("title %q, description %q", d.title, d.desc)
	}
	if d.elements["title"] != 1 || d.elements["desc"] != 1 || d.elements["script"] != 0 || !strings.Contains(text, `<svg role="img" `) {
		t.Errorf("elements %v", d.elements)
	}
	for _, want := range []string{"25%", shown, "AUC (%)", "fkl " + shown, "rkl", "alone", "here", "a point is the mean of up to 2 rows"} {
		if !slices.Contains(d.texts, want) {
			t.Errorf("no text %q among %q", want, d.texts)
		}
	}
	// the two lines differ in colour and in dashes
	dashed := 0
	for _, style := range d.paths {
		if strings.Contains(style, "stroke-dasharray:6,3") && strings.Contains(style, "#D55E00") {
			dashed++
		}
	}
	if dashed != 2 { // itself, and its sample in the legend
		t.Errorf("%d dashed lines among %q", dashed, d.paths)
	}

	text, d = drawn(t, hostileBars())
	golden.Equal(t, "bars.svg", text)
	for _, want := range []string{shown, "b", "7.0ms", "2.0ms", "5.0ms", "total (ms)", "cold", "hot <&>", cutNote} {
		if !slices.Contains(d.texts, want) {
			t.Errorf("no text %q among %q", want, d.texts)
		}
	}
	if !slices.ContainsFunc(d.texts, func(s string) bool { return strings.HasPrefix(s, "long long") && strings.HasSuffix(s, "…") }) {
		t.Errorf("a long label is not cut: %q", d.texts)
	}
}

// TestLooksDifferWithoutColour: as many looks as are promised differ in dashes or mark, and parts
// of bars in hatching.
func TestLooksDifferWithoutColour(t *testing.T) {
	seen := map[string]int{}
	for i := range distinct {
		key := fmt.Sprintf("%v %T", lookOf(i).line.Dashes, lookOf(i).mark.Shape)
		if at, is := seen[key]; is {
			t.Errorf("looks %d and %d are the same without colour", at, i)
		}
		seen[key] = i
	}
	kinds := map[any]bool{}
	for i := range MostParts {
		kinds[hatches[i]] = true
	}
	if len(kinds) != MostParts || len(hatches) != MostParts {
		t.Errorf("%d of %d parts differ", len(kinds), MostParts)
	}
	many := &Chart{}
	for i := range distinct + 1 {
		many.Series = append(many.Series, Series{Name: fmt.Sprint(i), Line: true, Points: []Point{{X: 0, Y: float64(i)}, {X: 1, Y: 0}}})
	}
	if _, d := drawn(t, many); !strings.Contains(strings.Join(d.texts, "\n"), "dashes and marks repeat after 40 lines") {
		t.Error("that looks repeat is not said")
	}
}

// TestRefused: what cannot be drawn is an error.
func TestRefused(t *testing.T) {
	points := func(ys ...float64) *Chart {
		c := &Chart{Series: []Series{{}}}
		for _, y := range ys {
			c.Series[0].Points = append(c.Series[0].Points, Point{X: 1, Y: y})
		}
		return c
	}
	for _, c := range []struct {
		chart interface{ Write(io.Writer) error }
		want  string
	}{
		{&Chart{}, "no point"},
		{points(math.NaN()), "found the value NaN"},
		{points(1, math.Inf(1)), "found the value +Inf"},
		{points(-math.MaxFloat64, math.MaxFloat64), "expected sizes from"},
		{points(math.SmallestNonzeroFloat64), "expected sizes from"},
		{&BarChart{}, "no bar"},
		{&BarChart{Bars: []Bar{{Values: []float64{-1}}}}, "none below 0"},
		{&BarChart{Bars: []Bar{{Values: []float64{math.NaN()}}}}, "found the value NaN"},
		{&BarChart{Bars: []Bar{{Values: []float64{math.MaxFloat64, math.MaxFloat64}}}}, "found the value +Inf"},
		{&BarChart{Parts: make([]string, MostParts+1), Bars: []Bar{{}}}, "expected at most 7"},
	} {
		if err := c.chart.Write(io.Discard); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, expected %q", c.chart, err, c.want)
		}
	}
}

// TestAnyChartIsXML: charts of any numbers and texts are well-formed or refused, and never panic.
func TestAnyChartIsXML(t *testing.T) {
	charts := 0
	rapid.Check(t, func(t *rapid.T) {
		number := []*rapid.Generator[float64]{
			rapid.Float64(), rapid.Float64Range(-10, 10), rapid.Float64Range(0, 1e-12), rapid.Float64Range(0.8, 0.800001), rapid.Float64Range(1e20, 1.001e20),
			rapid.SampledFrom([]float64{0, 0.8, 1e20, 1e20 + 1e5, 1e-30, -1e-30, 1e99, -1e99, 1e-99, 0.8000001}),
		}[rapid.IntRange(0, 5).Draw(t, "kind of numbers")]
		words := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 40), func(b []byte) string { return string(b) }))
		bounds := rapid.Custom(func(t *rapid.T) *Bounds {
			if rapid.Bool().Draw(t, "none") {
				return nil
			}
			return &Bounds{number.Draw(t, "low"), number.Draw(t, "high")}
		})
		point := rapid.Custom(func(t *rapid.T) Point {
			return Point{number.Draw(t, "x"), number.Draw(t, "y"), bounds.Draw(t, "in x"), bounds.Draw(t, "in y"), words.Draw(t, "label")}
		})
		c := &Chart{Title: words.Draw(t, "title"), X: Axis{Title: words.Draw(t, "across")}, Y: Axis{Title: words.Draw(t, "up")}, Description: words.Draw(t, "description"), Notes: []string{words.Draw(t, "note")}}
		for range rapid.IntRange(0, 4).Draw(t, "series") {
			c.Series = append(c.Series, Series{words.Draw(t, "name"), rapid.Bool().Draw(t, "line"), rapid.SliceOfN(point, 0, 6).Draw(t, "points")})
		}
		b := &BarChart{Title: c.Title, Axis: c.X.Title, Parts: []string{words.Draw(t, "part"), "b"}}
		for range rapid.IntRange(0, 4).Draw(t, "bars") {
			b.Bars = append(b.Bars, Bar{words.Draw(t, "bar"), []float64{number.Draw(t, "first"), number.Draw(t, "second")}, words.Draw(t, "total")})
		}
		for _, one := range []interface{ Write(io.Writer) error }{c, b} {
			var out bytes.Buffer
			if err := one.Write(&out); err != nil {
				if out.Len() > 0 {
					t.Fatalf("%v, and %d bytes", err, out.Len())
				}
				continue
			}
			if _, err := parse(out.String()); err != nil {
				t.Fatalf("%v in\n%s", err, &out)
			}
			charts++
		}
	})
	if charts < 50 {
		t.Errorf("only %d charts were drawn", charts)
	}
}
