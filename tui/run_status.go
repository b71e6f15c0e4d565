package tui

import (
	"fmt"
	"strings"

	"slimlab/internal/plural"
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
	state, silence := s.state(v)
	glyph, paint := r.theme.state(state)
	parts := []string{}
	switch state {
	case lab.Running:
		parts = append(parts, r.progress(v)...)
	case lab.Silent:
		parts = append(parts, text.Clean(silence), report.Progress(v))
	default:
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
		parts = append(parts, fmt.Sprintf("%s of %s (g)", plural.Of(len(r.means.Groups), "group"), plural.Of(len(r.order), "row")))
	case r.within != nil:
		parts = append(parts, fmt.Sprintf("group %s: %s (esc back)", r.groupName(r.within), plural.Of(len(r.order), "row")))
	}
	if f := r.line.String(); f != "" && !r.typing() {
		parts = append(parts, fmt.Sprintf("filter %q: %d of %d rows", f, len(r.order), len(r.last.sweep.Rows)))
	}
	if n := r.last.sweep.Folded(); n > 0 {
		parts = append(parts, plural.Of(n, "repeated row")+" folded (a)")
	}
	line := " " + r.theme.bold.On(name) + "  " + paint.On(glyph+" "+state.String()) + "  " + strings.Join(parts, " · ")
	mode := r.mode(v, s, true)
	// the mode matters more than the end of the state
	if mode != "" && text.Width(line)+text.Width(mode) >= width {
		mode = r.mode(v, s, false)
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
// is; a frozen view; as of when a run is shown that has not ended and is not followed.
func (r *runScreen) mode(v *lab.View, s *session, far bool) string {
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
	if s.deleted {
		words = append(words, "log deleted")
	}
	if at := report.AsOf(v); at != "" && s.over() && s.replay == nil && s.frozen == nil {
		if !far { // without year and seconds
			at = "as of " + at[len("as of 2026-"):len("as of 2026-11-29 04:12")]
		}
		words = append(words, at)
	}
	if s.frozen != nil {
		words = append(words, "frozen (.) as of "+s.frozenAt.Format("15:04:05"))
	}
	if len(words) == 0 {
		return ""
	}
	return r.theme.warning.On(strings.Join(words, "  ") + " ")
}

// progress is the elapsed time of a running run, how far it is, and the step in work.
func (r *runScreen) progress(v *lab.View) []string {
	parts := []string{report.Clock(r.session.elapsed(v, r.now())), report.HowFar(v, r.session.left(v, r.now()))}
	first, more := (*lab.CellView)(nil), 0
	for i := range v.Cells {
		switch c := &v.Cells[i]; {
		case c.State != lab.Running:
		case first == nil:
			first = c
		default:
			more++
		}
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
	if n := len(first.Stages); n > 0 && first.Stages[n-1].Text != "" {
		at += ", " + text.Clean(first.Stages[n-1].Text)
	}
	if more > 0 {
		at += fmt.Sprintf(" and %d more", more)
	}
	return append(parts, at)
}

// doubtLine is the warning about the step that is being worked on, of the first cell that has one:
// the newest note of the step, where that is a warning. "" is none.
func (r *runScreen) doubtLine(v *lab.View, width int) string {
	if v.State.Over() {
		return ""
	}
	line, more := "", 0
	for i := range v.Cells {
		c := &v.Cells[i]
		if c.State != lab.Running {
			continue
		}
		doubt := stageDoubt(v, c)
		switch {
		case doubt == "":
		case line != "":
			more++
		case len(v.Cells) > 1:
			line = text.Clean(c.ID) + " " + text.Clean(doubt)
		default:
			line = text.Clean(doubt)
		}
	}
	if line == "" {
		return ""
	}
	line = " ⚠ " + line
	end := ""
	if more > 0 {
		end = fmt.Sprintf(" and %d more (!)", more)
	}
	return r.theme.warning.On(text.Cut(line, width-text.Width(end)) + end)
}

// stageDoubt is the newest note of the stage that a cell is in, where that is a warning.
func stageDoubt(v *lab.View, c *lab.CellView) string {
	for i := len(v.Notes) - 1; i >= 0; i-- {
		n := &v.Notes[i]
		if n.Cell == c.ID && strings.HasPrefix(n.Text, c.Stage+": ") {
			if n.Level != lab.Warning {
				return ""
			}
			return n.Text
		}
	}
	return ""
}
