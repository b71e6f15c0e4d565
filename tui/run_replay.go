package tui

import tea "github.com/charmbracelet/bubbletea"

func (r *runScreen) replayKeys() []binding {
	replaying := func() bool { return r.session != nil && r.session.replay != nil }
	speed := func(times float64) func() tea.Cmd {
		return act(func() { p := r.session.replay; p.speed = min(max(p.speed*times, 1.0/64), 4096) })
	}
	return []binding{
		{keys: []string{"p"}, footer: "p pause", help: "pause, go on; at the end: from the start", when: replaying, do: act(r.pause)},
		{keys: []string{"}"}, footer: "{ } speed", help: "twice as fast", when: replaying, do: speed(2)},
		{keys: []string{"{"}, help: "half as fast", when: replaying, do: speed(0.5)},
		{keys: []string{"f"}, footer: "f b step", help: "pause and go forward to the next change of the table", when: replaying, do: act(func() { r.session.replay.forward(r.session.board) })},
		{keys: []string{"b"}, help: "pause and go back by one change of the table", when: replaying, do: act(func() { r.rewind(r.session.replay.back()) })},
		{keys: []string{"("}, help: "to the start", when: replaying, do: act(func() { r.rewind(0) })},
		{keys: []string{")"}, help: "to the end", when: replaying, do: act(func() { r.rewind(len(r.session.replay.events)) })},
	}
}

func (r *runScreen) pause() {
	s, p := r.session, r.session.replay
	if p.next == len(p.events) {
		s.board = p.rewind(0)
		p.playing = true
	} else {
		p.playing = !p.playing
	}
	p.last = r.now()
}

func (r *runScreen) rewind(n int) {
	r.session.board = r.session.replay.rewind(n)
	r.session.replay.playing = false
}
