package tui

import (
	"fmt"
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"slimlab/lab"
	"slimlab/lab/report"
	"slimlab/tui/text"
)

// ModelQuery asks what is known of a row's model beyond what its run has reported.
type ModelQuery struct {
	Begin  lab.Begin
	Step   string
	Params []lab.Param // the sweep's point
	Key    string      // of the first seed's artifact; empty: none was reported
}

// ModelInfo is how a row's model is made and where it lies on this machine.
type ModelInfo struct {
	Does     string    // what the step does, in a line
	Settings []Setting // of the step, as the scenario resolves them
	// Stages names the steps that trained the row's model, in order: those that its weights went
	// through
	Stages  []string
	Unread  error    // why there are no settings
	Model   string   // what names the model to the verbs of the command line
	Bytes   int64    // on disk; 0: not known
	Shape   []string // what the model is, a line each
	Engines []string // which engines would load it, a line each
	Absent  error    // why there is no Model, or nothing is known of it
}

// Setting is a key of a step with its value.
type Setting struct {
	Key, Value string
	Default    bool // nobody chose the value
}

// shownModel is what was read of the row that is shown in detail.
type shownModel struct {
	of   string // the row; empty: none
	step string // its name
	have bool
	ModelInfo
}

// modelMsg is a ModelInfo that was read.
type modelMsg struct {
	of   string
	info ModelInfo
}

// readModel reads what is known of the model of the row that is shown in detail, where that is not
// known yet.
func (r *runScreen) readModel() tea.Cmd {
	if !r.detail || r.session == nil {
		return nil
	}
	q, found := ModelQuery{}, false
	r.session.read(func(v *lab.View) {
		if r.row < len(v.Rows) {
			row := &v.Rows[r.row]
			q, found = ModelQuery{Begin: v.Begin, Step: row.Name, Params: row.Params}, true
			for _, key := range row.Keys {
				if q.Key == "" {
					q.Key = key
				}
			}
		}
	})
	of := strings.Join([]string{r.session.id, fmt.Sprint(q.Params), q.Step, q.Key}, "\x00")
	if !found || of == r.model.of {
		return nil
	}
	r.model, r.scroll = shownModel{of: of, step: q.Step}, 0
	return func() tea.Msg { return modelMsg{of, r.bench.Model(r.ctx, q)} }
}

// takeModel takes what was read, if it is still asked for.
func (r *runScreen) takeModel(msg modelMsg) {
	if msg.of == r.model.of {
		r.model = shownModel{msg.of, r.model.step, true, msg.info}
	}
}

// modelPage says how the row's model is made, where it lies, what would load it, how one goes on
// with it, and what to doubt.
func (r *runScreen) modelPage(v *lab.View, row *lab.TableRow, width int) []string {
	p := &page{width: width, theme: &r.theme}
	m := &r.model
	p.heading("step")
	p.list(noBullet, []string{text.Clean(m.Does)})
	switch {
	case !m.have:
		p.say("reading …")
	case m.Unread != nil:
		p.list(noBullet, []string{"✗ " + text.Clean(m.Unread.Error())})
	}
	r.settings(p, false)
	r.settings(p, true)
	if !m.have {
		r.doubts(p, v, row)
		return p.lines
	}
	p.heading("model")
	if m.Absent != nil {
		p.list(noBullet, []string{text.Clean(m.Absent.Error())})
	}
	if m.Model != "" {
		p.say(text.Wrap(text.Clean(m.Model), width)...)
	}
	if m.Bytes > 0 {
		p.say(report.Format(lab.Bytes, float64(m.Bytes)) + " on disk")
	}
	p.list(noBullet, cleanAll(m.Shape))
	r.doubts(p, v, row)
	if len(m.Engines) > 0 {
		p.heading("engines")
		p.list(noBullet, cleanAll(m.Engines))
	}
	if m.Model != "" {
		p.heading("go on outside (Y copies)")
		for _, c := range Commands(m.Model, row.Name) {
			p.say(text.Wrap(text.Clean(c), width)...)
		}
	}
	return p.lines
}

// settings lists those that somebody chose, or the others.
func (r *runScreen) settings(p *page, defaults bool) {
	var parts []string
	for _, s := range r.model.Settings {
		if s.Default == defaults {
			parts = append(parts, text.Clean(s.Key+"="+s.Value))
		}
	}
	if len(parts) == 0 {
		return
	}
	line, paint := strings.Join(parts, "  "), text.Paint{}
	if defaults {
		line, paint = "by default: "+line, r.theme.dim
	}
	for _, part := range text.Wrap(line, p.width) {
		p.say(paint.On(part))
	}
}

// doubts lists the warnings of the row's values, how its timings were taken, and the notes of its
// cells.
func (r *runScreen) doubts(p *page, v *lab.View, row *lab.TableRow) {
	var lines []string
	of := map[string][]string{} // what a warning is about
	for _, metric := range measured(row) {
		for _, w := range row.Values[metric.Key].Warnings {
			if of[w] == nil {
				lines = append(lines, w)
			}
			of[w] = append(of[w], metric.Label)
		}
	}
	for i, w := range lines {
		lines[i] = text.Clean(w + " (" + strings.Join(of[w], ", ") + ")")
	}
	for _, t := range row.Timings {
		for _, finding := range t.Findings {
			lines = append(lines, text.Clean(fmt.Sprintf("timing of seed %d: %s", t.Seed, finding)))
		}
	}
	for _, n := range v.Notes {
		step, _, _ := strings.Cut(n.Text, ":")
		others := step != row.Name && slices.Contains(v.Begin.Rows, step)
		if slices.Contains(row.Cells, n.Cell) && !others {
			lines = append(lines, text.Clean(n.Cell+": "+n.Text))
		}
	}
	if len(lines) == 0 {
		return
	}
	p.heading("notes and doubts")
	p.list(func(int) string { return r.theme.warning.On("⚠") + " " }, lines)
}

func noBullet(int) string { return "" }

// Commands go on with the model of a row on the command line; each runs as it stands.
func Commands(model, row string) []string {
	model = shellWord(model)
	folder := shellWord("./" + strings.ReplaceAll(row, "/", "-"))
	return []string{"slimlab inspect " + model, "slimlab eval " + model + " --generate 'Once upon a time'", "slimlab export " + model + " " + folder}
}

// shellWord quotes a word for a shell where it needs that.
func shellWord(s string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:,%+=@"
	if s != "" && strings.Trim(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// copyCommand offers the commands that go on with the model, and its name, for the clipboard.
func (r *runScreen) copyCommand() {
	p := &picker{workbench: r.workbench, title: "Copy"}
	for _, c := range append(Commands(r.model.Model, r.model.step), r.model.Model) {
		p.entries = append(p.entries, entry{text.Clean(c), "", func() tea.Cmd { return r.copy(c) }})
	}
	r.push(p)
}
