package tui

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/aymanbagabas/go-osc52/v2"
	tea "github.com/charmbracelet/bubbletea"

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

// export asks for format and file, then writes the run's report; of a table that shows less, or in
// another order, it asks which.
func (w *workbench) export(run string, shown report.Shown) tea.Cmd {
	p := &picker{workbench: w, title: "Export " + text.Clean(run) + " as"}
	for _, format := range report.Formats() {
		p.entries = append(p.entries, entry{format, exportAs[format].about, func() tea.Cmd { return w.exportTo(run, format, report.Shown{}) }})
	}
	if shown.Plain() {
		w.push(p)
		return nil
	}
	var asShown []entry
	for _, format := range shown.Formats() {
		asShown = append(asShown, entry{format + " as shown", aboutShown(shown), func() tea.Cmd { return w.exportTo(run, format, shown) }})
	}
	// what is looked at comes first
	if shown.Group != "" || shown.Pareto != "" || shown.Pivot != "" || shown.Along != "" || shown.Curves != "" {
		p.entries = append(asShown, p.entries...)
	} else {
		p.entries = append(p.entries, asShown...)
	}
	w.push(p)
	return nil
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

func (w *workbench) exportTo(run, format string, shown report.Shown) tea.Cmd {
	return w.writeTo(format, filepath.Base(run)+"."+exportAs[format].extension, func(path string) error {
		return w.bench.Export(w.ctx, run, format, path, shown)
	})
}

// writeTo asks for a file and writes it.
func (w *workbench) writeTo(format, name string, write func(path string) error) tea.Cmd {
	w.push(&prompt{workbench: w, title: "Export as " + format + " to the file", about: "An existing file is replaced.", line: newInput(name), do: func(path string) tea.Cmd {
		if strings.TrimSpace(path) == "" {
			w.say("nothing was exported: no file was named")
			return nil
		}
		return func() tea.Msg {
			if err := write(path); err != nil {
				return saidMsg{err: fmt.Errorf("export: %w", err)}
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
	return binding{keys: []string{"e", "E"}, footer: "e export", help: "export the run, or what is shown of it, to a file", when: r.exportable, why: r.noLog, do: func() tea.Cmd { return r.export(r.session.id, r.shown()) }}
}
