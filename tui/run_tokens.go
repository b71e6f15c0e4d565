package tui

import (
	"fmt"
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"slimlab/lab"
	"slimlab/lab/tokenview"
	"slimlab/tui/text"
)

// tokensPane shows what the model of a row and its teacher say at each token of a few answers. It
// follows the row under the cursor of the Run screen: its tokens are read when the row has them.
type tokensPane struct {
	*workbench
	screen *runScreen
	seed   int // which of the row's seeds, from 0
	// of what is shown
	example, token int
	worstAt        int // one more than the token to which worst has gone last; 0: to none

	key  string // of the artifact that is read or asked for; empty: none
	have bool
	view *tokenview.View
	err  error
}

// tokensMsg is a view that was read.
type tokensMsg struct {
	key  string
	view *tokenview.View
	err  error
}

// tokensKey opens the tokens of the row under the cursor.
func (r *runScreen) tokensKey() binding {
	footer := ""
	if r.hasTokens() {
		footer = "t tokens"
	}
	return binding{
		keys: []string{"t"}, footer: footer, help: "tokens of a few answers: divergence, and the distributions of student and teacher side by side",
		when: r.hasRow, why: func() string { return "there is no row" },
		do: act(func() {
			r.tokens = &tokensPane{workbench: r.workbench, screen: r}
			r.push(r.tokens)
		}),
	}
}

// hasTokens reports whether a row of the run has tokens.
func (r *runScreen) hasTokens() (some bool) {
	has := func(key string) bool { return key != "" }
	r.session.read(func(v *lab.View) {
		for i := 0; i < len(v.Rows) && !some; i++ {
			some = slices.ContainsFunc(v.Rows[i].Tokens, has)
		}
	})
	return some
}

// row calls f with the row that is shown.
func (p *tokensPane) row(f func(v *lab.View, row *lab.TableRow)) {
	p.screen.session.read(func(v *lab.View) {
		if p.screen.row < len(v.Rows) {
			f(v, &v.Rows[p.screen.row])
		}
	})
}

// seeds are the seeds that have tokens, and their artifacts.
func (p *tokensPane) seeds() (seeds []int, keys []string) {
	p.row(func(_ *lab.View, row *lab.TableRow) {
		numbers := row.SeedNumbers()
		for i, key := range row.Tokens {
			if key != "" {
				seeds, keys = append(seeds, numbers[i]), append(keys, key)
			}
		}
	})
	return seeds, keys
}

// readTokens reads the tokens that are to be shown, where they are not known yet.
func (r *runScreen) readTokens() tea.Cmd {
	p := r.tokens
	if p == nil || r.session == nil || !slices.Contains(r.overlays, pane(p)) {
		return nil
	}
	_, keys := p.seeds()
	key := ""
	if len(keys) > 0 {
		p.seed = min(p.seed, len(keys)-1)
		key = keys[p.seed]
	}
	if key == p.key {
		return nil
	}
	p.key, p.have, p.view, p.err = key, false, nil, nil
	if key == "" {
		return nil
	}
	return func() tea.Msg {
		view, err := r.bench.Tokens(r.ctx, key)
		return tokensMsg{key, view, err}
	}
}

// takeTokens takes what was read, if it is still asked for.
func (r *runScreen) takeTokens(msg tokensMsg) {
	if p := r.tokens; p != nil && p.key == msg.key {
		p.have, p.view, p.err = true, msg.view, msg.err
		p.move(0, 0)
	}
}

func (p *tokensPane) Title() string { return "Tokens" }

