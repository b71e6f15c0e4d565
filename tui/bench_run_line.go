package tui

import (
	"math/bits"
	"strconv"
	"strings"

	"slimlab/lab"
	"slimlab/lab/report"
	"slimlab/tui/text"
)

// figuresKey names what was read of a run: a run that goes on has a longer log later.
func (b *benchScreen) figuresKey(r *RunInfo) string {
	// reading the log at each doubling costs as much as reading it twice
	if r.State == lab.Running {
		return r.ID + " running " + strconv.Itoa(bits.Len64(uint64(r.Bytes)))
	}
	return r.ID + " " + strconv.FormatInt(r.Bytes, 10)
}

func (b *benchScreen) figuresOf(r *RunInfo) (f RunFigures, known bool) {
	f, known = b.figures[b.figuresKey(r)]
	return f, known
}

// runLine is a run in width cells: its scenario, what it changed in it, its headline, when it
// began, how long it took, and how it ended. What does not fit goes from the middle.
func (b *benchScreen) runLine(r *RunInfo, width int) (name, note string, p text.Paint) {
	glyph, word, p := b.runState(r)
	note = glyph + " " + word
	if r.Started.IsZero() { // its log cannot be read
		return r.ID, note, p
	}
	name = r.Scenario
	if r.Quick {
		name += " (quick)"
	}
	date := r.Started.Format("01-02 15:04")
	if width < 37 {
		date = r.Started.Format("01-02")
	}
	if far := b.howFar(r); far != "" { // in place of what a run has when it is over
		note += " " + far
		if r := date + " " + note; width-text.Width(r)-text.Width(text.Clean(name)) > 1 {
			note = r
		}
		return name, note, p
	}
	if width >= 50 {
		note = date + text.Right(report.Duration(r.Duration.Seconds()), 8) + " " + note
	} else {
		note = date + " " + note
	}
	f, known := b.figuresOf(r)
	if known && f.Headline != "" && width-text.Width(note)-text.Width(text.Clean(name)) < 20 {
		note = strings.Replace(note, date, r.Started.Format("01-02"), 1)
	}
	room := width - text.Width(note) - text.Width(text.Clean(name)) - 2
	if changed := changedSettings(r); changed != "" && room > 4 {
		changed = text.Cut(changed, max(8, room/2))
		name += "  " + changed
		room -= text.Width(changed) + 2
	}
	if known && f.Headline != "" && room > 10 {
		note = text.Cut(f.Headline, room-1) + "  " + note
	}
	return name, note, p
}

// howFar says how far a run is that is running.
func (b *benchScreen) howFar(r *RunInfo) (far string) {
	if !b.running() || b.live.id != r.ID {
		return text.Clean(r.HowFar)
	}
	b.live.board.Read(func(v *lab.View) { far = report.HowFar(v, b.live.left(v, b.now())) })
	return far
}

// changedSettings are the settings of a run that are not its scenario's.
func changedSettings(r *RunInfo) string {
	changed := strings.Join(cleanAll(r.Settings), " ")
	if r.Seed > 1 {
		changed = strings.TrimSpace(changed + " seed=" + strconv.Itoa(r.Seed))
	}
	return changed
}
