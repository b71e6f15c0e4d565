package tui

import (
	"cmp"
	"fmt"
	"strings"

	"slimlab/lab"
	"slimlab/lab/report"
	"slimlab/tui/text"
)

// brief is one line that says what is on the screen: a name, its state, and how far it is.
type brief struct {
	name  string
	state string // with its glyph; empty: it has none
	far   string
	paint text.Paint // of the state
}

// briefed is a pane of which more is known than its title.
type briefed interface{ brief() brief }

// in is the line in a width: the state goes last, and the name is cut before it.
func (b brief) in(width int) string {
	tail := strings.TrimSpace(b.state + " " + b.far)
	if tail == "" {
		return text.Cut(b.name, width)
	}
	const least = 4 // of a name that is cut
	room := width - text.Width(tail) - 1
	if room < min(least, text.Width(b.name)) {
		return b.paint.On(text.Cut(tail, width))
	}
	return text.Cut(b.name, room) + " " + b.paint.On(tail)
}

// brief is that of the pane that takes the keys, else of the screen.
func (m *model) brief() brief {
	if m.quitting || m.starting {
		return brief{name: strings.TrimSpace(m.liveText())}
	}
	switch p := m.top().(type) {
	case *question:
		return brief{name: "y/n: " + p.text}
	case briefed:
		return p.brief()
	}
	return brief{name: m.top().Title()}
}

// brief is that of the run that is open.
func (r *runScreen) brief() (b brief) {
	if r.session == nil {
		return brief{name: "no run is open"}
	}
	r.session.read(func(v *lab.View) { b = r.briefOf(r.session, v) })
	return b
}

func (w *workbench) briefOf(s *session, v *lab.View) brief {
	state, _ := s.state(v)
	glyph, paint := w.theme.state(state)
	b := brief{name: text.Clean(v.Begin.Scenario), state: glyph + " " + state.String(), paint: paint}
	b.far, _, _ = strings.Cut(report.Progress(v), " ")
	return b
}

// brief is that of the run in progress here, else of the line under the cursor.
func (b *benchScreen) brief() (of brief) {
	if b.running() {
		b.live.board.Read(func(v *lab.View) { of = b.briefOf(b.live, v) })
		return of
	}
	it := b.selection()
	switch {
	case it.run != nil:
		glyph, word, paint := b.runState(it.run)
		far, _, _ := strings.Cut(it.run.Progress.Done, " ")
		return brief{text.Clean(cmp.Or(it.run.Scenario, it.run.ID)), glyph + " " + word, text.Clean(far), paint}
	case it.scenario != nil:
		note, paint := b.lastWord(it.scenario)
		return brief{name: text.Clean(it.scenario.Name), state: note, paint: paint}
	}
	return brief{name: "Bench: nothing matches the filter"}
}

// brief names the sides.
func (c *compareScreen) brief() brief {
	if c.result == nil {
		return brief{name: "nothing is compared yet"}
	}
	names := make([]string, len(c.sides))
	for i := range c.sides {
		names[i] = text.Clean(c.sides[i].name())
	}
	return brief{name: fmt.Sprintf("compared: %s", strings.Join(names, ", "))}
}
