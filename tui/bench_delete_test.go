package tui

import "testing"

// TestCursorStaysAfterDeletion: after a run is deleted the cursor is on the next one, else on the
// one before.
func TestCursorStaysAfterDeletion(t *testing.T) {
	s := newScript(t, 124, 40, Options{}).keys("jjjj")
	b := s.m.screens[0].(*benchScreen)
	var runs []string
	for i := range b.runs {
		runs = append(runs, b.runs[i].ID)
	}
	if len(runs) < 3 {
		t.Fatalf("%d runs", len(runs))
	}
	on := func() string {
		if it := b.selection(); it.run != nil {
			return it.run.ID
		}
		return ""
	}
	b.cursor = "r:" + runs[1]
	for _, it := range b.items() {
		if it.run != nil && it.run.ID == runs[1] {
			b.cursor = it.id
		}
	}
	b.dropRun(runs[1])
	if on() != runs[2] {
		t.Errorf("after deleting %s the cursor is on %q, expected %s", runs[1], on(), runs[2])
	}
	for i := len(runs) - 1; i > 2; i-- {
		b.dropRun(runs[i])
	}
	b.dropRun(runs[2])
	if on() != runs[0] {
		t.Errorf("after deleting the last the cursor is on %q, expected %s", on(), runs[0])
	}
	b.dropRun(runs[0])
	b.dropRun("none")
}
