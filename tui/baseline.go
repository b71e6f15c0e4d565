package tui

import (
	"fmt"
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"slimlab/lab"
	"slimlab/lab/report"
	"slimlab/lab/sweep"
	"slimlab/tui/grid"
	"slimlab/tui/text"
)

// baseline is the run that is pinned for all screens.
type baseline struct {
	run    string         // empty: none is pinned
	view   *lab.View      // nil: not read yet
	deltas bool           // tables show what differs from it
	rows   map[string]int // its rows by the labels of the equal ones of the run of
	of     matchedRun
}

// matchedRun is the state of a run whose rows were matched with those of the baseline.
type matchedRun struct {
	run           string
	rows, changed int
	settled       bool // however its rows go on
}

// pinnedMsg is a pinned run that was read.
type pinnedMsg struct {
	run  string
	view *lab.View
	err  error
}

// pin pins a run as baseline for all screens; the pinned run itself is unpinned.
func (w *workbench) pin(run string) tea.Cmd {
	if run == w.baseline.run {
		run = ""
	}
	w.baseline = baseline{run: run}
	if run == "" {
		w.say("no run is pinned")
	} else {
		w.say("%s is the baseline: c compares with it, B shows on the Run screen what differs from it", text.Clean(run))
	}
	return tea.Batch(func() tea.Msg {
		if err := w.bench.Pin(run); err != nil {
			return saidMsg{err: fmt.Errorf("the baseline is not kept for another time: %w", err)}
		}
		return nil
	}, w.readBaseline())
}

// readBaseline reads the pinned run, which tables compare with.
func (w *workbench) readBaseline() tea.Cmd {
	run := w.baseline.run
	if run == "" || w.baseline.view != nil {
		return nil
	}
	return func() tea.Msg {
		view, err := openView(w, run)
		return pinnedMsg{run, view, err}
	}
}

// takeBaseline takes over what was read, if it is still pinned.
func (w *workbench) takeBaseline(msg pinnedMsg) {
	if msg.run != w.baseline.run {
		return
	}
	if msg.err != nil {
		w.fail("baseline "+text.Clean(msg.run), msg.err)
		return
	}
	w.baseline.view, w.baseline.of = msg.view, matchedRun{}
}

// equal finds the baseline's row that measures the same as one of another run.
func (b *baseline) equal(v *lab.View, row *sweep.Row) (at int, ok bool) {
	of := matchedRun{run: v.Begin.Run, rows: len(v.Rows), changed: v.RowsChanged}
	if b.rows == nil || of.run != b.of.run || of.rows != b.of.rows || !b.of.settled && of.changed != b.of.changed {
		b.rows, of.settled = report.EqualRows(v, b.view)
		b.of = of
	}
	at, ok = b.rows[row.Label()]
	return at, ok
}

// missBaseline unpins a run that is no longer there, and says so.
func (w *workbench) missBaseline(runs []RunInfo) tea.Cmd {
	gone := w.baseline.run
	if gone == "" || slices.ContainsFunc(runs, func(r RunInfo) bool { return r.ID == gone }) {
		return nil
	}
	w.baseline = baseline{}
	w.fail("", fmt.Errorf("the baseline %s is not there any more: no run is pinned", gone))
	return func() tea.Msg {
		if err := w.bench.Pin(""); err != nil {
			return saidMsg{err: err}
		}
		return nil
	}
}

// baselineText names the pinned run in the title.
func (w *workbench) baselineText() string {
	if w.baseline.run == "" {
		return ""
	}
	return "◆ base " + text.Cut(text.Clean(w.baseline.run), 28) + "  "
}

// turnDeltas shows in the table what differs from the pinned run, or the values again.
func (r *runScreen) turnDeltas() tea.Cmd {
	w := r.workbench
	switch {
	case w.baseline.run == "":
		r.say("no run is pinned as baseline: b does so on the Bench")
		return nil
	case w.baseline.run == r.session.id:
		r.say("this run is the baseline")
		return nil
	}
	w.baseline.deltas = !w.baseline.deltas
	r.grid.Forget()
	return w.readBaseline()
}

// showsDeltas says whether the table shows what differs from the pinned run.
func (r *runScreen) showsDeltas() bool {
	return r.baseline.deltas && r.baseline.run != r.session.id
}

// deltaCell is what differs of a metric from the equal row of the pinned run.
func (r *runScreen) deltaCell(row *sweep.Row, m lab.Metric) grid.Cell {
	text, _ := r.delta(row, m)
	cell := grid.Cell{Text: text}
	if strings.HasPrefix(text, "=") || text == report.Missing || text == "·" {
		cell.Paint = r.theme.dim
	}
	return cell
}

// delta is a metric relative to that of the equal row of the pinned run, and why there is none.
func (r *runScreen) delta(row *sweep.Row, m lab.Metric) (shown, why string) {
	base := &r.baseline
	if base.view == nil {
		return "·", "the baseline is being read"
	}
	at, ok := base.equal(r.last.view, row)
	if !ok {
		return report.Missing, "the baseline has no such row"
	}
	old, had := base.view.Rows[at].Metric(m.Key)
	now, has := row.Metric(m.Key)
	switch {
	case !has && (row.State == lab.Waiting || row.State == lab.Running):
		return "·", "not measured yet"
	case !has:
		return report.Missing, "not measured"
	case !had:
		return report.Missing, "not measured in the baseline"
	case old.Value == now.Value:
		return "=", ""
	}
	return report.DeltaText(m, old.Value, now.Value), ""
}
