package tui

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/aymanbagabas/go-osc52/v2"
	tea "github.com/charmbracelet/bubbletea"

	"slimlab/internal/plural"
	"slimlab/lab/report"
	"slimlab/tui/text"
)

// exportAs says what each format of lab/report is, and the file ending that differs from its name.
var exportAs = map[string]struct{ about, extension string }{
	"table": {"plain text, as the command line prints it", "txt"},
	"md":    {"a markdown table", "md"},
	"csv":   {"a line a row, base units", "csv"},
	"json":  {"everything, one object", "json"},
	"junit": {"expectations as test cases, for CI", "xml"},
}

// export asks for format and file, then writes the run's report; of a screen that shows less, or in
// another order, it asks which: the marked rows come first, then what is shown.
func (w *workbench) export(run string, shown report.Shown, of exported) tea.Cmd {
	p := &picker{workbench: w, title: "Export " + text.Clean(run) + " as"}
	add := func(what string, s report.Shown, has ...string) {
		for _, format := range s.Formats() {
			about := joined(append(has, of.repeated(format))...)
			p.entries = append(p.entries, entry{format + what, about, func() tea.Cmd { return w.exportTo(run, format, s, about) }})
		}
	}
	whole := ""
	if of.marked != "" || !shown.Plain() {
		whole = " of the whole run"
	}
	if of.marked != "" {
		add(" of marked rows", of.rows, of.marked, of.hidden)
	}
	if !shown.Plain() {
		add(" as shown", shown, aboutShown(shown))
	}
	for _, format := range report.Formats() {
		p.entries = append(p.entries, entry{format + whole, exportAs[format].about, func() tea.Cmd { return w.exportTo(run, format, report.Shown{}, "the whole run") }})
	}
	w.push(p)
	return nil
}

// exported is what an export says beside what is shown.
type exported struct {
	marked string       // "4 marked rows"; empty: none is
	rows   report.Shown // of the marked rows
	hidden string       // which marked rows are not among them; empty: none
	folded int          // rows that stand once for several
}

// repeated says whether an export in a format has the rows that are folded on the screen.
func (e *exported) repeated(format string) string {
	switch rows := plural.Of(e.folded, "repeated row"); {
	case e.folded == 0:
		return ""
	case format == "csv" || format == "json":
		return rows + " too"
	default:
		return rows + " folded"
	}
}

// joined are the parts that are not empty, with dots between.
func joined(parts ...string) string {
	return strings.Join(slices.DeleteFunc(slices.Clone(parts), func(s string) bool { return s == "" }), " · ")
}

// aboutShown says what of a run is exported, in the words of the command line.
func aboutShown(s report.Shown) string {
	var parts []string
	for i, word := range s.Options() {
		name, option := strings.CutPrefix(word, "--")
		switch {
		case i == 0 || option:
			parts = append(parts, name)
		default:
			parts[len(parts)-1] += " " + word
		}
	}
	return text.Clean(strings.Join(parts, " · "))
}

// exportTo asks for the file; said is what it will have.
func (w *workbench) exportTo(run, format string, shown report.Shown, said string) tea.Cmd {
	return w.writeTo(format, filepath.Base(run)+"."+exportAs[format].extension, said, func(path string) error {
		return w.bench.Export(w.ctx, run, format, path, shown)
	})
}

// writeTo asks for a file and writes it; said is what it has.
func (w *workbench) writeTo(format, name, said string, write func(path string) error) tea.Cmd {
	w.push(&prompt{workbench: w, title: "Export as " + format + " to the file", about: "An existing file is replaced.", line: newInput(name), do: func(path string) tea.Cmd {
		if strings.TrimSpace(path) == "" {
			w.say("nothing was exported: no file was named")
			return nil
		}
		return func() tea.Msg {
			if err := write(path); err != nil {
				return saidMsg{err: fmt.Errorf("export: %w", err)}
			}
			if said != "" {
				return saidMsg{text: "written to " + path + ": " + said}
			}
			return saidMsg{text: "written to " + path}
		}
	}})
	return nil
}

// clipboard returns a command that hands text to the terminal's clipboard, which works over ssh.
func clipboard(w io.Writer, tmux bool) func(string) tea.Cmd {
	return func(s string) tea.Cmd {
		sequence := osc52.New(s)
		if tmux {
			sequence = sequence.Tmux()
		}
		return func() tea.Msg {
			if _, err := sequence.WriteTo(w); err != nil {
				return saidMsg{err: fmt.Errorf("copy: %w", err)}
			}
			return saidMsg{text: "copied (where the terminal allows OSC 52)"}
		}
	}
}

// exportKey exports what the Run screen shows, or its run.
func (r *runScreen) exportKey() binding {
	return binding{keys: []string{"e", "E"}, footer: "e export", help: "export the run, or what is shown of it, to a file", when: r.exportable, why: r.noLog, do: func() tea.Cmd {
		shown := r.shown()
		return r.export(r.session.id, shown, r.exported(shown))
	}}
}

// exported says what the screen shows beside its options: the marked rows, of a table and of
// curves, and how many rows are folded.
func (r *runScreen) exported(shown report.Shown) (of exported) {
	if r.view != viewTable && r.view != viewCurves || r.grouping() {
		return of
	}
	r.look(func(t *table) {
		var marked []int
		for _, i := range r.seen {
			if r.marks[t.sweep.Rows[i].Index] {
				marked = append(marked, i)
			}
			if r.view == viewTable {
				of.folded += len(t.sweep.Rows[i].Same) - 1
			}
		}
		if len(marked) == 0 {
			return
		}
		line, ok := t.sweep.LineOf(marked)
		if !ok {
			r.say("marked rows are not exported alone: no filter tells their values from others'")
			return
		}
		of.marked, of.rows = plural.Of(len(marked), "marked row"), shown
		of.rows.Where = line
		if n := len(r.marks) - len(marked); n > 0 {
			of.hidden = plural.Of(n, "further marked row") + " not shown"
		}
		if of.folded > 0 {
			of.folded = 0
			for _, i := range marked {
				of.folded += len(t.sweep.Rows[i].Same) - 1
			}
		}
	})
	return of
}
