package tui

import (
	"context"
	"fmt"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"slimlab/lab"
	"slimlab/tui/text"
)

// screen is one of the workbench's screens.
type screen int

const (
	screenBench screen = iota
	screenRun
	screenCompare
	screens
)

func (s screen) String() string { return [...]string{"Bench", "Run", "Compare"}[s] }

// model is the whole workbench.
type model struct {
	ctx       context.Context
	bench     Bench
	options   Options
	theme     theme
	now       func() time.Time
	clipboard func(string) tea.Cmd
	tickLater func() tea.Cmd // the commands that wait, which tests leave out
	awaitEnd  func(s *session) tea.Cmd

	width, height int
	screen        screen
	shelf         shelf
	run           runScreen
	compare       compareScreen
	overlay       overlay // nil: none
	live          *session

	message  string // the last thing to say, until the next key
	failed   bool   // the message is an error
	problems []problem
	starting bool // a run is being started
	ticking  bool
	quitting bool // wait for the live run's end, then quit
	hurried  bool // do not wait

	dirty   bool   // the frame must be drawn anew
	frame   string // the last one
	version uint64 // of the board in it
	second  int64  // of the clock in it
}

// problem is an error of the workbench itself.
type problem struct {
	at   time.Time
	text string
}

// overlay is what lies over a screen and takes the keys.
type overlay interface {
	key(m *model, k tea.KeyMsg) tea.Cmd
	lines(m *model, width, height int) []string
	hints() string // for the footer
}

type (
	scenariosMsg struct {
		list []ScenarioInfo
		err  error
	}
	runsMsg struct {
		list []RunInfo
		err  error
	}
	startedMsg struct {
		scenario string
		live     *Live
		err      error
	}
	endedMsg  struct{ session *session }
	openedMsg struct {
		run    string
		events []lab.Event
		replay bool
		err    error
	}
	comparedMsg struct {
		base, next string
		views      [2]*lab.View
		err        error
	}
	saidMsg struct {
		text string
		err  error
	}
	tickMsg time.Time
)

// Init reads the lists.
func (m *model) Init() tea.Cmd {
	cmds := []tea.Cmd{m.loadScenarios(), m.loadRuns()}
	if m.options.Replay != "" {
		cmds = append(cmds, m.openRun(m.options.Replay, true))
	}
	return tea.Batch(cmds...)
}

// Update handles one message.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	if _, isTick := msg.(tickMsg); !isTick {
		m.dirty = true
	}
	cmd := m.handle(msg)
	return m, tea.Batch(cmd, m.tickIfMoving())
}

func (m *model) handle(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case tea.KeyMsg:
		return m.keyBurst(msg)
	case tickMsg:
		m.tick(time.Time(msg))
	case scenariosMsg:
		m.fail("scenarios", msg.err)
		m.shelf.setScenarios(msg.list)
	case runsMsg:
		m.fail("runs", msg.err)
		m.shelf.setRuns(msg.list)
	case startedMsg:
		return m.started(msg)
	case endedMsg:
		return m.ended(msg.session)
	case openedMsg:
		m.opened(msg)
	case comparedMsg:
		m.compared(msg)
	case saidMsg:
		if msg.err != nil {
			m.fail("", msg.err)
		} else {
			m.say("%s", text.Clean(msg.text))
		}
	}
	return nil
}

// keyBurst takes keys one at a time: what was typed quickly, or came over a slow line, arrives as
// one message. Pasted text goes to a line that is typed, or nowhere.
func (m *model) keyBurst(k tea.KeyMsg) tea.Cmd {
	switch {
	case k.Paste && m.typing() == nil && m.overlay == nil:
		return nil
	case k.Paste || k.Type != tea.KeyRunes || len(k.Runes) < 2:
		return m.key(k)
	}
	var cmds []tea.Cmd
	for _, r := range k.Runes {
		cmds = append(cmds, m.key(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune{r}, Alt: k.Alt}))
	}
	return tea.Batch(cmds...)
}

// key gives a key to the overlay, to a line that is typed, or to the tables of keys.
func (m *model) key(k tea.KeyMsg) tea.Cmd {
	if k.String() == "ctrl+c" {
		return m.quit()
	}
	m.message, m.failed = "", false
	if m.overlay != nil {
		return m.overlay.key(m, k)
	}
	if line := m.typing(); line != nil {
		return m.filterKey(line, k)
	}
	for _, group := range m.keyGroups() {
		for _, b := range group.bindings {
			if b.works(m) && b.has(k.String()) {
				return b.do(m)
			}
		}
	}
	return nil
}

func (m *model) say(format string, args ...any) {
	m.message, m.failed = fmt.Sprintf(format, args...), false
}

