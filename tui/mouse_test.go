package tui

import (
	"strings"
	"testing"

	tea "github.com/charmbracelet/bubbletea"
	"pgregory.net/rapid"

	"slimlab/tui/text"
)

func (s *script) click(x, y int) *script {
	s.send(tea.MouseMsg{X: x, Y: y, Button: tea.MouseButtonLeft, Action: tea.MouseActionPress})
	s.send(tea.MouseMsg{X: x, Y: y, Button: tea.MouseButtonLeft, Action: tea.MouseActionRelease})
	return s
}

// at finds text on the screen.
func (s *script) at(part string) (x, y int) {
	s.t.Helper()
	for y, line := range strings.Split(s.screen(), "\n") {
		if before, _, found := strings.Cut(line, part); found {
			return text.Width(before), y
		}
	}
	s.t.Fatalf("%q is not on\n%s", part, s.screen())
	return 0, 0
}

func (s *script) clickOn(part string) *script {
	s.t.Helper()
	x, y := s.at(part)
	return s.click(x, y)
}

func (s *script) wheel(x, y int, button tea.MouseButton) *script {
	s.send(tea.MouseMsg{X: x, Y: y, Button: button})
	return s
}

func (s *script) line(part string) string {
	_, y := s.at(part)
	return strings.Split(s.screen(), "\n")[y]
}

func TestClicksOpenRowsAndTurnScreens(t *testing.T) {
	for _, height := range []int{24, 40} { // without and with a blank line under the title
		s := newScript(t, 120, height, Options{})
		s.clickOn("figure1 (quick)").expect("20261123-1822-figure1-b2").clickOn("figure1 (quick)").expect("[2 Run]", "took 42.0s")
		s.clickOn("1 Bench").expect("[1 Bench]").clickOn("2 Run").expect("[2 Run]")
		s.clickOn("w8a8")
		if line := s.line("▌"); !strings.Contains(line, "w8a8") {
			t.Errorf("a click on w8a8 took %q", line)
		}
		s.clickOn("w8a8").expect("w8a8  ✓ done", "row 7 of 8")
		s.clickOn("esc back").expectNot("row 7 of 8")
		s.clickOn("? help").expect("Keys").keys("G").expect("Mouse", "the wheel scrolls")
	}
}

func TestClickOnAHeadSortsAndAgainReverses(t *testing.T) {
	s := newScript(t, 120, 40, Options{}).keys("jjjj<enter>")
	s.clickOn("smaller").expect("smaller▲").clickOn("smaller").expect("smaller▼").expectNot("row 1 of 8")
	s.clickOn("bytes").expect("bytes▲")
}

func TestWheelScrollsWhatIsUnderIt(t *testing.T) {
	s := newScript(t, 100, 24, Options{}).keys("?")
	s.wheel(5, 10, tea.MouseButtonWheelDown).expect("(4–").wheel(5, 10, tea.MouseButtonWheelUp).expect("(1–")
	s.keys("<esc>").wheel(2, 5, tea.MouseButtonWheelDown)
	if line := s.line("▌"); !strings.Contains(line, "mine") {
		t.Errorf("the wheel took the list to %q", line)
	}
	s.keys("jjj<enter>:").wheel(5, 10, tea.MouseButtonWheelDown)
	first := strings.TrimLeft(s.line("▌"), "▌")
	s.clickOn(first[:20])
	if len(s.m.overlays) > 0 && s.m.top().Title() == "Actions" {
		t.Errorf("a click on the entry %q takes nothing", first)
	}
}

func TestClicksChooseColumns(t *testing.T) {
	s := newScript(t, 120, 40, Options{}).keys("jjjj<enter>C")
	before := s.line("params")
	s.clickOn("params").wheel(5, 10, tea.MouseButtonWheelDown)
	if after := s.line("params"); strings.Contains(before, "[x]") == strings.Contains(after, "[x]") {
		t.Errorf("a click leaves %q as it was: %q", before, after)
	}
	s.clickOn("enter take").expectNot("Columns", "params")
}

