package tui

import (
	"context"
	"io"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"go.uber.org/goleak"

	"slimlab/lab"
)

// The whole program in its real loop: a run is started, watched by real ticks, stopped on the way
// out, and nothing is left behind.
func TestProgram(t *testing.T) {
	defer goleak.VerifyNone(t)
	f := &fakeBench{live: 100}
	m := newModel(context.Background(), f, Options{Scenario: "figure1"}, plainTheme(false), time.Now)
	started := make(chan struct{})
	await := m.awaitEnd
	m.awaitEnd = func(s *session) tea.Cmd {
		close(started)
		return await(s)
	}
	m.lookLater = func() tea.Cmd { return nil }
	ticks := make(chan struct{}, 1)
	m.tickLater = func(after time.Duration) tea.Cmd {
		select {
		case ticks <- struct{}{}:
		default:
		}
		return tickLater(after)
	}
	input, keys := io.Pipe()
	defer keys.Close()
	p := tea.NewProgram(m, tea.WithInput(input), tea.WithOutput(io.Discard), tea.WithoutSignalHandler())
	ended := make(chan error, 1)
	go func() {
		_, err := p.Run()
		ended <- err
	}()
	// whichever list comes first has it
	p.Send(libraryMsg{library: Library{Scenarios: []ScenarioInfo{{ID: "figure1", Name: "figure1"}}}})
	p.Send(tea.WindowSizeMsg{Width: 100, Height: 30})
	press := func(s string) {
		if _, err := io.WriteString(keys, s); err != nil {
			t.Error(err)
		}
	}
	press("Q")
	<-started
	for range 3 {
		<-ticks
	}
	press("q")
	press("y")
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if !m.live.over() {
		t.Error("the run goes on without the workbench")
	}
	m.live.read(func(v *lab.View) {
		if v.State != lab.Stopped {
			t.Errorf("the run is %s, expected stop", v.State)
		}
	})
	input.Close()
}
