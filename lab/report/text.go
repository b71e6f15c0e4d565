package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/charmbracelet/x/ansi"

	"slimlab/lab"
)

// Text writes the run for a terminal of a width; 0 is without limit. What does not fit goes in this
// order: intervals, then columns from the right, whose names stand under the table.
func Text(w io.Writer, v *lab.View, width int) error {
	t := newTable(v)
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n\n", title(v), subtitle(v))
	intervals := true
	if width > 0 && t.width(intervals) > width {
		intervals = false
	}
	var dropped []string
	for width > 0 && t.width(intervals) > width {
		last := len(t.columns) - 1
		if last < 1 || t.columns[last].bound {
			break
		}
		dropped = append([]string{t.columns[last].title}, dropped...)
		t.columns = t.columns[:last]
	}
	t.write(&b, intervals)
	t.legend(&b)
	if len(dropped) > 0 {
		fmt.Fprintf(&b, "not shown in %d columns of text: %s\n", width, strings.Join(dropped, ", "))
	}
	if !intervals && t.hasIntervals() {
		fmt.Fprintf(&b, "intervals are not shown in %d columns of text\n", width)
	}
	if len(v.Verdicts) > 0 {
		b.WriteString("\nexpectations\n")
	}
	for _, x := range v.Verdicts {
		held := "held    "
		if !x.Held {
			held = "NOT HELD"
		}
		fmt.Fprintf(&b, "  %s  %s   %s\n", held, x.Text, x.Reason)
	}
	if lines := troubles(v); len(lines) > 0 {
		b.WriteString("\n" + strings.Join(lines, "\n") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
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
			fmt.Fprintf(b, "%s %s\n", marks([]int{i + 1}), note)
		}
	}
}

func (t *table) hasIntervals() bool {
	for _, c := range t.columns {
		for _, one := range c.cells {
			if one.width != "" {
				return true
			}
		}
	}
	return false
}

const gap = "  "

// layout is the text of a column's head and cells, and how wide they are.
func (c *column) layout(intervals bool) (head string, cells []string, width int) {
	values, stars, widths, tails := 0, 0, 0, 0
	for _, one := range c.cells {
		values = max(values, ansi.StringWidth(one.value))
		tails = max(tails, ansi.StringWidth(marks(one.notes)))
		if one.best {
			stars = 1
		}
		if intervals {
			widths = max(widths, ansi.StringWidth(one.width))
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
		text := pad(one.value, values, true) + pad(star, stars, false)
		if widths > 0 {
			text += " " + pad(one.width, widths, false)
		}
		cells = append(cells, text+pad(marks(one.notes), tails, false))
	}
	head = c.title + marks(c.notes)
	width = ansi.StringWidth(head)
	for _, text := range cells {
		width = max(width, ansi.StringWidth(text))
	}
	return head, cells, width
}

func (t *table) width(intervals bool) int {
	total := -len(gap)
	for i := range t.columns {
		_, _, width := t.columns[i].layout(intervals)
		total += width + len(gap)
	}
	return total
}

func (t *table) write(b *strings.Builder, intervals bool) {
	lines := make([]strings.Builder, t.rows+1)
	for i := range t.columns {
		c := &t.columns[i]
		head, cells, width := c.layout(intervals)
		for row, text := range append([]string{head}, cells...) {
			if i > 0 {
				lines[row].WriteString(gap)
			}
			lines[row].WriteString(pad(text, width, !c.left))
		}
	}
	for i := range lines {
		b.WriteString(strings.TrimRight(lines[i].String(), " ") + "\n")
	}
}

// pad fills text up to a width; right puts it at the right edge.
func pad(text string, width int, right bool) string {
	space := strings.Repeat(" ", max(0, width-ansi.StringWidth(text)))
	if right {
		return space + text
	}
	return text + space
}
