package tui

import (
	"slices"

	"slimlab/lab"
	"slimlab/tui/text"
)

// lastWord is what the list shows of a scenario: that it cannot run, that a run of it is running,
// how its last run in full ended, or that it was run only in part.
func (b *benchScreen) lastWord(c *ScenarioInfo) (note string, p text.Paint) {
	switch {
	case c.Err != nil:
		return "✗ " + badScenario, b.theme.failed
	case c.Pending && c.Place == Own:
		return "· …", b.theme.dim
	}
	r := b.lastRun(c.Name)
	if r == nil {
		return "○ new", b.theme.dim
	}
	glyph, word, p := b.runState(r)
	switch part := partOf(r); {
	case part == "":
		return glyph + " " + word, p
	case r.State == lab.Done: // of the scenario as it stands nothing is known
		return "○ " + part, b.theme.dim
	default:
		return glyph + " " + word + " " + part, p
	}
}

// partOf names what makes a run less than its scenario in full; "" where nothing does.
func partOf(r *RunInfo) string {
	switch {
	case r.Quick:
		return "quick"
	case len(r.Settings) > 0:
		return "changed"
	}
	return ""
}

// lastRun is the run that a scenario's last word is about, of those whose logs can be read to their
// ends: one that is running, else the newest of the scenario in full, else the newest with changed
// settings, else the newest quick one.
func (b *benchScreen) lastRun(scenario string) *RunInfo {
	var last *RunInfo
	for i := range b.runs {
		r := &b.runs[i]
		if r.Scenario != scenario || r.Err != nil {
			continue
		}
		if !r.State.Over() {
			return r
		}
		if last == nil || rank(r) < rank(last) {
			last = r
		}
	}
	return last
}

// rank orders runs by how much they say of their scenario, the most first.
func rank(r *RunInfo) int { return slices.Index([]string{"", "changed", "quick"}, partOf(r)) }
