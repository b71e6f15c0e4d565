package tui

import (
	"context"
	"io"
	"os"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"
)

// Run opens the workbench on the terminal and returns when it is left, or with the context's error
// when that ends first. Either way the context of a run that is still live ends: the Bench waits
// for it. Run does not check that there is a terminal.
func Run(ctx context.Context, bench Bench, o Options) error {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	m := newModel(inner, bench, o, themeNamed(lipgloss.DefaultRenderer(), o.Palette, os.Getenv("COLORFGBG"), o.ASCII), time.Now)
	m.clipboard = clipboard(os.Stdout, os.Getenv("TMUX") != "")
	options := []tea.ProgramOption{tea.WithContext(inner), tea.WithoutSignalHandler(), tea.WithAltScreen(), tea.WithFPS(30)}
	if !o.NoMouse {
		options = append(options, tea.WithMouseCellMotion())
	}
	_, err := tea.NewProgram(m, options...).Run()
	m.close()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// newModel returns the workbench as it opens.
func newModel(ctx context.Context, bench Bench, o Options, t theme, now func() time.Time) *model {
	if !(o.Speed > 0) {
		o.Speed = 1
	}
	w := &workbench{ctx: ctx, bench: bench, options: o, theme: t, now: now, clipboard: clipboard(io.Discard, false), dirty: true, baseline: baseline{run: o.Baseline}}
	m := &model{
		workbench: w, screens: []Screen{newBenchScreen(w), newRunScreen(w), newCompareScreen(w), newServeScreen(w)},
		tickLater: tickLater, lookLater: lookLater, awaitEnd: awaitEnd,
	}
	w.current = m.screens[0]
	if o.Attach != "" {
		w.current = m.screens[3]
	}
	return m
}

// close leaves what the screens hold outside the workbench.
func (m *model) close() {
	for _, s := range m.screens {
		if s, ok := s.(*serveScreen); ok {
			s.close()
		}
	}
}

// tickInterval is how often a moving board is looked at.
const tickInterval = 33 * time.Millisecond

// followInterval is how often a run of another process is looked at, whose log is read no more
// often.
const followInterval = 250 * time.Millisecond

func tickLater(after time.Duration) tea.Cmd {
	return tea.Tick(after, func(t time.Time) tea.Msg { return tickMsg(t) })
}

// lookInterval is how often the files of the library are looked at while they are on the screen.
const lookInterval = 2 * time.Second

func lookLater() tea.Cmd {
	return tea.Tick(lookInterval, func(time.Time) tea.Msg { return lookMsg{} })
}

func awaitEnd(s *session) tea.Cmd {
	return func() tea.Msg {
		<-s.live.Done
		return endedMsg{s}
	}
}
