package tui

import (
	"errors"
	"strings"
	"testing"

	"slimlab/lab"
)

// TestDamagedRunsCanBeOpened: the beginning of a run whose log is damaged is opened like any other,
// and the list and the details say that it is one; a log of which nothing is known is not opened.
func TestDamagedRunsCanBeOpened(t *testing.T) {
	runs, err := (&fakeBench{}).Runs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	damaged := runs[len(runs)-1]
	unreadable := RunInfo{ID: "x", State: lab.Damaged, Err: errors.New("is no run log")}
	b := newBenchScreen(&workbench{})
	for _, c := range []struct {
		run  RunInfo
		open bool
		says string
	}{
		{damaged, true, "its log is damaged; what is before the damage can be opened"},
		{unreadable, false, "its log cannot be read"},
		{runs[0], true, "done"},
	} {
		if got := c.run.readable(); got != c.open {
			t.Errorf("%s can be opened: %t", c.run.ID, got)
		}
		text := strings.Join(b.runDetails(&c.run, 100), "\n")
		if !strings.Contains(text, c.says) || c.run.Err != nil && !strings.Contains(text, c.run.Err.Error()) {
			t.Errorf("%s: %s", c.run.ID, text)
		}
		if started := strings.Contains(text, "started "); started != c.open {
			t.Errorf("%s: says when it started: %t", c.run.ID, started)
		}
		if _, word, _ := b.runState(&c.run); c.run.Err != nil && strings.TrimSpace(word) != "damaged" {
			t.Errorf("%s is %s in the list", c.run.ID, word)
		}
	}
}
