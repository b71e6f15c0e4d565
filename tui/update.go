package tui

import (
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"slimlab/tui/text"
)

// Init reads the lists.
func (m *model) Init() tea.Cmd {
	cmds := []tea.Cmd{m.loadLibrary(), m.loadRuns(), m.lookLater(), m.readBaseline()}
	if m.options.Replay != "" {
		cmds = append(cmds, m.openRun(m.options.Replay, true))
	}
	if m.options.Attach != "" {
		cmds = append(cmds, m.attach(m.options.Attach))
	}
	return tea.Batch(cmds...)
}

// Update handles one message.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tickMsg, lookMsg: // what they find out says that the frame is to be drawn
	case tea.MouseMsg:
		cmd, taken := m.point(msg)
		m.dirty = m.dirty || taken
		return m, tea.Batch(cmd, m.tickIfMoving(), m.settle())
	case tea.KeyMsg:
		m.dirty = true
		return m, tea.Batch(m.keyBurst(msg), m.tickIfMoving(), m.settle())
	default:
		m.dirty = true
	}
	cmds := []tea.Cmd{m.handle(msg)}
	for _, s := range m.screens {
		cmds = append(cmds, s.Update(msg))
	}
	return m, tea.Batch(append(cmds, m.tickIfMoving(), m.settle())...)
}

// settle has the current screen read what it shows now and does not know yet.
func (m *model) settle() tea.Cmd {
	settled := m.current.Update(settledMsg{})
	if !m.entered {
		return settled
	}
	m.entered = false
	return tea.Batch(settled, m.current.Update(enteredMsg{}))
}

// handle does what a message means for all screens.
func (m *model) handle(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case tickMsg:
		m.tick(time.Time(msg))
	case startedMsg:
		if cmd := m.started(msg); cmd != nil {
			return tea.Batch(cmd, m.awaitEnd(m.live))
		}
	case endedMsg:
		return m.ended(msg.session)
	case openedMsg:
		return m.opened(msg)
	case lookMsg:
		return tea.Batch(m.lookLater(), m.lookForLog())
	case goneMsg:
		msg.session.deleted = true
		if msg.session == m.session {
			m.say("the log of this run was deleted; what was read is shown, and y and Y still copy it")
		}
	case previewMsg:
		msg.sheet.take(msg)
	case pinnedMsg:
		m.takeBaseline(msg)
	case runsMsg:
		if msg.err == nil {
			return m.missBaseline(msg.list)
		}
	case watchMsg:
		if s := m.session; s != nil && s.other && s != msg.session {
			s.live.Cancel()
		}
		m.session, m.overlays = msg.session, nil
	case resumedMsg:
		m.fail("suspend", msg.err)
		if !m.options.NoMouse { // the terminal was given back without it
			return tea.EnableMouseCellMotion
		}
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
// one message. Pasted text stays together.
func (m *model) keyBurst(k tea.KeyMsg) tea.Cmd {
	if k.Paste || k.Type != tea.KeyRunes || len(k.Runes) < 2 {
		return m.key(k)
	}
	var cmds []tea.Cmd
	for _, r := range k.Runes {
		cmds = append(cmds, m.key(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune{r}, Alt: k.Alt}))
	}
	return tea.Batch(cmds...)
}

// key gives a key to the first binding of the key tables that takes it. Pasted text goes to a line
// that is typed, or nowhere.
func (m *model) key(k tea.KeyMsg) tea.Cmd {
	m.message, m.failed, m.clicked = "", false, lastClick{}
	for _, group := range m.keyGroups() {
		for _, b := range group.bindings {
			switch {
			case !b.works():
			case b.typed != nil:
				if b.typed(k) {
					cmds := m.later
					m.later = nil
					return tea.Batch(cmds...)
				}
			case !k.Paste && b.has(k.String()):
				return b.do()
			}
		}
	}
	m.refuse(k)
	return nil
}

// refuse says why a key does nothing that does something elsewhere.
func (m *model) refuse(k tea.KeyMsg) {
	for _, group := range m.keyGroups() {
		for _, b := range group.bindings {
			if !k.Paste && b.why != nil && !b.works() && b.has(k.String()) {
				m.say("%s: %s", b.name(), b.why())
				return
			}
		}
	}
}

// tickIfMoving keeps the tick alive while something moves, and only then.
func (m *model) tickIfMoving() tea.Cmd {
	if m.ticking || !m.running() && (m.session == nil || !m.session.moving()) {
		return nil
	}
	m.ticking = true
	if s := m.session; !m.running() && (s.replay == nil || !s.replay.playing) {
		return m.tickLater(followInterval)
	}
	return m.tickLater(tickInterval)
}

func (m *model) tick(now time.Time) {
	m.ticking = false
	if s := m.session; s != nil && s.replay != nil {
		was := s.replay.playing
		s.replay.advance(s.board, now)
		m.dirty = m.dirty || was != s.replay.playing
	}
	if m.now().Unix() != m.second { // elapsed times, and the live run's state in the title
		m.dirty = true
	}
}

// View returns the last frame, drawn anew when something in it has changed.
func (m *model) View() string {
	if m.dirty {
		m.drawn, m.dirty = m.frame(), false
		m.second = m.now().Unix()
	}
	return m.drawn
}