func TestDividerIsDragged(t *testing.T) {
	s := newScript(t, 120, 40, Options{}).keys("jjjj<enter>")
	_, from := s.at("── ")
	s.send(tea.MouseMsg{X: 9, Y: from, Button: tea.MouseButtonLeft, Action: tea.MouseActionPress})
	for _, to := range []int{from - 1, from - 4, from - 2, 0, from - 3} {
		s.send(tea.MouseMsg{X: 9, Y: to, Button: tea.MouseButtonLeft, Action: tea.MouseActionMotion})
		if _, y := s.at("── "); to > 10 && y != to {
			t.Errorf("dragged to line %d, the chart begins at %d", to, y)
		}
		checkSize(t, s)
	}
	s.send(tea.MouseMsg{X: 9, Y: from - 3, Action: tea.MouseActionRelease})
	s.send(tea.MouseMsg{X: 9, Y: from, Button: tea.MouseButtonLeft, Action: tea.MouseActionMotion})
	if _, y := s.at("── "); y != from-3 {
		t.Errorf("the divider moved to %d after the button was let go", y)
	}
}

// What the mouse passes over costs no frame.
func TestMotionDrawsNothing(t *testing.T) {
	s := newScript(t, 120, 40, Options{}).keys("jjjj<enter>")
	for x := range 120 {
		s.m.Update(tea.MouseMsg{X: x, Y: x % 40, Action: tea.MouseActionMotion})
		s.m.Update(tea.MouseMsg{X: x, Y: x % 40, Action: tea.MouseActionRelease})
		if s.m.dirty {
			t.Fatal("a motion draws the frame anew")
		}
	}
}

func TestMouseIsTurnedOff(t *testing.T) {
	s := newScript(t, 120, 40, Options{})
	s.keys("<f4>").expect("mouse off: the terminal selects text")
	if !s.m.options.NoMouse {
		t.Error("the mouse is on")
	}
	s.keys("<f4>").expect("mouse on")
}

// Any clicks, drags and turns of the wheel at any sizes, between keys: exact frames, cursors on
// their tables, no panic.
func TestAnyMouseAnySize(t *testing.T) {
	keys := []string{"<enter>", "<esc>", "<tab>", "jjjj<enter>", "?", ":", "m", "/", "!", "e", "1", "2", "3", "s", "jjjj<space><space>c", "C", "g", "P", "H", "T", "r", "n"}
	buttons := []tea.MouseButton{tea.MouseButtonLeft, tea.MouseButtonLeft, tea.MouseButtonLeft, tea.MouseButtonNone, tea.MouseButtonRight, tea.MouseButtonWheelUp, tea.MouseButtonWheelDown, tea.MouseButtonWheelLeft, tea.MouseButtonWheelRight}
	rapid.Check(t, func(rt *rapid.T) {
		s := newScript(t, 100, 30, Options{})
		for range 20 {
			switch rapid.IntRange(0, 9).Draw(rt, "what") {
			case 0:
				s.send(tea.WindowSizeMsg{Width: rapid.IntRange(1, 250).Draw(rt, "width"), Height: rapid.IntRange(1, 80).Draw(rt, "height")})
			case 1:
				s.keys(rapid.SampledFrom(keys).Draw(rt, "key"))
			default:
				s.send(tea.MouseMsg{
					X: rapid.IntRange(-1, s.m.width+1).Draw(rt, "x"), Y: rapid.IntRange(-1, s.m.height+1).Draw(rt, "y"),
					Button: rapid.SampledFrom(buttons).Draw(rt, "button"), Shift: rapid.Bool().Draw(rt, "shift"),
					Action: tea.MouseAction(rapid.IntRange(0, 2).Draw(rt, "action")),
				})
			}
			checkSize(t, s)
			if run := s.m.screens[1].(*runScreen); run.grid.Rows > 0 && (run.grid.Row < 0 || run.grid.Row >= run.grid.Rows || run.grid.Column < 0 || run.grid.Column >= max(1, len(run.grid.Columns))) {
				rt.Fatalf("the cursor is at row %d of %d, column %d of %d", run.grid.Row, run.grid.Rows, run.grid.Column, len(run.grid.Columns))
			}
		}
	})
}
