package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"slimlab/internal/plural"
	"slimlab/internal/visible"
	"slimlab/lab"
	"slimlab/lab/report"
	"slimlab/lab/store"
)

// progress says on stderr what a verb is doing: one rewritten line on a terminal, else a line for
// each thing that is done and one every ten seconds. Writes that fail are not reported: progress is
// not the product.
type progress struct {
	w        io.Writer
	terminal bool
	start    time.Time
	last     float64 // when a line was last written, in seconds since the start
	width    int     // of the line to be rewritten; 0: none
	run      string  // its id
	mark     string  // before each text
	// what runs of one search have said of their plans, which this one does not say again; nil: all
	// is said
	said map[string]bool
	pace pace // of the steps of a verb

	board    *lab.Board // of the run that is shown; nil: none
	forecast *lab.Forecast
	earlier  lab.Earlier
	silent   bool // it was so at the last look
}

// of makes progress that of a run: lines say how far it is.
func (p *progress) of(board *lab.Board) { p.board = board }

func newProgress(w io.Writer) *progress {
	f, ok := w.(*os.File)
	return &progress{w: w, terminal: ok && isTerminal(f), start: time.Now(), last: -1}
}

// elapsed returns the seconds since the start.
func (p *progress) elapsed() float64 { return time.Since(p.start).Seconds() }

// event shows an event of a run, at the run's own time.
func (p *progress) event(e lab.Event) {
	switch e.Kind {
	case lab.KindBegin:
		p.run, p.forecast = e.Begin.Run, lab.NewForecast(e.Begin)
		p.line(e.Time, fmt.Sprintf("%s: run %s, %s × %s", cmp.Or(e.Name, e.Begin.Scenario), e.Begin.Run, plural.Of(len(e.Begin.Cells), "cell"), plural.Of(len(e.Begin.Rows), "step")))
	case lab.KindNote:
		if p.saidBefore(e, e.Text) {
			return
		}
		p.line(e.Time, fmt.Sprintf("%s: %s", e.Level, join(e.Cell, e.Text)))
	case lab.KindRow:
		text := "measured " + e.Row + quality(e) + p.marks(e)
		if !p.saidBefore(e, text) {
			p.line(e.Time, join(e.Cell, text))
		}
	case lab.KindCell:
		if e.State != lab.Running {
			if far := p.far(e.Time); far != "" && e.State != lab.Waiting {
				p.line(e.Time, join(e.Cell, e.State.String()+": "+far))
			}
			return
		}
		text := join(e.Cell, e.Stage)
		if e.Text != "" {
			text += " " + e.Text
		}
		if e.Total > 0 {
			text += fmt.Sprintf(" %d/%d", e.Step, e.Total)
		}
		if far := p.far(e.Time); far != "" {
			text = far + " · " + text
		}
		p.passing(e.Time, text)
	}
}

// saidBefore reports a note or a row of a search that one of its runs had, or another of its
// candidates.
func (p *progress) saidBefore(e lab.Event, text string) bool {
	if p.said == nil || e.Level == lab.Error {
		return false
	}
	if e.Kind == lab.KindNote && e.Level == lab.Info && e.Cell == "" {
		text = ofCandidate.ReplaceAllString(text, "")
	}
	key := fmt.Sprint(e.Kind, e.Level, text)
	before := p.said[key]
	p.said[key] = true
	return before
}

// ofCandidate begins a note of the plan of a candidate of a search.
var ofCandidate = regexp.MustCompile(`^c[0-9]+(-[a-z0-9-]+)?:? `)

// heard says that a followed run is silent, on a terminal for how long, and once that it is not any
// more.
func (p *progress) heard(s store.Status, now time.Time) {
	was := p.silent
	p.silent = s.State == lab.Silent
	if !was && !p.silent {
		return
	}
	at := now.Sub(s.Beat).Seconds()
	p.board.Read(func(v *lab.View) { at += v.Time })
	text := s.State.String() + " " + s.Silence(now)
	switch {
	case !p.silent:
		p.line(at, s.State.String()+" again")
	case p.terminal:
		p.passing(at, text)
	case !was:
		p.line(at, text)
	}
}

