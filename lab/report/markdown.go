package report

import (
	"fmt"
	"io"
	"strings"

	"slimlab/lab"
)

var markdownEscape = strings.NewReplacer("|", `\|`, "*", `\*`, "_", `\_`, "<", "&lt;", "\n", " ")

// Markdown writes the run as a section with a table, for a pull request or a job's summary. The
// best of a column is bold.
func Markdown(w io.Writer, v *lab.View) error {
	t := newTable(v)
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n%s\n\n", markdownEscape.Replace(title(v)), markdownEscape.Replace(subtitle(v)))
	rule := "|"
	b.WriteString("|")
	for _, c := range t.columns {
		fmt.Fprintf(&b, " %s%s |", markdownEscape.Replace(c.title), marks(c.notes))
		if c.left {
			rule += " --- |"
		} else {
			rule += " ---: |"
		}
	}
	b.WriteString("\n" + rule + "\n")
	for row := range t.rows {
		b.WriteString("|")
		for _, c := range t.columns {
			one := c.cells[row]
			text := markdownEscape.Replace(one.value)
			if one.best {
				text = "**" + text + "**"
			}
			if one.width != "" {
				text += " " + one.width
			}
			fmt.Fprintf(&b, " %s%s |", text, marks(one.notes))
		}
		b.WriteString("\n")
	}
	markdownList(&b, "", t.notes, func(i int, note string) string { return marks([]int{i + 1}) + " " + note })
	markdownList(&b, "### Expectations", v.Verdicts, func(_ int, x lab.Verdict) string {
		held := "held"
		if !x.Held {
			held = "**not held**"
		}
		return fmt.Sprintf("%s: `%s` (%s)", held, strings.ReplaceAll(x.Text, "`", "'"), markdownEscape.Replace(x.Reason))
	})
	markdownList(&b, "### Troubles", troubles(v), func(_ int, line string) string { return markdownEscape.Replace(line) })
	_, err := io.WriteString(w, b.String())
	return err
}

func markdownList[T any](b *strings.Builder, head string, items []T, line func(i int, item T) string) {
	if len(items) == 0 {
		return
	}
	b.WriteString("\n")
	if head != "" {
		b.WriteString(head + "\n\n")
	}
	for i, item := range items {
		fmt.Fprintf(b, "- %s\n", line(i, item))
	}
}
