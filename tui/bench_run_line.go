package tui

import (
	"cmp"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"time"

	"slimlab/lab"
	"slimlab/lab/report"
	"slimlab/tui/text"
)

// figuresKey names what was read of a run: a run that goes on has a longer log later.
func (b *benchScreen) figuresKey(r *RunInfo) string {
	// reading the log at each doubling costs as much as reading it twice
	if !r.State.Over() {
		return r.ID + " running " + strconv.Itoa(bits.Len64(uint64(r.Bytes)))
	}
	return r.ID + " " + strconv.FormatInt(r.Bytes, 10)
}

func (b *benchScreen) figuresOf(r *RunInfo) (f RunFigures, known bool) {
	f, known = b.figures[b.figuresKey(r)]
	return f, known
}

// runLine is what the list says of a run, each thing at any length.
type runLine struct {
	name     string // of its scenario; of a log that cannot be read, its id
	quick    bool
	settings []string // that it changed in its scenario
	figure   []string // its headline, or how far it is; the longest form first
	started  time.Time
	took     time.Duration
	state    string // glyph and word
	paint    text.Paint
}

const quickMark = " (quick)"

func (b *benchScreen) runLine(r *RunInfo) runLine {
	glyph, word, paint := b.runState(r)
	l := runLine{name: text.Clean(r.Scenario), quick: r.Quick, started: r.Started, took: r.Duration, state: glyph + " " + word, paint: paint}
	if r.Started.IsZero() {
		l.name = text.Clean(r.ID)
		return l
	}
	l.settings = shortSettings(changedSettings(r))
	if far := b.progress(r); far != (Progress{}) {
		l.figure, l.took = far.forms(), max(r.Duration, b.now().Sub(r.Started))
	} else if f, known := b.figuresOf(r); known {
		l.figure = f.Headline.forms()
	}
	return l
}

// progress says how far a run is that is running.
func (b *benchScreen) progress(r *RunInfo) (p Progress) {
	if !b.running() || b.live.id != r.ID {
		return Progress{text.Clean(r.Progress.Done), text.Clean(r.Progress.Left)}
	}
	b.live.board.Read(func(v *lab.View) {
		if v.Begun {
			p = Progress{report.Progress(v), report.Left(b.live.left(v, b.now()))}
		}
	})
	return p
}

func (p Progress) String() string {
	if p.Done == "" || p.Left == "" {
		return p.Done + p.Left
	}
	return p.Done + ", " + p.Left
}

// forms are the texts of a progress, the longest first, each a beginning of the one before: what
// the time left rests on goes first, then the time left.
func (p Progress) forms() []string {
	count, _, _ := strings.Cut(p.Done, " ")
	left, _, _ := strings.Cut(p.Left, ", ")
	return []string{p.String(), Progress{p.Done, left}.String(), p.Done, count}
}

func (h Headline) clean() Headline {
	return Headline{text.Clean(h.Value), text.Clean(h.Interval), text.Clean(h.Metric), text.Clean(h.Row)}
}

func (h Headline) String() string { return strings.TrimPrefix(h.forms()[0], " ") }

// forms are the texts of a headline, the longest first: with its interval and row, without them,
// the value alone.
func (h Headline) forms() []string {
	if h.Value == "" {
		return []string{""}
	}
	short := strings.TrimSpace(h.Value + " " + h.Metric)
	row := ""
	if h.Row != "" {
		row = " · " + h.Row
	}
	return []string{strings.Join(strings.Fields(h.Value+" "+h.Interval+" "+h.Metric), " ") + row, short + row, short, h.Value}
}

// changedSettings are the settings of a run that are not its scenario's.
func changedSettings(r *RunInfo) []string {
	changed := cleanAll(r.Settings)
	if r.Seed > 1 {
		changed = append(changed, "seed="+strconv.Itoa(r.Seed))
	}
	return changed
}

// shortSettings leaves of each key its last part, where that tells it from the others.
func shortSettings(settings []string) []string {
	last := func(s string) string {
		key, value, _ := strings.Cut(s, "=")
		return key[strings.LastIndex(key, ".")+1:] + "=" + value
	}
	times := map[string]int{}
	for _, s := range settings {
		key, _, _ := strings.Cut(last(s), "=")
		times[key]++
	}
	short := make([]string, len(settings))
	for i, s := range settings {
		short[i] = s
		if key, _, _ := strings.Cut(last(s), "="); strings.Contains(s, "=") && times[key] == 1 {
			short[i] = last(s)
		}
	}
	return short
}

// fitSettings writes as many settings as have room, and how many there are besides: "steps=50 +2".
func fitSettings(settings []string, width int) string {
	for n := len(settings); n > 0; n-- {
		line := strings.Join(settings[:n], " ")
		if rest := len(settings) - n; rest > 0 {
			line += fmt.Sprintf(" +%d", rest)
		}
		if text.Width(line) <= width {
			return line
		}
	}
	switch len(settings) {
	case 0:
		return ""
	case 1:
		return text.Cut(settings[0], width)
	}
	more := fmt.Sprintf(" +%d", len(settings)-1)
	return text.Cut(settings[0], width-text.Width(more)) + text.Cut(more, width)
}