func (p *tokensPane) Keys() []keyGroup {
	example := func(n int) func() tea.Cmd { return act(func() { p.move(n, 0) }) }
	token := func(n int) func() tea.Cmd { return act(func() { p.move(0, n) }) }
	row := func(n int) func() tea.Cmd {
		return act(func() { p.screen.nextRow(n) })
	}
	shown := func() bool { return p.current() != nil }
	return []keyGroup{{"Tokens of a row", []binding{
		{keys: []string{"esc", "enter", "t"}, footer: "esc back", help: "back to the row", do: act(func() {
			p.pop(p)
			p.screen.tokens = nil
		})},
		{keys: []string{"left", "h"}, shown: "← h", footer: "← → token", help: "the answer token before", when: shown, do: token(-1)},
		{keys: []string{"right", "l"}, shown: "→ l", help: "the next answer token", when: shown, do: token(1)},
		{keys: []string{"up", "k"}, shown: "↑ k", footer: "↑ ↓ example", help: "the example before", when: shown, do: example(-1)},
		{keys: []string{"down", "j"}, shown: "↓ j", help: "the next example", when: shown, do: example(1)},
		{keys: []string{"w"}, footer: "w worst", help: "the answer token of this example with the highest divergence; again: the next lower one", when: shown, do: act(p.worst)},
		{keys: []string{"home", "g"}, shown: "home g", help: "the first answer token", when: shown, do: token(-1 << 30)},
		{keys: []string{"end", "G"}, shown: "end G", help: "the last answer token", when: shown, do: token(1 << 30)},
		{keys: []string{"s"}, footer: "s seed", help: "the next seed of the row", when: func() bool { _, keys := p.seeds(); return len(keys) > 1 }, do: act(p.nextSeed)},
		{keys: []string{"n", ">"}, footer: "n next row", help: "next row", do: row(1)},
		{keys: []string{"N", "<"}, help: "previous row", do: row(-1)},
		{keys: []string{"Y"}, footer: "Y command", help: "copy the command that prints the same, as CSV (OSC 52)", when: shown, do: p.copyCommand},
	}}}
}

// current is the example that is shown; nil where there is none.
func (p *tokensPane) current() *tokenview.Example {
	if p.view == nil || p.example >= len(p.view.Examples) {
		return nil
	}
	return &p.view.Examples[p.example]
}

// move moves the cursors; another example begins at its first answer token.
func (p *tokensPane) move(examples, tokens int) {
	if p.view == nil {
		return
	}
	was := p.example
	p.example = max(0, min(p.example+examples, len(p.view.Examples)-1))
	if p.example != was {
		p.token, p.worstAt = 0, 0
	}
	if e := p.current(); e != nil {
		p.token = max(0, min(p.token+tokens, len(e.Answers())-1))
	}
}

// worst goes from answer token to answer token in the order of their divergences, the highest
// first.
func (p *tokensPane) worst() {
	answers := p.current().Answers()
	order := make([]int, len(answers))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch x, y := answers[a].At.KL, answers[b].At.KL; {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return 0
	})
	if len(order) == 0 {
		return
	}
	next := 0
	if p.worstAt > 0 && p.worstAt-1 == p.token { // it was pressed before
		next = (slices.Index(order, p.token) + 1) % len(order)
	}
	p.token = order[next]
	p.worstAt = p.token + 1
}

func (p *tokensPane) nextSeed() {
	_, keys := p.seeds()
	p.seed = (p.seed + 1) % max(1, len(keys))
}

// copyCommand copies the command that prints the row's tokens.
func (p *tokensPane) copyCommand() tea.Cmd {
	label := ""
	p.screen.look(func(t *table) {
		for i := range t.sweep.Rows {
			if t.sweep.Rows[i].Index == p.screen.row || slices.Contains(t.sweep.Rows[i].Same, p.screen.row) {
				label = t.sweep.FullLabel(&t.sweep.Rows[i])
			}
		}
	})
	command := fmt.Sprintf("slimlab show %s --tokens %s --format csv", shellWord(p.session.id), shellWord(label))
	p.say("copied: %s", text.Clean(command))
	return p.copy(command)
}

// none says why there is nothing to show yet.
func (p *tokensPane) none() []string {
	switch {
	case p.key != "" && !p.have:
		return []string{"reading …"}
	case p.err != nil:
		return []string{"✗ " + text.Clean(p.err.Error())}
	case p.key != "":
		return []string{"The validation set has no example."}
	}
	why := ""
	p.row(func(v *lab.View, row *lab.TableRow) { why = v.NoTokens(row) })
	return []string{"No tokens are kept of this row: " + why + "."}
}

// heading names the row, its seed, and the two models.
func (p *tokensPane) heading(width int) string {
	label, seed := "", ""
	p.row(func(_ *lab.View, row *lab.TableRow) { label = text.Clean(row.Label()) })
	if seeds, _ := p.seeds(); len(seeds) > 1 && p.seed < len(seeds) {
		seed = fmt.Sprintf("  seed %d, %d of %d", seeds[p.seed], p.seed+1, len(seeds))
	}
	head := " " + p.theme.head.On(text.Cut(label, max(10, width/2)))
	if p.view != nil {
		head += p.theme.dim.On("  " + text.Clean(p.view.Sides()) + strings.Replace(seed, "  ", "   ", 1))
	}
	return text.Fit(head, width)
}

