package tui

import (
	"fmt"
	"strings"

	"slimlab/internal/plural"
	"slimlab/lab"
	"slimlab/lab/report"
	"slimlab/tui/text"
)

func (b *benchScreen) details(width int) []string {
	it := b.selection()
	switch {
	case it.scenario != nil:
		return b.scenarioDetails(it.scenario, width)
	case it.run != nil:
		return b.runDetails(it.run, width)
	case !b.haveList:
		return []string{"reading the scenarios …"}
	}
	return []string{"Nothing here matches the filter. esc clears it."}
}

func (b *benchScreen) scenarioDetails(c *ScenarioInfo, width int) []string {
	p := &page{width: width, theme: &b.theme}
	p.say(b.theme.head.On(text.Cut(text.Clean(c.Name), width)))
	p.say(text.Wrap(c.About, width)...)
	if c.Err != nil {
		p.heading("✗ cannot be run")
		for line := range strings.SplitSeq(c.Err.Error(), "\n") {
			p.say(text.Wrap(text.Clean(line), width)...)
		}
		if c.File != "" {
			p.say("")
			p.say(text.Wrap("E opens it in your editor, at the line; it is read again when it changes.", width)...)
		}
		return p.lines
	}
	if c.Pending {
		p.say("", "reading …")
		return p.lines
	}
	switch c.Place {
	case Own:
		p.say(text.Wrap(text.Clean("file "+c.File+" of "+b.library.Folder), width)...)
	case Earlier:
		p.say(text.Wrap(text.Clean("from the log of "+strings.TrimPrefix(c.ID, RunScenario(""))+": no file here has it"), width)...)
	}
	p.say("")
	work := plural.Of(c.Seeds, "seed")
	if len(c.Sweep) > 0 {
		work = fmt.Sprintf("%s: %s × %s", plural.Of(c.Cells, "cell"), plural.Of(c.Cells/max(1, c.Seeds), "sweep point"), work)
	}
	p.say(text.Cut(work+" in the full run", width))
	if r := b.lastRun(c.Name); r != nil {
		glyph, word, _ := b.runState(r)
		last := fmt.Sprintf("last run %s  %s %s  %s", r.Started.Format("2006-01-02 15:04"), glyph, word, report.Duration(r.Duration.Seconds()))
		switch partOf(r) {
		case "quick":
			last += ", quick: never in full"
		case "changed":
			last += ", with " + strings.Join(changedSettings(r), " ")
		}
		p.say(text.Wrap(last, width)...)
	} else {
		p.say(text.Cut("never run here; r runs it, Q runs its quick version", width))
	}
	p.heading(fmt.Sprintf("pipeline: %s, a row each", plural.Of(len(c.Steps), "step")))
	p.list(func(i int) string { return fmt.Sprintf("%2d ", i+1) }, c.Steps)
	if len(c.Sweep) > 0 {
		p.heading("sweep")
		p.list(dash, c.Sweep)
	}
	if len(c.Expect) > 0 {
		p.heading("expected")
		p.list(dash, c.Expect)
	}
	return p.lines
}

func (b *benchScreen) runDetails(r *RunInfo, width int) []string {
	p := &page{width: width, theme: &b.theme}
	p.say(b.theme.head.On(text.Cut(text.Clean(r.ID), width)))
	if r.Err != nil {
		switch {
		case r.State == lab.Newer:
			p.heading("✗ a newer version of slimlab wrote its log")
		case r.readable():
			p.heading("✗ its log is damaged; what is before the damage can be opened")
		default:
			p.heading("✗ its log cannot be read")
		}
		p.say(text.Wrap(text.Clean(r.Err.Error()), width)...)
		if !r.readable() {
			return p.lines
		}
		p.say("")
	}
	glyph, word, paint := b.runState(r)
	kind := "full"
	if r.Quick {
		kind = "quick"
	}
	p.say(text.Cut(fmt.Sprintf("%s, %s", text.Clean(r.Scenario), kind), width))
	state := glyph + " " + word
	if r.Silence != "" {
		state += " " + text.Clean(r.Silence)
	}
	if far := b.progress(r); far != (Progress{}) {
		state += ": " + far.String()
	}
	for _, line := range text.Wrap(state, width) {
		p.say(paint.On(line))
	}
	p.say("")
	p.say(text.Cut("started  "+r.Started.Format("2006-01-02 15:04:05"), width))
	p.say(text.Cut("took     "+report.Duration(r.Duration.Seconds()), width))
	for i, line := range text.Wrap(text.Clean(r.Machine), width-9) {
		p.say([]string{"machine  ", "         "}[min(i, 1)] + line)
	}
	for i, changed := range changedSettings(r) {
		p.list(func(int) string { return []string{"changed  ", "         "}[min(i, 1)] }, []string{changed})
	}
	if f, known := b.figuresOf(r); known && f.Headline.Value != "" {
		p.list(func(int) string { return "figure   " }, []string{f.Headline.String()})
	}
	p.say("")
	hint := "enter opens it, R repeats it with its settings, p replays it, e exports it, D deletes it."
	if r.NoDelete != "" {
		hint = "enter follows it, R repeats it with its settings. It cannot be deleted now: " + text.Clean(r.NoDelete) + "."
	}
	switch {
	case b.running() && b.live.id == r.ID:
		hint = "It is live: enter watches it."
	case len(b.compared()) > 1:
		hint = fmt.Sprintf("c compares %s; ", plural.Of(len(b.compared()), "run")) + hint
	default:
		hint += " space marks it (•): marked runs are compared with c. b pins it (◆) as the baseline of all screens."
	}
	p.say(text.Wrap(hint, width)...)
	return p.lines
}
