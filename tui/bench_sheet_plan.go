package tui

import (
	"fmt"

	"slimlab/internal/plural"
	"slimlab/lab/report"
	"slimlab/tui/text"
)

// plan says what will be done, as far as it is known.
func (s *sheet) plan(p *page) {
	v := &s.preview
	p.heading("what will be done")
	if !s.known {
		p.say("  checking …")
		return
	}
	if s.answer != s.asked {
		p.say("  checking … (below: before the change)")
	}
	work := plural.Of(v.Cells, "cell")
	if v.Points > 1 {
		work += fmt.Sprintf(": %s × %s", plural.Of(v.Points, "sweep point"), plural.Of(v.Seeds, "seed"))
	}
	row := func(name, value string) {
		p.list(func(int) string { return "  " + text.Fit(name, 9) }, []string{text.Clean(value)})
	}
	row("cells", work)
	steps := fmt.Sprintf("%d to build, %d cached", v.Build, v.Cached)
	if v.Shared > 0 {
		steps += fmt.Sprintf(", %d shared with an earlier cell", v.Shared)
	}
	if v.Loaded > 0 {
		steps += fmt.Sprintf(", %d measured as loaded", v.Loaded)
	}
	row("steps", steps)
	if v.Duration != "" {
		row("time", v.Duration)
	} else {
		row("time", "not known: no run of it has ended here")
	}
	disk := "nothing new"
	if v.Bytes > 0 {
		disk = "at most " + report.Bytes(v.Bytes)
	}
	if v.Free >= 0 {
		disk += ", " + report.Bytes(v.Free) + " free"
	}
	row("disk", disk+", in "+v.Folder)
	if v.Free >= 0 && v.Bytes > v.Free {
		p.say(s.theme.failed.On("  ✗ the models may not fit on the disk"))
	}
	for _, note := range v.Notes {
		p.list(func(int) string { return "  note     " }, []string{text.Clean(note)})
	}
}
