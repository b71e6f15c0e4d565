package tui

import (
	"context"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"slimlab/lab/endpoint"
	"slimlab/tui/grid"
)

// serveScreen is the Serve screen: what a serving engine is doing. It asks the engine again and
// again while it is seen, and only then.
type serveScreen struct {
	*workbench
	engine   Engine // nil: none is watched
	state    endpoint.State
	known    bool  // the engine has said what it is doing
	silent   error // why it did not, the last time
	refused  error // why there is none, where one was asked for
	asked    bool  // an answer is awaited, or the time to ask
	meter    meter
	sent     []*sent // the oldest first
	requests grid.Grid
	tree     grid.Grid
	inTree   bool // the keys move in the tree

	later func(e Engine, after time.Duration) tea.Cmd // which tests leave out
}

func newServeScreen(w *workbench) *serveScreen {
	return &serveScreen{workbench: w, later: engineLater}
}

// compact says that the screen shows one of its tables in any window.
func (s *serveScreen) compact() bool { return true }

func (s *serveScreen) Title() string { return "Serve" }

func (s *serveScreen) Update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case servableMsg:
		s.pickEngine(msg)
	case attachedMsg:
		return s.attached(msg)
	case engineMsg:
		return s.take(msg)
	case lookAtEngineMsg:
		if msg.engine == s.engine {
			s.asked = false
			return s.look()
		}
	case sentMsg:
		msg.sent.end(msg.err)
	case moveMsg:
		g := s.focused()
		g.Move(msg.rows)
		g.Page(msg.pages)
	case enteredMsg:
		return s.look()
	}
	return nil
}

// attached watches another engine from now on.
func (s *serveScreen) attached(msg attachedMsg) tea.Cmd {
	if msg.err != nil {
		what := "attach to " + msg.target
		if strings.Contains(msg.err.Error(), msg.target) {
			what = ""
		}
		s.fail(what, msg.err)
		s.refused = msg.err
		return nil
	}
	before := s.engine
	for _, one := range s.sent {
		one.cancel()
	}
	*s = serveScreen{workbench: s.workbench, engine: msg.engine, later: s.later}
	s.overlays = nil
	s.show(s)
	return tea.Batch(closing(before), s.look())
}

// closing leaves an engine, which may take a moment.
func closing(e Engine) tea.Cmd {
	if e == nil {
		return nil
	}
	return func() tea.Msg {
		e.Close()
		return nil
	}
}

// close leaves the engine at the end of the workbench.
func (s *serveScreen) close() {
	if s.engine != nil {
		s.engine.Close()
	}
}

// look asks the engine what it is doing, unless an answer is awaited.
func (s *serveScreen) look() tea.Cmd {
	if s.engine == nil || s.asked || s.current != Screen(s) {
		return nil
	}
	s.asked = true
	e := s.engine
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(s.ctx, answerTime)
		defer cancel()
		state, err := e.State(ctx)
		return engineMsg{e, state, true, err}
	}
}

// drive has the engine do something, which says what it is doing then.
func (s *serveScreen) drive(do func(ctx context.Context) (endpoint.State, error)) tea.Cmd {
	e := s.engine
	return func() tea.Msg {
		state, err := do(s.ctx)
		return engineMsg{e, state, false, err}
	}
}

// take takes what an engine said.
func (s *serveScreen) take(msg engineMsg) tea.Cmd {
	if msg.engine != s.engine {
		return nil
	}
	switch {
	case msg.err == nil:
		s.state, s.known, s.silent = msg.state, true, nil
		s.meter.add(msg.state)
	case msg.looked:
		s.silent = msg.err
	default:
		s.fail("", msg.err)
	}
	switch {
	case !msg.looked:
		return nil
	case s.silent != nil:
		return s.later(s.engine, silentInterval)
	}
	return s.later(s.engine, engineInterval)
}

func (s *serveScreen) focused() *grid.Grid {
	if s.inTree {
		return &s.tree
	}
	return &s.requests
}

func (s *serveScreen) Keys() []keyGroup {
	attach := binding{keys: []string{"a"}, footer: "a attach", help: "serve a model, or attach to slimlab serve by its URL", do: s.chooseEngine}
	if s.engine == nil {
		return []keyGroup{{"Serve: what an engine is doing", []binding{attach}}}
	}
	paused := func() bool { return s.known && s.state.Paused }
	running := func() bool { return !paused() }
	column := func(n int) func() tea.Cmd { return act(func() { s.focused().MoveColumn(n) }) }
	return []keyGroup{{"Serve: what an engine is doing", []binding{
		{keys: []string{"n"}, footer: "n request", help: "a new request: type a prompt, enter sends it", do: act(s.typeRequest)},
		{keys: []string{"p"}, footer: "p pause", help: "pause the engine after its present step; requests are taken, and wait", when: running, do: func() tea.Cmd { return s.drive(s.engine.Pause) }},
		{keys: []string{"p"}, footer: "p go on", help: "have the engine go on", when: paused, do: func() tea.Cmd { return s.drive(s.engine.Resume) }},
		{keys: []string{"s"}, footer: "s step", help: "have the paused engine take one step", when: paused, why: func() string { return "the engine takes its steps by itself; p pauses it" }, do: func() tea.Cmd { return s.drive(s.engine.Step) }},
		{keys: []string{"t"}, footer: s.otherTable(), help: "move in the prefix tree; again: in the requests", do: act(func() { s.inTree = !s.inTree })},
		{keys: []string{"o"}, footer: "o answers", help: "the requests that were sent from here, with their answers", when: s.hasSent, why: s.noneSent, do: act(s.showAnswers)},
		{keys: []string{"x"}, footer: "x cancel", help: "cancel the last request that was sent from here", when: s.hasOpen, why: func() string { return "no request of this screen is in flight" }, do: act(s.cancelSent)},
		attach,
		{keys: []string{"F"}, help: "empty the prefix cache of all that no request holds", do: s.flush},
		{keys: []string{"<", "left"}, help: "column cursor left (also ←)", do: column(-1)},
		{keys: []string{">", "right"}, help: "column cursor right (also →)", do: column(1)},
	}}}
}

func (s *serveScreen) otherTable() string {
	if s.inTree {
		return "t requests"
	}
	return "t tree"
}

func (s *serveScreen) flush() tea.Cmd {
	e := s.engine
	return func() tea.Msg { return saidMsg{"the prefix cache has only what requests hold", e.Flush(s.ctx)} }
}
