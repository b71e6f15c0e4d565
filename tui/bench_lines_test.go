package tui

import (
	"errors"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"slimlab/lab"
	"slimlab/lab/report"
	"slimlab/tui/text"
)

// The list says of a scenario that it cannot run, that it is being read, or how its last run ended;
// of one that ships, the last two before it is read.
func TestLastWordOfAScenario(t *testing.T) {
	b := newScript(t, 100, 30, Options{}).m.screens[0].(*benchScreen)
	for _, c := range []struct {
		scenario ScenarioInfo
		want     string
	}{
		{ScenarioInfo{Name: "figure1", Pending: true}, "✓ done"},
		{ScenarioInfo{Name: "figure1", Place: Own}, "✓ done"},
		{ScenarioInfo{Name: "figure1", Place: Own, Pending: true}, "· …"},
		{ScenarioInfo{Name: "another", Pending: true}, "○ new"},
		{ScenarioInfo{Name: "another", Place: Own}, "○ new"},
		{ScenarioInfo{Name: "smoke"}, "✗ fail"}, // the newer one cannot be read
		{ScenarioInfo{Name: "figure1", Err: errors.New("bad")}, "✗ bad"},
	} {
		if got, _ := b.lastWord(&c.scenario); strings.TrimSpace(got) != c.want {
			t.Errorf("%+v: %q, expected %q", c.scenario, got, c.want)
		}
	}
}

// A run's line has the time of day from a width of 37, and how long it took from 50, and always how
// it ended.
func TestLineOfARunByWidth(t *testing.T) {
	b := newBenchScreen(&workbench{now: func() time.Time { return epoch }})
	run := RunInfo{Scenario: "s", State: lab.Done, Started: epoch, Duration: 90 * time.Second}
	for width := 20; width < 80; width++ {
		_, note, _ := b.runLine(&run, width)
		if !strings.HasPrefix(note, "11-24") || !strings.HasSuffix(strings.TrimSpace(note), "✓ done") {
			t.Errorf("%d cells: %q", width, note)
		}
		if got := strings.Contains(note, "12:04"); got != (width >= 37) {
			t.Errorf("%d cells: the time of day is shown: %v", width, got)
		}
		if got := strings.Contains(note, report.Duration(90)); got != (width >= 50) {
			t.Errorf("%d cells: the duration is shown: %v", width, got)
		}
	}
}

// The wheel moves what is under it: up to the divider the list, behind it the details.
func TestWheelOnEveryColumnOfTheBench(t *testing.T) {
	for _, width := range []int{80, 120} {
		s := newScript(t, width, 15, Options{})
		b := s.m.screens[0].(*benchScreen)
		divider, y := s.at(" │ ")
		for x := range width {
			s.keys("<home>")
			first := b.cursor
			b.scroll = 0
			s.wheel(x, y, tea.MouseButtonWheelDown)
			if moved, scrolled := b.cursor != first, b.scroll > 0; moved != (x <= divider) || scrolled == moved {
				t.Errorf("%d wide, the divider at %d, the wheel at %d: the list moved %v, the details %v", width, divider, x, moved, scrolled)
			}
		}
	}
}

// A typed line and its cursor are shown whole where they fit; else the cursor and as much as fits
// before it, and what is cut behind it.
func TestLineThatIsTyped(t *testing.T) {
	for _, value := range []string{"", "a", "abcdef", "日本語x"} {
		runes := []rune(value)
		for at := range len(runes) + 1 {
			typed, whole := string(runes[:at]), string(runes[:at])+"▏"+string(runes[at:])
			behind := min(1, len(runes)-at) // … of what is cut
			for width := 2; width < 12; width++ {
				got := (&input{value, at}).view(width)
				before, _, cursor := strings.Cut(got, "▏")
				if !cursor || text.Width(got) > width || !strings.HasSuffix(typed, before) {
					t.Errorf("%q in %d cells is %q", whole, width, got)
				}
				if text.Width(whole) <= width && got != whole || text.Width(typed)+1+behind <= width && before != typed {
					t.Errorf("%q in %d cells is %q: more fits", whole, width, got)
				}
			}
		}
	}
}
