package main

import (
	"bytes"
	"strings"
	"testing"

	"slimlab/lab"
)

// TestProgressMarksTimings: a row whose timings are another run's says so as it is reported, each
// reason once; one that this run timed on a steady machine has none.
func TestProgressMarksTimings(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(&out)
	p.event(lab.Event{Kind: lab.KindBegin, Name: "tiny", Begin: &lab.Begin{Run: "r1"}})
	p.event(lab.Event{Kind: lab.KindRow, Row: "old", Timings: []lab.Timing{{Stage: "train", Run: "r0"}, {Stage: "serve", Run: "r0", Machine: "shared"}}})
	p.event(lab.Event{Kind: lab.KindRow, Row: "new", Timings: []lab.Timing{{Stage: "serve", Run: "r1", Machine: "steady"}}})
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 3 || !strings.HasSuffix(lines[1], "measured old (timing of run r0; timed on a shared machine)") || !strings.HasSuffix(lines[2], "measured new") {
		t.Errorf("progress said\n%s", &out)
	}
}
