package tui

import (
	"context"
	"errors"
	"strings"
	"sync"

	tea "github.com/charmbracelet/bubbletea"

	"slimlab/tui/text"
)

// sent is a request that was sent from the screen. The answer is written by another goroutine than
// the one that draws it.
type sent struct {
	prompt string
	cancel context.CancelFunc

	mutex  sync.Mutex
	answer strings.Builder
	ended  bool
	err    error
}

type sentMsg struct {
	sent *sent
	err  error
}

// mostAnswered bounds the tokens of an answer, mostSent the requests that are kept.
const (
	mostAnswered = 64
	mostSent     = 100
)

func (a *sent) write(piece string) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.answer.WriteString(piece)
}

func (a *sent) end(err error) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.ended, a.err = true, err
	a.cancel()
}

// text is the answer as far as it has come, and how it stands.
func (a *sent) text() (answer, mark string) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	answer = a.answer.String()
	switch {
	case !a.ended:
		return answer, text.Ellipsis
	case errors.Is(a.err, context.Canceled):
		return answer, "■ cancelled"
	case a.err != nil:
		return answer, "✗ " + a.err.Error()
	}
	return answer, "✓"
}

func (a *sent) open() bool {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return !a.ended
}

// typeRequest opens the line that a prompt is typed into.
func (s *serveScreen) typeRequest() { s.push(&requestLine{workbench: s.workbench, screen: s}) }

// send has the engine answer a prompt.
func (s *serveScreen) send(line string) tea.Cmd {
	ctx, cancel := context.WithCancel(s.ctx)
	one, e := &sent{prompt: line, cancel: cancel}, s.engine
	if len(s.sent) == mostSent {
		s.sent = s.sent[1:]
	}
	s.sent = append(s.sent, one)
	return func() tea.Msg { return sentMsg{one, e.Complete(ctx, line, mostAnswered, one.write)} }
}

func (s *serveScreen) hasSent() bool { return len(s.sent) > 0 }

func (s *serveScreen) noneSent() string { return "no request was sent from here; n sends one" }

// lastOpen is the last request in flight; nil: there is none.
func (s *serveScreen) lastOpen() *sent {
	for i := len(s.sent) - 1; i >= 0; i-- {
		if s.sent[i].open() {
			return s.sent[i]
		}
	}
	return nil
}

func (s *serveScreen) hasOpen() bool { return s.lastOpen() != nil }

func (s *serveScreen) cancelSent() {
	if one := s.lastOpen(); one != nil {
		one.cancel()
	}
}

// showAnswers lists what was sent from here, the newest first.
func (s *serveScreen) showAnswers() {
	s.push(&pager{workbench: s.workbench, title: "Requests of this screen", body: func(width int) []string {
		p := &page{width: width, theme: &s.theme}
		for i := len(s.sent) - 1; i >= 0; i-- {
			answer, mark := s.sent[i].text()
			p.heading(text.Clean(s.sent[i].prompt))
			p.say(text.Wrap(text.Clean(answer)+" "+text.Clean(mark), width)...)
		}
		return p.lines
	}})
}

// lastAnswer is the last request of the screen in one line.
func (s *serveScreen) lastAnswer(width int) string {
	if len(s.sent) == 0 {
		return ""
	}
	one := s.sent[len(s.sent)-1]
	answer, mark := one.text()
	mark = " " + text.Clean(mark)
	room := max(0, width-text.Width(mark)-1)
	line := text.Cut(text.Clean(one.prompt), room/2) + " → "
	return " " + text.Cut(s.theme.dim.On(line)+tail(text.Clean(answer), room-text.Width(line))+mark, width-1)
}

// tail is the end of a line, as far as it fits.
func tail(line string, width int) string {
	runes := []rune(line)
	if text.Width(line) <= width {
		return line
	}
	for len(runes) > 0 && text.Width(string(runes)) > width-1 {
		runes = runes[1:]
	}
	return text.Ellipsis + string(runes)
}

// requestLine is a prompt that is typed in the footer, below the screen.
type requestLine struct {
	*workbench
	screen *serveScreen
	line   input
}

func (r *requestLine) compact() bool { return true }

func (r *requestLine) Title() string { return "New request" }

func (r *requestLine) Keys() []keyGroup {
	return []keyGroup{{r.Title(), []binding{
		{keys: []string{"letters"}, help: "edit the prompt", typed: r.line.key},
		{keys: []string{"enter"}, help: "send the prompt", do: func() tea.Cmd {
			r.pop(r)
			if r.line.String() == "" {
				return nil
			}
			return r.screen.send(r.line.String())
		}},
		{keys: []string{"esc"}, help: "close", do: act(func() { r.pop(r) })},
	}}}
}

func (r *requestLine) View(width, height int) []string { return r.screen.View(width, height) }

// Footer shows the line that is typed.
func (r *requestLine) Footer(width int) string {
	note := "enter send, esc close"
	left := " prompt: " + r.line.view(max(20, width-text.Width(note)-12))
	return text.Sides(left, r.theme.dim.On(text.Cut(note, width-text.Width(left)-2))+" ", width)
}
