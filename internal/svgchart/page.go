package svgchart

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"image/color"
	"io"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"slimlab/internal/visible"
)

const (
	pageWidth   = 720
	margin      = 14
	sampleWidth = 30
	legendStep  = 15 // from one line of the legend to the next
	noteStep    = 12
	titleStep   = 17

	// cutNote is said where a label was too long.
	cutNote = "labels that end in … are whole in the description of the file"
)

type textOf = text.Style

// page is a plot with its title above, its legend and notes below.
type page struct {
	title, description string
	legend             []entry
	notes              []string
	plotHeight         vg.Length
}

type entry struct {
	name   string
	sample func(draw.Canvas) // draws on what the rectangle of the canvas has room for
}

func textStyle(size vg.Length) textOf {
	return textOf{
		Color: ink, Font: font.From(font.Font{Typeface: "Liberation", Variant: "Sans"}, size),
		XAlign: draw.XLeft, YAlign: draw.YBottom, Handler: plot.DefaultTextHandler,
	}
}

// newPlot is a plot without data, in the fonts of the page.
func newPlot() *plot.Plot {
	p := plot.New()
	p.BackgroundColor = nil
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Color, axis.Tick.Color = ink, ink
		axis.Label.TextStyle.Font, axis.Tick.Label.Font = textStyle(11).Font, textStyle(9).Font
		axis.Label.TextStyle.Color, axis.Tick.Label.Color = ink, ink
		axis.Label.Padding = 5
		axis.Tick.Length = 5
	}
	return p
}

// write draws the page and writes it as SVG.
func (p *page) write(w io.Writer, plotted *plot.Plot) error {
	title, note := textStyle(13), textStyle(9)
	titles := lines(p.title, title, pageWidth-2*margin)
	var notes []string
	for _, n := range p.notes {
		notes = append(notes, lines(n, note, pageWidth-2*margin)...)
	}
	legend, rows := p.arrange()
	height := 2*margin + titleStep*vg.Length(len(titles)) + p.plotHeight + legendStep*vg.Length(rows) + noteStep*vg.Length(len(notes)) + 16
	canvas := vgsvg.New(pageWidth, height)
	c := draw.New(canvas)
	c.SetColor(color.White)
	c.Fill(c.Path())
	y := height - margin
	for _, line := range titles {
		y -= titleStep
		c.FillText(title, vg.Point{X: margin, Y: y + 4}, line)
	}
	plotted.Draw(draw.Canvas{Canvas: c.Canvas, Rectangle: vg.Rectangle{Min: vg.Point{X: margin, Y: y - p.plotHeight}, Max: vg.Point{X: pageWidth - margin, Y: y - 4}}})
	y -= p.plotHeight + 10
	for _, one := range legend {
		for i, line := range one.lines {
			c.FillText(note, vg.Point{X: one.x + sampleWidth + 5, Y: y - legendStep*vg.Length(one.row+i+1) + 4}, line)
		}
		low := y - legendStep*vg.Length(one.row+1) + 2
		one.sample(draw.Canvas{Canvas: c.Canvas, Rectangle: vg.Rectangle{Min: vg.Point{X: one.x, Y: low}, Max: vg.Point{X: one.x + sampleWidth, Y: low + 10}}})
	}
	y -= legendStep*vg.Length(rows) + 4
	for _, line := range notes {
		y -= noteStep
		c.FillText(note, vg.Point{X: margin, Y: y + 3}, line)
	}
	var drawn bytes.Buffer
	if _, err := canvas.WriteTo(&drawn); err != nil {
		return err
	}
	return p.finish(w, drawn.String())
}

// placed is an entry of the legend with its place.
type placed struct {
	entry
	lines []string
	x     vg.Length
	row   int
}

// arrange puts the entries of the legend beside each other, as many as a row has room for.
func (p *page) arrange() (list []placed, rows int) {
	const room = pageWidth - 2*margin
	style := textStyle(9)
	x, row, tall := vg.Length(margin), 0, 0
	for _, e := range p.legend {
		names := lines(e.name, style, room-sampleWidth-5)
		width := vg.Length(0)
		for _, line := range names {
			width = max(width, style.Width(line))
		}
		width += sampleWidth + 5
		if x > margin && x+width > margin+room {
			x, row, tall = margin, row+tall, 0
		}
		list = append(list, placed{e, names, x, row})
		tall = max(tall, len(names))
		x += width + 18
	}
	return list, row + tall
}

// finish writes what the canvas has drawn with a title and a description, which readers of screens
// read, and with fonts of the same widths for where there is no Liberation.
func (p *page) finish(w io.Writer, drawn string) error {
	head, rest, ok := strings.Cut(drawn, ">\n<path")
	if !ok || !strings.Contains(head, "<svg ") {
		return fmt.Errorf("found a drawing that begins with %.100q, expected one with its ground", drawn)
	}
	// The first <path is the ground; what stands before it is the element svg and a group, which
	// have no text of the chart.
	before, group, _ := strings.Cut(head, "<g")
	var b strings.Builder
	b.WriteString(strings.Replace(before, "<svg ", `<svg role="img" `, 1))
	for _, one := range []struct{ name, text string }{{"title", p.title}, {"desc", strings.Join(append([]string{p.description}, p.notes...), "\n")}} {
		b.WriteString("<" + one.name + ">")
		if err := xml.EscapeText(&b, []byte(cleanText(one.text))); err != nil {
			return err
		}
		b.WriteString("</" + one.name + ">\n")
	}
	// A text has no quotation mark that is not escaped, so that only styles are found.
	rest = strings.ReplaceAll(rest, `style="font-family:Liberation Sans;`, `style="font-family:'Liberation Sans',Arial,Helvetica,sans-serif;`)
	b.WriteString("<g" + group + ">\n<path" + rest)
	_, err := io.WriteString(w, b.String())
	return err
}

// clean is a text on one line, of characters that XML can have.
func clean(s string) string { return noCharacters.Replace(visible.Line(s)) }

// cleanText is the same of several lines.
func cleanText(s string) string { return noCharacters.Replace(visible.Text(s)) }

// noCharacters are what is no character of XML 1.0 (section 2.2) and is shown by package visible.
var noCharacters = strings.NewReplacer("\ufffe", `\ufffe`, "\uffff", `\uffff`)

// shortened cuts a text that is wider than there is room for.
func shortened(s string, style textOf, room vg.Length) (text string, cut bool) {
	s = clean(s)
	if style.Width(s) <= room {
		return s, false
	}
	runes := []rune(s)
	for len(runes) > 0 && style.Width(string(runes)+"…") > room {
		runes = runes[:len(runes)-1]
	}
	return string(runes) + "…", true
}

func wrapped(s string, style textOf, room vg.Length) string {
	return strings.Join(lines(s, style, room), "\n")
}

// lines breaks a text into lines, between words or, in words that are wider than a line, within.
func lines(s string, style textOf, room vg.Length) []string {
	var all []string
	line := ""
	for _, word := range strings.Fields(clean(s)) {
		if line != "" && style.Width(line+" "+word) <= room {
			line += " " + word
			continue
		}
		if line != "" {
			all = append(all, line)
		}
		line = ""
		for _, r := range word {
			if line != "" && style.Width(line+string(r)) > room {
				all, line = append(all, line), ""
			}
			line += string(r)
		}
	}
	return append(all, line)
}
