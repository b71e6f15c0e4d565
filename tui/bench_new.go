package tui

import (
	"fmt"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"slimlab/internal/commalist"
	"slimlab/internal/plural"
	"slimlab/tui/text"
)

// Compression is a scenario to be written: a sweep of ratios and number formats over a model.
type Compression struct {
	Model   string   // a MODEL
	Data    string   // records or a text; empty: a sample that slimlab has
	Ratios  []string // of MLP neurons to remove
	Schemes []string
	File    string // empty: named by the model
}

// Candidates are what lies in the working directory and below, for a choice.
type Candidates struct {
	Models, Data    []Candidate
	Ratios, Schemes []string // what a compression has where nothing else is chosen
}

// Candidate is one model or file of data.
type Candidate struct{ Path, About string }

type (
	candidatesMsg struct {
		found Candidates
		err   error
	}
	writtenMsg struct {
		form  *compressForm
		id    string
		notes []string
		err   error
	}
)

// newScenario begins the three steps from a model to a scenario that compresses it: the model, the
// data, and the points.
func (b *benchScreen) newScenario() tea.Cmd {
	b.say("looking for models …")
	return func() tea.Msg {
		found, err := b.bench.Candidates(b.ctx)
		return candidatesMsg{found, err}
	}
}

// chooseModel is the first step.
func (b *benchScreen) chooseModel(found Candidates) {
	b.message = ""
	p := &picker{workbench: b.workbench, title: "Compress a model, 1 of 3: which? A path can be typed"}
	step := func(model string) func() tea.Cmd { return act(func() { b.chooseData(found, model) }) }
	for _, c := range found.Models {
		p.entries = append(p.entries, entry{text.Clean(c.Path), text.Clean(c.About), step(c.Path)})
	}
	p.typed = func(line string) entry {
		return entry{text.Clean(line), "the path as typed: a Hugging Face folder, a GGUF file, run:ID/ROW", step(line)}
	}
	b.push(p)
}

// chooseData is the second step.
func (b *benchScreen) chooseData(found Candidates, model string) {
	p := &picker{workbench: b.workbench, title: "Compress a model, 2 of 3: measured on what? A path can be typed"}
	step := func(data string) func() tea.Cmd {
		return act(func() {
			b.push(newCompressForm(b.workbench, Compression{Model: model, Data: data, Ratios: found.Ratios, Schemes: found.Schemes}))
		})
	}
	for _, c := range found.Data {
		p.entries = append(p.entries, entry{text.Clean(c.Path), text.Clean(c.About), step(c.Path)})
	}
	p.entries = append(p.entries, entry{"a sample of English", "for a first look: slimlab has it", step("")})
	p.typed = func(line string) entry {
		return entry{text.Clean(line), "the path as typed: records (JSON lines) or a plain text", step(line)}
	}
	b.push(p)
}

// compressForm is the third step: the points of the sweep.
type compressForm struct {
	*workbench
	c       Compression
	lines   [3]input // ratios, schemes, file
	at      int
	err     error
	writing bool
}

func newCompressForm(w *workbench, c Compression) *compressForm {
	return &compressForm{workbench: w, c: c, lines: [3]input{newInput(strings.Join(c.Ratios, " ")), newInput(strings.Join(c.Schemes, " ")), newInput("")}}
}

func (f *compressForm) Title() string { return "Compress a model" }

func (f *compressForm) Keys() []keyGroup {
	by := func(n int) func() tea.Cmd { return act(func() { f.at = (f.at + n + len(f.lines)) % len(f.lines) }) }
	return []keyGroup{{f.Title(), []binding{
		{keys: []string{"enter"}, footer: "enter write", help: "write the scenario, and open the sheet of its run", do: f.write},
		{keys: []string{"esc"}, footer: "esc leave", help: "leave; nothing is written", do: act(func() { f.pop(f) })},
		{keys: []string{"up", "shift+tab"}, shown: "↑", footer: "↑↓ field", help: "the field above", do: by(-1)},
		{keys: []string{"down", "tab"}, shown: "↓", help: "the field below", do: by(1)},
		{keys: []string{"letters"}, help: "edit the line", typed: func(k tea.KeyMsg) bool { return f.lines[f.at].key(k) }},
	}}}
}

func (f *compressForm) write() tea.Cmd {
	if f.writing {
		return nil
	}
	c := f.c
	for i, words := range []*[]string{&c.Ratios, &c.Schemes} {
		var err error
		if *words, err = commalist.Parts(f.lines[i].String()); err != nil {
			f.at, f.err = i, fmt.Errorf("%s %w", compressFields[i], err)
			return nil
		}
	}
	c.File = strings.TrimSpace(f.lines[2].String())
	f.writing, f.err = true, nil
	return func() tea.Msg {
		id, notes, err := f.bench.Compress(f.ctx, c)
		return writtenMsg{f, id, notes, err}
	}
}

// words are the values of a field, between spaces and commas.
func (f *compressForm) words(i int) []string {
	parts, _ := commalist.Parts(f.lines[i].String()) // what is wrong is said when it is written
	return parts
}

// compressFields name the lines of a compressForm.
var compressFields = [...]string{"ratios", "schemes", "file"}

func (f *compressForm) View(width, _ int) []string {
	p := &page{width: width - 2, theme: &f.theme}
	data := f.c.Data
	if data == "" {
		data = "a sample of English that slimlab has"
	}
	p.say("  model    "+text.Clean(f.c.Model), "  data     "+text.Clean(data), "")
	for i, name := range compressFields {
		cursor, value := "  ", text.Cut(f.lines[i].String(), width-14)
		if i == f.at {
			cursor, value = "▌ ", f.lines[i].view(width-14)
		}
		about := []string{"", "", "empty: named by the model"}[i]
		if f.lines[i].String() != "" {
			about = ""
		}
		p.say(cursor + text.Fit(name, 9) + value + f.theme.dim.On("  "+about))
	}
	p.say("")
	switch {
	case f.err != nil:
		for i, line := range text.Wrap(text.Clean(f.err.Error()), p.width-2) {
			p.say(f.theme.failed.On([]string{"✗ ", "  "}[min(i, 1)] + line))
		}
	case f.writing:
		p.say("writing and checking …")
	default:
		p.say(text.Wrap(fmt.Sprintf("%s × %s. A ratio is the share of MLP neurons that is removed; 0 and none change nothing. The scenario is a file with comments, which you can edit (E).", plural.Of(len(f.words(0)), "ratio"), plural.Of(len(f.words(1)), "scheme")), p.width)...)
	}
	lines := []string{" " + f.theme.head.On("Compress a model, 3 of 3: which points?"), ""}
	for _, line := range p.lines {
		lines = append(lines, " "+text.Cut(line, width-2))
	}
	return lines
}

// written takes over a scenario that was written: it is selected, and the sheet of its run opens.
func (b *benchScreen) written(msg writtenMsg) tea.Cmd {
	msg.form.writing = false
	if msg.err != nil {
		msg.form.err = msg.err
		return nil
	}
	b.overlays = nil
	b.cursor = "s:" + msg.id
	cmds := []tea.Cmd{b.loadLibrary(), b.openSheet(Request{Scenario: msg.id, Quick: true})}
	b.say("%s is written. %s", text.Clean(msg.id), text.Clean(strings.Join(msg.notes, "; ")))
	return tea.Batch(cmds...)
}
