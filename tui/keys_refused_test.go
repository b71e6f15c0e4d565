package tui

import (
	"strings"
	"testing"

	tea "github.com/charmbracelet/bubbletea"

	"slimlab/lab"
)

// TestKeyThatCannotWorkSaysWhy: it is not in the footer and not in the help, and pressing it says
// what stands against it.
func TestKeyThatCannotWorkSaysWhy(t *testing.T) {
	const done = "jjjj<enter>"
	gone := func(s *script) { s.send(goneMsg{s.m.session}) }
	followed := func(s *script) {
		closed := make(chan struct{})
		close(closed)
		board := lab.Fold(append(fakeLog("x", 3, 0)[:520:520], lab.Event{Kind: lab.KindEnd, Time: 20, State: lab.Deleted}))
		s.send(watchMsg{&session{id: "x", board: board, live: &Live{RunID: "x", Board: board, Done: closed}, other: true}})
	}
	running := func(s *script) {
		bench := s.m.screens[0].(*benchScreen)
		bench.runs[0].NoDelete = "run a is running: process 4242 writes its log"
	}
	for _, c := range []struct {
		screen string
		then   func(s *script)
		key    string
		footer string // that is not offered
		says   string
	}{
		{done, gone, "e", "e export", "the log of this run was deleted"},
		{done, gone, "p", "p replay", "the log of this run was deleted"},
		{done + "P", gone, "e", "e export", "the log of this run was deleted"},
		{"", followed, "e", "e export", "the log of this run was deleted"},
		{"", followed, "p", "p replay", "the log of this run was deleted"},
		{done, nil, "x", "x stop", "the run has ended"},
		{"Q", nil, "e", "e export", "the run goes on"},
		{"d", nil, "e", "e export", "slimlab show demo"},
		{"jjjj", nil, "r", "r run ", "R repeats this run"},
		{"jjj", nil, "r", "r run ", "mine.yaml cannot be run"},
		{"", nil, "E", "E edit", "figure1 ships with slimlab"},
		{"", nil, "p", "p replay", "it is for runs (]"},
		{"", nil, "D", "D delete", "it is for runs (]"},
		{"jjjj", running, "D", "D delete", "process 4242 writes its log"},
	} {
		s := newScript(t, 160, 40, Options{}).keys(c.screen)
		if c.then != nil {
			c.then(s)
		}
		s.m.message = ""
		s.send(tea.WindowSizeMsg{Width: 160, Height: 40})
		lines := strings.Split(s.screen(), "\n")
		if footer := lines[len(lines)-1]; strings.Contains(footer, " "+c.footer) {
			t.Errorf("%q, %s: the footer offers it: %s", c.screen, c.key, footer)
		}
		before := len(s.m.overlays)
		s.keys(c.key).expect(c.says)
		if len(s.m.overlays) != before {
			t.Errorf("%q, %s does something", c.screen, c.key)
		}
	}
}

// TestDeletedRunThatIsOpen: a run that is deleted on the Bench while it is open is known as such at
// once.
func TestDeletedRunThatIsOpen(t *testing.T) {
	s := newScript(t, 160, 40, Options{}).keys("jjjj<enter>1Dy").expect("is deleted")
	s.keys("2").expect("log deleted").keys("e").expect("the log of this run was deleted")
}