// far says how far the run is, and what it still needs; "" where that is not known.
func (p *progress) far(now float64) (text string) {
	if p.board == nil || p.forecast == nil {
		return ""
	}
	p.board.Read(func(v *lab.View) {
		switch {
		case v.State != lab.Running:
		case v.Count(lab.Waiting)+v.Count(lab.Running) == 0:
			text = report.Progress(v)
		default:
			text = report.HowFar(v, p.forecast.Left(v, now, p.earlier))
		}
	})
	return text
}

// pace is what the time left of a verb's steps is reckoned from: those after from, which was
// reached at since. A part of the work with another total has a pace of its own.
type pace struct {
	total, from int
	since, last float64 // in seconds since the start
	// an earlier command has done some of the steps, which the first number counts too
	resumed bool
}

// left is the time that is left after a step, ok where one has been done since.
func (p *pace) left(done, total int, elapsed float64) (seconds float64, ok bool) {
	if total != p.total {
		p.total, p.from, p.since = total, 0, p.last
	}
	if p.last = elapsed; p.resumed && done > 0 {
		p.from, p.since, p.resumed = done, elapsed, false
	}
	if done <= p.from {
		return 0, false
	}
	return (elapsed - p.since) / float64(done-p.from) * float64(max(0, total-done)), true
}

// step shows how much of the work is done, and the time left once a part of it is.
func (p *progress) step(done, total int, text string) {
	elapsed := p.elapsed()
	if total > 0 {
		const width = 20
		filled := max(0, min(width*done/total, width))
		line := fmt.Sprintf("%s%s %d/%d", strings.Repeat("█", filled), strings.Repeat("░", width-filled), done, total)
		if left, ok := p.pace.left(done, total, elapsed); ok {
			line += fmt.Sprintf(", %s left", report.Duration(left))
		}
		text = line + " · " + text
	}
	p.passing(elapsed, text)
	if done == total {
		p.done()
	}
}

// passing shows a text that the next one replaces: on a terminal; else it is a line every ten
// seconds.
func (p *progress) passing(at float64, text string) {
	switch {
	case p.terminal:
		line := stamp(at) + p.mark + visible.Line(text)
		fmt.Fprintf(p.w, "\r%-*s", p.width, line)
		p.width = utf8.RuneCountInString(line)
	case at-p.last >= 10:
		p.line(at, text)
	}
}

// line writes a line that stays.
func (p *progress) line(at float64, text string) {
	p.done()
	fmt.Fprintln(p.w, stamp(at)+p.mark+visible.Line(text))
	p.last = at
}

// done ends a rewritten line.
func (p *progress) done() {
	if p.width > 0 {
		fmt.Fprintf(p.w, "\r%*s\r", p.width, "")
		p.width = 0
	}
}

func quality(e lab.Event) string {
	for _, key := range []string{"auc_soft", "loss"} {
		if m, ok := e.Values[key]; ok {
			metric, _ := lab.MetricByKey(key)
			return fmt.Sprintf(": %s %.4f", metric.Label, m.Value)
		}
	}
	return ""
}

// marks are the warnings of a row's timings, each once.
func (p *progress) marks(e lab.Event) string {
	var marks []string
	for _, t := range e.Timings {
		for w := range strings.SplitSeq(t.Warning(p.run), "; ") {
			if w != "" && !slices.Contains(marks, w) {
				marks = append(marks, w)
			}
		}
	}
	if len(marks) == 0 {
		return ""
	}
	return " (" + strings.Join(marks, "; ") + ")"
}

func join(cell, text string) string {
	if cell == "" {
		return text
	}
	return cell + " · " + text
}

func stamp(seconds float64) string { return fmt.Sprintf("%6.1fs ", seconds) }
