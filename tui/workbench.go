package tui

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"slimlab/lab"
	"slimlab/tui/text"
)

// workbench is what all screens share: the lab behind them, the run in progress, the run that is
// open, the message to the user, and the panes above the current screen.
type workbench struct {
	ctx       context.Context
	bench     Bench
	options   Options
	theme     theme
	now       func() time.Time
	clipboard func(string) tea.Cmd

	current  Screen
	entered  bool     // it became the current one since the last message
	overlays []pane   // above the current screen; the last one is seen and takes the keys
	live     *session // the run in progress, or the last that was; nil: none yet
	session  *session // the run that is open on the Run screen; nil: none yet
	baseline baseline
	starting bool // a run is being started
	quitting bool // wait for the end of the live run, then quit

	message  string // the last message, until the next key
	failed   bool   // the message is an error
	problems []problem
	dirty    bool      // the frame must be drawn anew
	later    []tea.Cmd // of keys that were typed into a line
	regions  []region  // of the last frame
}

// problem is an error of the workbench itself.
type problem struct {
	at   time.Time
	text string
}

// The messages that commands end with.
type (
	libraryMsg struct {
		library Library
		err     error
	}
	scenariosMsg struct{ list []ScenarioInfo } // that were read
	figuresMsg   struct{ read map[string]RunFigures }
	editedMsg    struct{ err error } // the editor has been left
	deletedMsg   struct {
		run string
		err error
	}
	goneMsg struct{ session *session } // its log was deleted
	lookMsg struct{}                   // time to look whether files have changed
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
		board  *lab.Board
		live   *Live       // in place of board: another process writes it
		events []lab.Event // in place of board: for a replay
		err    error
	}
	watchMsg struct{ session *session } // show the session on the Run screen
	saidMsg  struct {
		text string
		err  error
	}
	resumedMsg struct{ err error } // the terminal is the workbench's again
	tickMsg    time.Time
)

// top is the pane that is seen and takes the keys.
func (w *workbench) top() pane {
	if n := len(w.overlays); n > 0 {
		return w.overlays[n-1]
	}
	return w.current
}

func (w *workbench) push(p pane) { w.overlays = append(w.overlays, p) }

// pop takes an overlay away, and those above it.
func (w *workbench) pop(p pane) {
	if i := slices.Index(w.overlays, p); i >= 0 {
		w.overlays = w.overlays[:i]
	}
}

// show turns to a screen.
func (w *workbench) show(s Screen) {
	w.entered = w.entered || w.current != s
	w.current, w.message = s, ""
}

func (w *workbench) say(format string, args ...any) {
	w.message, w.failed = fmt.Sprintf(format, args...), false
}

// fail shows an error and keeps it for the list of errors. A nil error is none.
func (w *workbench) fail(what string, err error) {
	if err == nil {
		return
	}
	line := text.Clean(err.Error())
	if what != "" {
		line = what + ": " + line
	}
	w.message, w.failed = line, true
	w.problems = append(w.problems, problem{w.now(), line})
	if len(w.problems) > 200 {
		w.problems = w.problems[1:]
	}
}

func (w *workbench) loadLibrary() tea.Cmd {
	return func() tea.Msg {
		library, err := w.bench.Library(w.ctx)
		return libraryMsg{library, err}
	}
}

func (w *workbench) loadRuns() tea.Cmd {
	return func() tea.Msg {
		list, err := w.bench.Runs(w.ctx)
		return runsMsg{list, err}
	}
}

// running says whether a run of this program is in progress.
func (w *workbench) running() bool { return w.live != nil && !w.live.over() }

// startRun begins a run, unless one is live: two would disturb each other's timings.
func (w *workbench) startRun(r Request) tea.Cmd {
	if w.starting || w.running() {
		w.say("one run at a time: stop the live one first (x on its screen), or wait for its end")
		return nil
	}
	w.starting = true
	w.say("starting %s …", text.Clean(r.Scenario))
	return func() tea.Msg {
		live, err := w.bench.Start(w.ctx, r)
		return startedMsg{r.Scenario, live, err}
	}
}

// started takes over a run that has begun.
func (w *workbench) started(msg startedMsg) tea.Cmd {
	w.starting = false
	if msg.err != nil {
		w.fail("run "+msg.scenario, msg.err)
		return nil
	}
	w.live = &session{id: msg.live.RunID, board: msg.live.Board, live: msg.live, began: w.now()}
	return tea.Batch(watch(w.live), w.loadRuns())
}

// ended says how the live run ended.
func (w *workbench) ended(s *session) tea.Cmd {
	if w.quitting {
		return tea.Quit
	}
	name, state, reason := "", lab.Done, ""
	s.board.Read(func(v *lab.View) { name, state, reason = v.Begin.Scenario, v.State, v.Error })
	switch state {
	case lab.Failed:
		w.fail("run "+text.Clean(name), errors.New(reason))
	case lab.Stopped:
		w.say("%s was stopped; what it had finished is kept, the next run goes on from there", text.Clean(name))
	default:
		w.say("%s is %s", text.Clean(name), state)
	}
	return w.loadRuns()
}

func (w *workbench) cancelLive() tea.Cmd {
	live := w.live.live
	return func() tea.Msg {
		live.Cancel()
		return nil
	}
}

// openRun reads a run's log, or follows it while another process writes it; the live run of this
// program is shown from memory.
func (w *workbench) openRun(id string, replay bool) tea.Cmd {
	if !replay && w.running() && w.live.id == id {
		return watch(w.live)
	}
	w.say("reading %s …", text.Clean(id))
	return func() tea.Msg {
		if replay {
			events, err := w.bench.Events(w.ctx, id)
			if err == nil && len(events) == 0 {
				err = errEmpty
			}
			return openedMsg{run: id, events: events, err: err}
		}
		if id != DemoRun {
			if live := w.bench.Follow(w.ctx, id); live != nil {
				return openedMsg{run: id, live: live}
			}
		}
		board, err := w.bench.Open(w.ctx, id)
		if err == nil && board.Version() == 0 {
			err = errEmpty
		}
		return openedMsg{run: id, board: board, err: err}
	}
}

var errEmpty = errors.New("its log is empty")

// opened makes a session of a log that was read.
func (w *workbench) opened(msg openedMsg) tea.Cmd {
	if msg.live != nil {
		return watch(&session{id: msg.run, board: msg.live.Board, live: msg.live, other: true})
	}
	if msg.err != nil {
		w.fail("open "+text.Clean(msg.run), msg.err)
		return nil
	}
	s := &session{id: msg.run, board: msg.board}
	if msg.board == nil {
		s.replay, s.board = newReplay(msg.events, w.options.Speed, w.now())
	}
	return watch(s)
}

func watch(s *session) tea.Cmd { return func() tea.Msg { return watchMsg{s} } }

// copy hands text to the clipboard.
func (w *workbench) copy(s string) tea.Cmd { return w.clipboard(s) }

// lookForLog finds out whether another program has deleted the log of the run that is open.
func (w *workbench) lookForLog() tea.Cmd {
	s := w.session
	if s == nil || s.deleted || s.id == DemoRun || !s.over() || s.replay != nil {
		return nil
	}
	return func() tea.Msg {
		if w.bench.Kept(w.ctx, s.id) {
			return nil
		}
		return goneMsg{s}
	}
}
