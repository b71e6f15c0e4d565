package tui

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"
)

// Run opens the workbench on the terminal and returns when it is left. A run that is still live
// then is cancelled, and waited for unless the user left at once. It does not check that there is a
// terminal.
func Run(bench Bench, o Options) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	m := newModel(ctx, bench, o, newTheme(lipgloss.DefaultRenderer(), o.ASCII), time.Now)
	m.clipboard = clipboard(os.Stdout, os.Getenv("TMUX") != "")
	_, err := tea.NewProgram(m, tea.WithAltScreen(), tea.WithFPS(30)).Run()
	if m.live != nil && !m.live.over() {
		m.live.live.Cancel()
		if !m.hurried {
			<-m.live.live.Done
		}
	}
	if errors.Is(err, tea.ErrInterrupted) {
		return nil
	}
	return err
}

// newModel returns the workbench as it opens.
func newModel(ctx context.Context, bench Bench, o Options, t theme, now func() time.Time) *model {
	if !(o.Speed > 0) {
		o.Speed = 1
	}
	m := &model{ctx: ctx, bench: bench, options: o, theme: t, now: now, dirty: true}
	m.clipboard, m.tickLater, m.awaitEnd = clipboard(io.Discard, false), tickLater, awaitEnd
	m.shelf.cursor = "s:" + o.Scenario
	m.run.split = 50
	return m
}

// tickInterval is how often a moving board is looked at.
const tickInterval = 33 * time.Millisecond

func tickLater() tea.Cmd {
	return tea.Tick(tickInterval, func(t time.Time) tea.Msg { return tickMsg(t) })
}

func awaitEnd(s *session) tea.Cmd {
	return func() tea.Msg {
		<-s.live.Done
		return endedMsg{s}
	}
}
