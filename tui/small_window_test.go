package tui

import (
	"strings"
	"testing"

	tea "github.com/charmbracelet/bubbletea"
	"pgregory.net/rapid"

	"slimlab/tui/text"
)

// TestSmallWindowIsOneLine: below the least size every screen is one line, no wider than the
// window, with the state of what is on it where that has room; a window that grows again shows all.
func TestSmallWindowIsOneLine(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := newScript(t, 250, 70, Options{})
		for _, keys := range []string{"Q", "", "<enter>", "1", "jjjj", "3", "?"}[:rapid.IntRange(0, 7).Draw(rt, "keys")] {
			s.keys(keys)
		}
		before := s.screen()
		w, h := rapid.IntRange(1, 250).Draw(rt, "width"), rapid.IntRange(1, 70).Draw(rt, "height")
		s.send(tea.WindowSizeMsg{Width: w, Height: h})
		checkSize(t, s)
		if width, height := s.m.least(); w < width || h < height {
			lines := strings.Split(s.screen(), "\n")
			if strings.TrimSpace(lines[0]) == "" || strings.TrimSpace(strings.Join(lines[1:], "")) != "" {
				rt.Fatalf("%d×%d:\n%s", w, h, s.screen())
			}
			if text.Width(lines[0]) > w {
				rt.Fatalf("%d×%d: %q is %d wide", w, h, lines[0], text.Width(lines[0]))
			}
		}
		s.send(tea.WindowSizeMsg{Width: 250, Height: 70})
		if s.screen() != before {
			rt.Fatalf("after %d×%d the screen is another:\n%s\nbefore\n%s", w, h, s.screen(), before)
		}
	})
}