// fail shows an error and keeps it for the list of errors. A nil error is none.
func (m *model) fail(what string, err error) {
	if err == nil {
		return
	}
	line := text.Clean(err.Error())
	if what != "" {
		line = what + ": " + line
	}
	m.message, m.failed = line, true
	m.problems = append(m.problems, problem{m.now(), line})
	if len(m.problems) > 200 {
		m.problems = m.problems[1:]
	}
}

// tickIfMoving keeps the tick alive while something moves, and only then.
func (m *model) tickIfMoving() tea.Cmd {
	moving := m.live != nil && !m.live.over() || m.run.session != nil && m.run.session.moving()
	if m.ticking || !moving {
		return nil
	}
	m.ticking = true
	return m.tickLater()
}

func (m *model) tick(now time.Time) {
	m.ticking = false
	s := m.run.session
	if s != nil && s.replay != nil {
		was := s.replay.playing
		s.replay.advance(s.board, now)
		m.dirty = m.dirty || was != s.replay.playing
	}
	if m.screen == screenRun && s != nil && s.frozen == nil && s.board.Version() != m.version {
		m.dirty = true
	}
	if m.now().Unix() != m.second { // elapsed times, and the live run's state in the title
		m.dirty = true
	}
}

func (m *model) started(msg startedMsg) tea.Cmd {
	m.starting = false
	if msg.err != nil {
		m.fail("run "+msg.scenario, msg.err)
		return nil
	}
	s := &session{id: msg.live.RunID, board: msg.live.Board, live: msg.live, began: m.now()}
	m.live = s
	m.watch(s)
	return tea.Batch(m.loadRuns(), m.awaitEnd(s))
}

func (m *model) ended(s *session) tea.Cmd {
	if m.quitting {
		return tea.Quit
	}
	name, state, reason := "", lab.Done, ""
	s.board.Read(func(v *lab.View) { name, state, reason = v.Begin.Scenario, v.State, v.Error })
	switch state {
	case lab.Failed:
		m.fail("run "+text.Clean(name), fmt.Errorf("%s", reason))
	case lab.Cancelled:
		m.say("%s was stopped; what it had finished is kept, the next run goes on from there", text.Clean(name))
	default:
		m.say("%s is %s", text.Clean(name), state)
	}
	return m.loadRuns()
}

func (m *model) opened(msg openedMsg) {
	if msg.err == nil && len(msg.events) == 0 {
		msg.err = fmt.Errorf("its log is empty")
	}
	if msg.err != nil {
		m.fail("open "+text.Clean(msg.run), msg.err)
		return
	}
	s := &session{id: msg.run}
	if msg.replay {
		s.replay, s.board = newReplay(msg.events, m.options.Speed, m.now())
	} else {
		s.board = lab.Fold(msg.events)
	}
	m.watch(s)
}

// watch shows a session on the Run screen.
func (m *model) watch(s *session) {
	m.run.show(s)
	m.screen, m.overlay = screenRun, nil
	m.message = ""
}

func (m *model) loadScenarios() tea.Cmd {
	return func() tea.Msg {
		list, err := m.bench.Scenarios(m.ctx)
		return scenariosMsg{list, err}
	}
}

func (m *model) loadRuns() tea.Cmd {
	return func() tea.Msg {
		list, err := m.bench.Runs(m.ctx)
		return runsMsg{list, err}
	}
}

func (m *model) openRun(id string, replay bool) tea.Cmd {
	m.say("reading %s …", text.Clean(id))
	return func() tea.Msg {
		events, err := m.bench.Open(m.ctx, id)
		return openedMsg{id, events, replay, err}
	}
}

// startRun begins a run, unless one is live: two would disturb each other's timings.
func (m *model) startRun(scenario string, quick bool) tea.Cmd {
	if m.starting || m.live != nil && !m.live.over() {
		m.say("one run at a time: stop the live one first (x on its screen), or wait for its end")
		return nil
	}
	m.starting = true
	m.say("starting %s …", text.Clean(scenario))
	return func() tea.Msg {
		live, err := m.bench.Start(m.ctx, scenario, quick)
		return startedMsg{scenario, live, err}
	}
}

// quit leaves, after a question when a run is live. A second time it does not ask.
func (m *model) quit() tea.Cmd {
	if m.live == nil || m.live.over() || m.quitting {
		m.hurried = true
		return tea.Quit
	}
	if q, asked := m.overlay.(*question); asked && q.quits {
		return q.yes(m)
	}
	m.overlay = &question{
		text: "A run is live. Stop it and quit? What it has finished is kept: the next run goes on from there.", quits: true,
		yes: func(m *model) tea.Cmd {
			m.quitting, m.overlay = true, nil
			m.say("stopping the run …  (ctrl+c again closes the screen)")
			return m.cancelLive()
		},
	}
	return nil
}

func (m *model) cancelLive() tea.Cmd {
	live := m.live.live
	return func() tea.Msg {
		live.Cancel()
		return nil
	}
}
