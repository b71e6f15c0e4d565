package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/charmbracelet/x/ansi"

	"slimlab/internal/texttable"
	"slimlab/internal/visible"
	"slimlab/lab"
	"slimlab/lab/sweep"
)

// Text writes the run for a terminal of a width; 0 is without limit. What does not fit is left out
// in this order: intervals, then columns from the right, which a line under the table names.
func Text(w io.Writer, v *lab.View, width int) error { return TextOf(w, sweep.Of(v), width) }

// TextOf writes a table of a run as Text does.
func TextOf(w io.Writer, of *sweep.Table, width int) error { return TextAgainst(w, of, nil, width) }

// TextAgainst writes a table of a run as TextOf does, with what differs from a baseline beside each
// metric; nil is none.
func TextAgainst(w io.Writer, of *sweep.Table, against *Against, width int) error {
	t, v := newTable(of, against), of.View
	var b strings.Builder
	b.WriteString(head(v, width))
	t.fit(&b, width)
	for _, line := range append(against.lines(), hidden(of)...) {
		b.WriteString(wrapWords(visible.Line(line), width) + "\n")
	}
	if lines := chosenLines(v); len(lines) > 0 {
		b.WriteString("\nchosen by searches\n")
		for _, line := range lines {
			b.WriteString("  " + visible.Line(line) + "\n")
		}
	}
	writeCurves(&b, v)
	if lines := matrixLines(v); len(lines) > 0 {
		fmt.Fprintf(&b, "\nmatrices (slimlab show %s --matrix)\n  %s\n", visible.Line(v.Begin.Run), strings.Join(lines, "\n  "))
	}
	if len(v.Verdicts) > 0 {
		b.WriteString("\nexpectations\n")
	}
	widest := len("NOT HELD")
	if slices.ContainsFunc(v.Verdicts, func(x lab.Verdict) bool { return x.Unjudged }) {
		widest = len("NOT JUDGED")
	}
	for _, x := range v.Verdicts {
		word := x.Word()
		if !x.Held {
			word = strings.ToUpper(word)
		}
		fmt.Fprintf(&b, "  %-*s  %s   %s\n", widest, word, visible.Line(x.Text), visible.Line(x.Grounds()))
	}
	if lines := troubles(v); len(lines) > 0 {
		b.WriteString("\n" + strings.Join(lines, "\n") + "\n")
	}
	_, err := io.WriteString(w, visible.Text(b.String()))
	return err
}

// head is a run's title and subtitle in whole words, with the blank line under them.
func head(v *lab.View, width int) string {
	return wrapWords(title(v), width) + "\n" + wrapWords(subtitle(v), width) + "\n\n"
}

// wrapWords breaks a line between words, so that it fits where its words do; 0 is without limit.
func wrapWords(line string, width int) string {
	if width == 0 || ansi.StringWidth(line) <= width {
		return line
	}
	var b strings.Builder
	at := 0
	for i, word := range strings.Fields(line) {
		w := ansi.StringWidth(word)
		switch {
		case i == 0:
		case at+1+w > width:
			b.WriteByte('\n')
			at = 0
		default:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at += w
	}
	return b.String()
}

// fit writes the table with its legend as far as it fits into a width, and says what it left out.
func (t *table) fit(b *strings.Builder, width int) {
	intervals := true
	if width > 0 && t.text(intervals).Width() > width {
		intervals = false
	}
	cut := width > 0 && t.text(intervals).Width() > width && t.cutWords()
	var dropped []string
	for width > 0 && t.text(intervals).Width() > width {
		last := len(t.columns) - 1
		if last < 1 || t.columns[last].fixed {
			break
		}
		dropped = append([]string{cmp.Or(t.columns[last].name, t.columns[last].title)}, dropped...)
		t.columns = t.columns[:last]
	}
	b.WriteString(t.text(intervals).Text())
	t.legend(b)
	if len(dropped) > 0 {
		fmt.Fprintf(b, "not shown in %d columns of text: %s\n", width, strings.Join(dropped, ", "))
	}
	if cut {
		fmt.Fprintf(b, "names and values of more than %d characters are cut in %d columns of text\n", wordWidth, width)
	}
	if !intervals && t.hasIntervals() {
		fmt.Fprintf(b, "%s are not shown in %d columns of text\n", cmp.Or(t.beside, "intervals"), width)
	}
}

// wordWidth is how wide a column of words may be in a table that does not fit.
const wordWidth = 24

// cutWords cuts what is longer, and reports whether something was.
func (t *table) cutWords() (cut bool) {
	shorten := func(text string) string {
		if ansi.StringWidth(text) <= wordWidth {
			return text
		}
		cut = true
		return ansi.Truncate(text, wordWidth, "…")
	}
	for i := range t.columns {
		c := &t.columns[i]
		if !c.fixed {
			continue
		}
		c.title = shorten(c.title)
		for n := range c.cells {
			c.cells[n].value = shorten(c.cells[n].value)
		}
	}
	return cut
}

// legend explains the marks that the table has.
func (t *table) legend(b *strings.Builder) {
	best, used := false, map[int]bool{}
	for _, c := range t.columns {
		for _, n := range c.notes {
			used[n] = true
		}
		for _, one := range c.cells {
			best = best || one.best
			for _, n := range one.notes {
				used[n] = true
			}
		}
	}
	if best {
		b.WriteString("* best of its column\n")
	}
	for i, note := range t.notes {
		if used[i+1] {
			fmt.Fprintf(b, "%s %s\n", marks([]int{i + 1}), visible.Line(note))
		}
	}
}

func (t *table) hasIntervals() bool {
	for _, c := range t.columns {
		for _, one := range c.cells {
			if one.interval != "" {
				return true
			}
		}
	}
	return false
}

// layout returns the column's head and cells as text.
func (c *column) layout(intervals bool) (head string, cells []string) {
	values, stars, widths, tails := 0, 0, 0, 0
	for _, one := range c.cells {
		values = max(values, ansi.StringWidth(one.value))
		tails = max(tails, ansi.StringWidth(marks(one.notes)))
		if one.best {
			stars = 1
		}
		if intervals {
			widths = max(widths, ansi.StringWidth(one.interval))
		}
	}
	for _, one := range c.cells {
		if c.left {
			cells = append(cells, one.value)
			continue
		}
		star := ""
		if one.best {
			star = "*"
		}
		text := texttable.PadLeft(one.value, values) + texttable.PadRight(star, stars)
		if widths > 0 {
			text += " " + texttable.PadRight(one.interval, widths)
		}
		cells = append(cells, text+texttable.PadRight(marks(one.notes), tails))
	}
	return c.title + marks(c.notes), cells
}

// text returns the table as text, with or without intervals.
func (t *table) text(intervals bool) *texttable.Table {
	out := &texttable.Table{Rows: make([][]string, t.rows)}
	for i := range t.columns {
		head, cells := t.columns[i].layout(intervals)
		out.Columns = append(out.Columns, texttable.Column{Head: visible.Line(head), Right: !t.columns[i].left})
		for row, text := range cells {
			out.Rows[row] = append(out.Rows[row], text)
		}
	}
	return out
}
