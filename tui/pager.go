package tui

import (
	"fmt"

	tea "github.com/charmbracelet/bubbletea"

	"slimlab/internal/plural"
	"slimlab/lab"
	"slimlab/lab/report"
	"slimlab/tui/text"
)

// pager is a text that scrolls: help, errors, expectations.
type pager struct {
	*workbench
	title string
	body  func(width int) []string
	first int // line seen
	seen  int // lines of the last window
}

// compact says that a text scrolls in any window.
func (p *pager) compact() bool { return true }

func (p *pager) Title() string { return p.title }

func (p *pager) Keys() []keyGroup {
	scroll := movingKeys(func(rows, pages int) { p.first += rows + pages*p.seen })
	scroll[0].footer = "↑↓ scroll"
	return []keyGroup{{p.title, append(scroll,
		binding{keys: []string{"b"}, help: "a page up", do: act(func() { p.first -= p.seen })},
		binding{keys: []string{"f", " "}, help: "a page down", do: act(func() { p.first += p.seen })},
		binding{keys: []string{"esc", "enter", "q", "?", "!", "v"}, footer: "esc close", help: "close", do: act(func() { p.pop(p) })},
	)}}
}

func (p *pager) View(width, height int) []string {
	body := p.body(width - 4)
	p.seen = max(1, height-2)
	p.first = max(0, min(p.first, len(body)-p.seen))
	to := min(len(body), p.first+p.seen)
	title := p.title
	if len(body) > p.seen {
		title += fmt.Sprintf("  (%d–%d of %d)", p.first+1, to, len(body))
	}
	p.takesMouse(region{width: width, height: height, wheel: func(lines int) { p.first += lines }})
	lines := []string{" " + p.theme.head.On(title), ""}
	for _, line := range body[p.first:to] {
		lines = append(lines, "  "+line)
	}
	return lines
}

// showErrors lists what went wrong, in the workbench and in the run that is open.
func (w *workbench) showErrors() tea.Cmd {
	w.push(&pager{workbench: w, title: "Errors and warnings", body: func(width int) []string {
		p := &page{width: width, theme: &w.theme}
		for i := len(w.problems) - 1; i >= 0; i-- {
			p.list(func(int) string { return w.problems[i].at.Format("15:04:05") + " ✗ " }, []string{w.problems[i].text})
		}
		if w.session != nil {
			w.session.read(func(v *lab.View) { notes(p, v) })
		}
		if len(p.lines) == 0 {
			p.say("none")
		}
		return p.lines
	}})
	return nil
}

// errorCount counts the errors and warnings that showErrors lists.
func (w *workbench) errorCount() int {
	n := len(w.problems)
	if w.session != nil {
		w.session.read(func(v *lab.View) { n += v.Errors + v.Warnings })
	}
	return n
}

func notes(p *page, v *lab.View) {
	p.heading("run " + text.Clean(v.Begin.Run))
	n := len(p.lines)
	if v.Error != "" {
		p.list(func(int) string { return "✗ error    " }, []string{text.Clean(v.Error)})
	}
	for i := len(v.Notes) - 1; i >= 0; i-- {
		note := v.Notes[i]
		glyph := map[lab.Level]string{lab.Info: "· info     ", lab.Warning: "⚠ warning  ", lab.Error: "✗ error    "}[note.Level]
		line := text.Clean(note.Text)
		if note.Cell != "" {
			line = text.Clean(note.Cell) + ": " + line
		}
		if note.Count > 1 {
			line += fmt.Sprintf(" (%d times)", note.Count)
		}
		p.list(func(int) string { return fmt.Sprintf("%8s ", report.Duration(note.Time)) + glyph }, []string{line})
	}
	if v.Dropped > 0 {
		p.say(fmt.Sprintf("%s %s only in the log", plural.Of(v.Dropped, "more note"), plural.Verb(v.Dropped)))
	}
	if len(p.lines) == n {
		p.say("no notes")
	}
}

// showVerdicts lists the outcome of each expectation.
func (w *workbench) showVerdicts() tea.Cmd {
	w.push(&pager{workbench: w, title: "Expectations", body: func(width int) []string {
		p := &page{width: width, theme: &w.theme}
		w.session.read(func(v *lab.View) {
			for _, x := range v.Verdicts {
				glyph, paint := "✗", w.theme.failed
				switch {
				case x.Held:
					glyph, paint = "✓", w.theme.done
				case x.Unjudged:
					glyph, paint = "○", w.theme.warning
				}
				p.say(paint.On(glyph+" "+text.Fit(x.Word(), 10)) + "  " + text.Cut(text.Clean(x.Text), width-14))
				p.list(func(int) string { return text.Blank(14) }, []string{text.Clean(x.Grounds())})
			}
			if len(v.Verdicts) == 0 {
				p.say("Expectations are judged when the run ends.")
			}
		})
		return p.lines
	}})
	return nil
}