// runColumns are the widths of what stands in the lines of runs; 0: there is no such column.
type runColumns struct{ name, settings, figure, date, took, state int }

// What the columns of runs need at least: enough of a name or a setting to know it.
const (
	leastName     = 8
	leastSettings = 8
)

// columnsOf shares width among what the lines have. The state, the progress or headline, the
// settings, the day and the duration are in every line. At first the time of day, the interval and
// the row of the headline go, then settings and names become shorter, at last the name of the
// metric goes.
func columnsOf(lines []runLine, width int) runColumns {
	c := runColumns{date: len("01-02"), took: len("59m"), state: 1}
	var settings, figure [4]int // by form
	for _, l := range lines {
		c.state = max(c.state, text.Width(l.state))
		if l.started.IsZero() {
			continue
		}
		c.name = max(c.name, text.Width(l.name)+number(l.quick)*len(quickMark))
		settings[0] = max(settings[0], text.Width(strings.Join(l.settings, " ")))
		for form := range figure {
			if len(l.figure) > 0 {
				figure[form] = max(figure[form], text.Width(l.figure[min(form, len(l.figure)-1)]))
			}
		}
	}
	gap := func(width int) int { return width + 2*number(width > 0) }
	room := func() int { return width - c.date - c.took - c.state - 3 }
	wide := settings[0]
	c.settings = min(wide, 40)
	c.name = min(c.name, max(leastName, width*2/5))
	if width >= 68 {
		c.date, c.took = len("01-02 15:04"), len("59m 59s")
		if c.name+gap(min(c.settings, 24))+gap(figure[2]) > room() {
			c.date = len("01-02")
		}
	}
	for _, c.figure = range figure[:3] {
		if c.name+gap(c.settings)+gap(c.figure) <= room() {
			c.spread(room() - c.name - gap(c.settings) - gap(c.figure))
			return c
		}
	}
	c.figure = figure[2]
	c.settings = max(min(leastSettings, wide), min(wide, room()-c.name-gap(c.figure)-2))
	if over := c.name + gap(c.settings) + gap(c.figure) - room(); over > 0 {
		c.name = max(min(leastName, c.name), c.name-over)
	}
	if c.name+gap(c.settings)+gap(c.figure) > room() {
		c.figure = figure[3]
	}
	c.spread(room() - c.name - gap(c.settings) - gap(c.figure))
	return c
}

// spread gives what is left over to the last column before the day.
func (c *runColumns) spread(spare int) {
	switch {
	case c.figure > 0:
		c.figure = max(0, c.figure+spare)
	case c.settings > 0:
		c.settings = max(0, c.settings+spare)
	default:
		c.name = max(0, c.name+spare)
	}
}

// write lays a line out; note is its end, which is painted.
func (c runColumns) write(l *runLine) (line, note string) {
	note = text.Fit(l.state, c.state)
	if l.started.IsZero() {
		gaps := 2*number(c.settings > 0) + 2*number(c.figure > 0) + 3
		return text.Fit(l.name, c.name+c.settings+c.figure+gaps+c.date+c.took-1) + " ", note
	}
	quick := ""
	if l.quick {
		quick = quickMark
		if c.name < min(leastName, text.Width(l.name))+len(quickMark) {
			quick = " (q)"
		}
	}
	line = text.Fit(text.Cut(l.name, c.name-len(quick))+quick, c.name)
	if c.settings > 0 {
		line += "  " + text.Fit(fitSettings(l.settings, c.settings), c.settings)
	}
	if c.figure > 0 {
		line += "  " + text.Fit(longest(l.figure, c.figure), c.figure)
	}
	date, took := l.started.Format("01-02 15:04"), report.Duration(l.took.Seconds())
	if c.date < len(date) {
		date = l.started.Format("01-02")
	}
	if text.Width(took) > c.took {
		took = roughly(l.took)
	}
	return line + " " + date + " " + text.Right(took, c.took) + " ", note
}

// longest is the first of the forms that has room, else the last one, cut.
func longest(forms []string, width int) string {
	for _, f := range forms {
		if text.Width(f) <= width {
			return f
		}
	}
	if len(forms) == 0 {
		return ""
	}
	return text.Cut(forms[len(forms)-1], width)
}

// roughly writes a duration in its largest unit: "53s", "12m", "2h", "3d".
func roughly(d time.Duration) string {
	for _, unit := range []struct {
		length time.Duration
		name   string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}} {
		if d >= unit.length {
			return strconv.Itoa(int(d/unit.length)) + unit.name
		}
	}
	return cmp.Or(strings.TrimPrefix(strconv.Itoa(int(d/time.Second))+"s", "0s"), "<1s")
}
