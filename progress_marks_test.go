package main

import (
	"bytes"
	"slices"
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

// Runs of one search do not repeat what another said, or what is said of each candidate alike;
// errors, warnings of other candidates and other runs do.
func TestProgressOfSearch(t *testing.T) {
	note := func(level lab.Level, text string) lab.Event {
		return lab.Event{Kind: lab.KindNote, Level: level, Text: text}
	}
	events := []lab.Event{
		note(lab.Info, "10 records"), note(lab.Info, "10 records"),
		note(lab.Info, "c1: groups of 32"), note(lab.Info, "c2: groups of 32"), note(lab.Info, "c2: groups of 64"),
		note(lab.Info, "c3-k8v4 is measured so"), note(lab.Info, "c12-int4-plain is measured so"),
		note(lab.Warning, "c1: odd"), note(lab.Warning, "c2: odd"), note(lab.Warning, "c1: odd"),
		note(lab.Error, "broken"), note(lab.Error, "broken"),
		{Kind: lab.KindRow, Row: "c1"}, {Kind: lab.KindRow, Row: "c1"}, {Kind: lab.KindRow, Row: "c2"},
	}
	for _, c := range []struct {
		said map[string]bool
		want []string
	}{
		{map[string]bool{}, []string{"info: 10 records", "info: c1: groups of 32", "info: c2: groups of 64", "info: c3-k8v4 is measured so", "warning: c1: odd", "warning: c2: odd", "error: broken", "error: broken", "measured c1", "measured c2"}},
		{nil, nil},
	} {
		var out bytes.Buffer
		p := newProgress(&out)
		p.said = c.said
		for _, e := range events {
			p.event(e)
		}
		var got []string
		for line := range strings.Lines(out.String()) {
			_, text, _ := strings.Cut(line, "s ")
			got = append(got, strings.TrimSpace(text))
		}
		if c.said != nil && !slices.Equal(got, c.want) || c.said == nil && len(got) != len(events) {
			t.Errorf("progress said %q", got)
		}
	}
}