func (p *tokensPane) View(width, height int) []string {
	lines := []string{p.heading(width)}
	e := p.current()
	if e == nil || len(e.Answers()) == 0 {
		for _, line := range p.none() {
			for _, part := range text.Wrap(line, width-4) {
				lines = append(lines, "  "+part)
			}
		}
		return lines
	}
	return append(lines, p.parts(e, width, height-1)...)
}

// stripFrom is the height from which divergences by position have lines of their own.
const stripFrom = 18

// parts shares the height among the list of examples, the text, the divergences by position, the
// distributions and the samples.
func (p *tokensPane) parts(e *tokenview.Example, width, height int) []string {
	samples := p.sampleLines(e, width, max(1, (height-18)/4))
	rest := height - 2 - len(samples) // the lines above the text and above the distributions
	if height >= stripFrom {
		rest -= stripLeast
	}
	bars := min(p.candidates(e), max(3, rest/2-1))
	list := min(len(p.view.Examples), max(1, (rest-bars)/3))
	room := max(1, rest-bars-list-1)
	stream := p.flow(e, width-4)
	lines := p.exampleLines(width, list)
	lines = append(lines, p.textLines(stream, width, min(room, len(stream.lines)))...)
	if height >= stripFrom {
		left := height - len(lines) - len(samples) - 1 - bars - 1 // and a blank line
		lines = append(lines, p.stripLines(e, 1+len(lines), width, min(stripMost, max(stripLeast, left)))...)
	}
	lines = append(lines, p.distributionLines(e, width, bars)...)
	if used := len(lines) + len(samples); used < height && len(samples) > 0 && height >= 30 {
		lines = append(lines, "")
	}
	lines = append(lines, samples...)
	p.takesMouse(region{y: 1, width: width, height: height, wheel: func(n int) { p.move(0, max(-1, min(n, 1))) }})
	return lines[:min(len(lines), height)]
}

// exampleLines list the examples around the one that is shown.
func (p *tokensPane) exampleLines(width, height int) []string {
	from, to := window(p.example, height, len(p.view.Examples))
	var lines []string
	for i := from; i < to; i++ {
		e := &p.view.Examples[i]
		head := fmt.Sprintf("%d of %d  mean KL %s  ", i+1, len(p.view.Examples), tokenview.Nats(e.MeanKL()))
		before, _ := e.Before()
		line := text.Clean(strings.TrimSpace(before))
		answer := " → " + text.Cut(text.Clean(strings.TrimSpace(e.Answer())), max(8, width/4))
		if room := width - 2 - text.Width(head) - text.Width(answer); text.Width(line) > room {
			line = cutLeft(line, room)
		}
		if i == p.example {
			lines = append(lines, p.theme.selected.On(text.Fit("▌"+head+line+answer, width)))
			continue
		}
		lines = append(lines, text.Fit(" "+head+p.theme.dim.On(line)+answer, width))
	}
	p.takesMouse(region{y: 1, width: width, height: len(lines), click: func(_, y int) tea.Cmd {
		p.move(from+y-p.example, 0)
		return nil
	}})
	return lines
}

// cutLeft keeps the end of a text, behind an ellipsis.
func cutLeft(s string, width int) string {
	r := []rune(s)
	for len(r) > 0 && text.Width(string(r)) > width-1 {
		r = r[max(1, (text.Width(string(r))-width+1)/2):]
	}
	if width < 1 {
		return ""
	}
	return text.Ellipsis + string(r)
}

// sampleLines are what student and teacher wrote by themselves, each on at most so many lines.
func (p *tokensPane) sampleLines(e *tokenview.Example, width, most int) []string {
	if e.Teacher == nil || e.Student == nil {
		return nil
	}
	var lines []string
	for _, one := range []struct {
		name string
		of   *tokenview.Sample
	}{{"teacher wrote", e.Teacher}, {"student wrote", e.Student}} {
		parts := text.Wrap(text.Clean(one.of.Line()), width-18)
		for i, part := range parts[:min(most, len(parts))] {
			head := ""
			if i == 0 {
				head = one.name
			}
			if i == most-1 && len(parts) > most {
				end := text.Ellipsis
				if !one.of.Ended {
					end += " (no end)"
				}
				part, _, _ = strings.Cut(part, text.Ellipsis+" (no end")
				part = strings.TrimRight(text.Cut(part, width-18-text.Width(end)), " "+text.Ellipsis) + " " + end
			}
			lines = append(lines, " "+p.theme.dim.On(text.Fit(head, 15))+" "+part)
		}
	}
	return lines
}
