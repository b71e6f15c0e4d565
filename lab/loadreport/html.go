package loadreport

import (
	"fmt"
	"html"
	"io"
	"math"
	"strings"

	"slimlab/internal/texttable"
	"slimlab/internal/visible"
)

// HTML writes a summary as one page that needs nothing else: no script, no style and no picture
// from elsewhere.
func HTML(w io.Writer, s *Summary) error {
	var b strings.Builder
	title := s.Title
	if title == "" {
		title = "Load test"
	}
	fmt.Fprintf(&b, "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n<title>%s</title>\n<style>%s</style>\n<h1>%s</h1>\n", text(title), style, text(title))
	for _, l := range s.head() {
		if l != s.Title {
			fmt.Fprintf(&b, "<p>%s</p>\n", text(l))
		}
	}
	for _, warning := range s.Warnings {
		fmt.Fprintf(&b, "<p class=\"warning\"><b>%s</b>: %s</p>\n", text(warning.ID), text(warning.Text))
	}
	for _, n := range s.Notes {
		fmt.Fprintf(&b, "<p>%s</p>\n", text(n))
	}
	b.WriteString("<h2>Latencies</h2>\n")
	htmlTable(&b, s.latencyTable())
	htmlTable(&b, s.intervalTable())
	for _, l := range s.Latencies {
		if l.WithoutInterval != "" {
			fmt.Fprintf(&b, "<p>%s: %s</p>\n", text(l.Name), text(l.WithoutInterval))
		}
	}
	b.WriteString("<h2>Whole run</h2>\n")
	htmlTable(&b, s.figureTable())
	s.charts(&b)
	if len(s.Errors) > 0 {
		b.WriteString("<h2>Errors</h2>\n<ul>\n")
		for _, e := range s.Errors {
			fmt.Fprintf(&b, "<li>%d: %s</li>\n", e.Number, text(e.Text))
		}
		b.WriteString("</ul>\n")
	}
	b.WriteString("<h2>Definitions</h2>\n<dl>\n")
	for _, d := range s.definitions() {
		fmt.Fprintf(&b, "<dt>%s (%s)</dt><dd>%s</dd>\n", text(d.Name), text(d.ID), text(d.Sentence))
	}
	b.WriteString("</dl>\n</html>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

const style = "body{font:15px/1.5 system-ui,sans-serif;max-width:72em;margin:2em auto;padding:0 1em;color:#222;background:#fff}" +
	"table{border-collapse:collapse}td,th{padding:.15em .8em;text-align:right;border-bottom:1px solid #ddd}td.l,th.l{text-align:left}" +
	".warning{background:#fff3cd;padding:.4em .8em}svg{max-width:100%;height:auto}dt{font-weight:600}"

func text(s string) string { return html.EscapeString(visible.Line(s)) }

func htmlTable(b *strings.Builder, t *texttable.Table) {
	cell := func(tag string, column int, value string) {
		class := ""
		if !t.Columns[column].Right {
			class = " class=\"l\""
		}
		fmt.Fprintf(b, "<%s%s>%s</%s>", tag, class, text(value), tag)
	}
	b.WriteString("<table><tr>")
	for i, c := range t.Columns {
		cell("th", i, c.Head)
	}
	b.WriteString("</tr>\n")
	for _, row := range t.Rows {
		b.WriteString("<tr>")
		for i, value := range row {
			cell("td", i, value)
		}
		b.WriteString("</tr>\n")
	}
	b.WriteString("</table>\n")
}

// mostPoints bounds the points of a drawing.
const mostPoints = 2000

// charts draws latency over time, the distributions, and the requests in flight.
func (s *Summary) charts(b *strings.Builder) {
	var ttft, e2e series
	ttft.name, e2e.name = "TTFT", "E2E"
	for i := range s.Records {
		if r := &s.Records[i]; !r.Dropped && r.Err == nil {
			at := r.Scheduled.Seconds()
			ttft.points = append(ttft.points, point{at, 1000 * (r.First - r.Scheduled).Seconds()})
			e2e.points = append(e2e.points, point{at, 1000 * (r.End - r.Scheduled).Seconds()})
		}
	}
	draw := func(title, x, y string, dots bool, all ...series) {
		shown, of := 0, 0
		for i := range all {
			of += len(all[i].points)
			all[i].points = thin(all[i].points)
			shown += len(all[i].points)
		}
		if of == 0 {
			return
		}
		fmt.Fprintf(b, "<h2>%s</h2>\n", text(title))
		chart{title, x, y, dots, all}.write(b)
		if shown < of {
			fmt.Fprintf(b, "<p>%d of %d points are drawn.</p>\n", shown, of)
		}
	}
	draw("Latency over time", "scheduled, s", "ms", true, e2e, ttft)
	var distributions []series
	for _, id := range []string{TTFT, TPOT, ITL, E2E} {
		l := s.Latency(id)
		d := series{name: l.Name}
		for i, v := range l.values {
			d.points = append(d.points, point{1000 * v, float64(i+1) / float64(l.N)})
		}
		if l.N > 0 {
			distributions = append(distributions, d)
		}
	}
	for _, d := range distributions {
		draw("Distribution of "+d.name, "ms", "share at most", false, d)
	}
	flight := series{name: "requests"}
	before := 0.0
	for _, step := range s.InFlight {
		at, n := step.At.Seconds(), float64(step.N)
		flight.points = append(flight.points, point{at, before}, point{at, n})
		before = n
	}
	draw("Requests in flight", "s", "requests", false, flight)
}

// thin keeps the largest of each stretch of points, so that a peak stays.
func thin(points []point) []point {
	if len(points) <= mostPoints {
		return points
	}
	out := make([]point, 0, mostPoints)
	for i := range mostPoints {
		from, to := i*len(points)/mostPoints, (i+1)*len(points)/mostPoints
		most := point{y: math.Inf(-1)}
		for _, p := range points[from:to] {
			if p.y > most.y {
				most = p
			}
		}
		out = append(out, most)
	}
	return out
}
