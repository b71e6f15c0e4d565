package tui

import (
	"fmt"
	"strings"

	"slimlab/lab"
	"slimlab/lab/report"
	"slimlab/tui/text"
)

// statusLine says in one line which run this is and what state it is in.
func (r *runScreen) statusLine(v *lab.View, width int) string {
	s := r.session
	name := text.Clean(v.Begin.Scenario)
	if v.Begin.Quick {
		name += " (quick)"
	}
	glyph, paint := r.theme.state(v.State)
	parts := []string{}
	if v.State == lab.Running {
		parts = append(parts, r.progress(v)...)
	} else {
		parts = append(parts, "took "+report.Duration(v.Time))
	}
	if v.Error != "" && v.Error != lab.Interrupted { // that it was stopped is said already
		parts = append(parts, text.Clean(v.Error))
	}
	if n := len(v.Verdicts); n > 0 {
		held, unjudged := 0, 0
		for _, x := range v.Verdicts {
			held, unjudged = held+number(x.Held), unjudged+number(x.Unjudged)
		}
		part := fmt.Sprintf("%d of %d expectations held", held, n)
		if unjudged > 0 {
			part += fmt.Sprintf(", %d not judged", unjudged)
		}
		parts = append(parts, part+" (v)")
	}
	switch {
	case r.grouping():
		parts = append(parts, fmt.Sprintf("%s of %s (g)", report.Plural(len(r.means.Groups), "group"), report.Plural(len(r.order), "row")))
	case r.within != nil:
		parts = append(parts, fmt.Sprintf("group %s: %s (esc back)", r.groupName(r.within), report.Plural(len(r.order), "row")))
	}
	if f := r.line.String(); f != "" && !r.typing() {
		parts = append(parts, fmt.Sprintf("filter %q: %d of %d rows", f, len(r.order), len(r.last.sweep.Rows)))
	}
	if n := r.last.sweep.Folded(); n > 0 {
		parts = append(parts, report.Plural(n, "repeated row")+" folded (a)")
	}
	line := " " + r.theme.bold.On(name) + "  " + paint.On(glyph+" "+v.State.String()) + "  " + strings.Join(parts, " · ")
	mode := r.mode(s, true)
	// the mode matters more than the end of the state
	if mode != "" && text.Width(line)+text.Width(mode) >= width {
		mode = r.mode(s, false)
		line = text.Cut(line, max(width/2, width-text.Width(mode)-2))
	}
	return text.Sides(text.Cut(line, width), mode, width)
}

// typing says whether the filter is being typed: the footer shows it then.
func (r *runScreen) typing() bool {
	_, typing := r.top().(*filterLine)
	return typing
}

// mode is what is unusual about what is shown: a replay and, when there is room for it, how far it
// is; a frozen view.
func (r *runScreen) mode(s *session, far bool) string {
	var words []string
	if r := s.replay; r != nil {
		word := fmt.Sprintf("▶ replay ×%g", r.speed)
		switch {
		case r.next == len(r.events):
			word = "▶ replay ended"
		case !r.playing:
			word = "▶ replay paused"
		}
		if length := r.length(); far && length > 0 {
			word += fmt.Sprintf(" at %s of %s", report.Duration(min(r.clock, length)), report.Duration(length))
		}
		words = append(words, word)
	}
	if s.other && !s.over() {
		words = append(words, "live in another process")
	}
	if s.frozen != nil {
		words = append(words, "frozen (.)")
	}
	if len(words) == 0 {
		return ""
	}
	return r.theme.warning.On(strings.Join(words, "  ") + " ")
}

// progress is the elapsed time of a running run, its finished cells and the step in work.
func (r *runScreen) progress(v *lab.View) []string {
	elapsed := v.Time
	if s := r.session; s.live != nil && !s.other && s.frozen == nil && !s.over() {
		elapsed = r.now().Sub(s.began).Seconds()
	}
	parts := []string{clock(elapsed)}
	finished, first, more := 0, (*lab.CellView)(nil), 0
	for i := range v.Cells {
		c := &v.Cells[i]
		switch c.State {
		case lab.Running:
			if first == nil {
				first = c
			} else {
				more++
			}
		case lab.Waiting:
		default:
			finished++
		}
	}
	if len(v.Cells) > 1 {
		parts = append(parts, fmt.Sprintf("%d/%d cells", finished, len(v.Cells)))
	}
	if first == nil {
		return parts
	}
	at := text.Clean(first.Stage)
	if len(v.Cells) > 1 {
		at = text.Clean(first.ID) + " " + at
	}
	if first.Total > 0 {
		at += fmt.Sprintf(" %d/%d", first.Step, first.Total)
	}
	parts = append(parts, at)
	if left, ok := stepLeft(v, first); ok {
		parts[len(parts)-1] += ", ~" + clock(left) + " to go"
	} else if n := len(first.Stages); n > 0 && first.Stages[n-1].Text != "" {
		parts = append(parts, text.Clean(first.Stages[n-1].Text))
	}
	if more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", more))
	}
	return parts
}

// stepLeft estimates the rest of a step from its own pace. It says nothing before a twentieth is
// done: steps that load or compile first would promise too much.
func stepLeft(v *lab.View, c *lab.CellView) (seconds float64, ok bool) {
	n := len(c.Stages)
	if n == 0 || c.Total <= 0 || c.Step*20 < c.Total || c.Step >= c.Total {
		return 0, false
	}
	spent := v.Time - c.Stages[n-1].Started
	if spent < 1 {
		return 0, false
	}
	left := spent / float64(c.Step) * float64(c.Total-c.Step)
	return left, left >= 1
}

// clock writes a time that runs, without the fractions that would flicker.
func clock(seconds float64) string {
	switch whole := int(max(0, min(seconds, 1e9))); {
	case whole < 60:
		return fmt.Sprintf("%ds", whole)
	case whole < 3600:
		return fmt.Sprintf("%dm %02ds", whole/60, whole%60)
	}
	return report.Duration(seconds)
}
