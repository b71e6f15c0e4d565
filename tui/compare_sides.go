package tui

import (
	"fmt"
	"slices"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"slimlab/internal/plural"
	"slimlab/lab"
	"slimlab/lab/report"
	"slimlab/lab/sweep"
	"slimlab/tui/text"
)

// side is a run in a comparison, or one row of a run.
type side struct {
	run  string
	row  int       // of view.Rows; wholeRun: all of them
	view *lab.View // of the whole run
}

const wholeRun = -1

// name is the run's id, or the row's name with that of its run.
func (s *side) name() string {
	if s.row == wholeRun {
		return s.run
	}
	return report.SideName(s.view, s.row)
}

// comparedMsg is a comparison that was made.
type comparedMsg struct {
	sides  []side
	result *report.Runs
	err    error
}

// compareRuns reads runs and compares them with the one at base. A run that is open or live is
// compared as it is now.
func (w *workbench) compareRuns(ids []string, base int) tea.Cmd {
	sides := make([]side, len(ids))
	for i, id := range ids {
		sides[i] = side{run: id, row: wholeRun}
		for _, s := range []*session{w.live, w.session} {
			if s != nil && s.id == id && s.replay == nil {
				sides[i].view = s.board.Snapshot()
			}
		}
	}
	return w.compare(sides, base)
}

// compare compares sides with the one at base; those without a view are read.
func (w *workbench) compare(sides []side, base int) tea.Cmd {
	w.say("comparing %s …", plural.Of(len(sides), "side"))
	return func() tea.Msg {
		for i := range sides {
			s := &sides[i]
			if s.view == nil {
				var err error
				if s.view, err = openView(w, s.run); err != nil {
					return comparedMsg{err: fmt.Errorf("run %s: %w", s.run, err)}
				}
			}
		}
		return comparedMsg{sides: sides, result: resultOf(sides, base, w.bench.Settings)}
	}
}

// resultOf compares sides, which are runs or rows, as the verb compare does.
func resultOf(sides []side, base int, resolve report.Resolve) *report.Runs {
	views, rows := make([]*lab.View, len(sides)), make([]report.Side, len(sides))
	for i, s := range sides {
		views[i], rows[i] = s.view, report.Side{View: s.view, Row: s.row}
	}
	if sides[0].row == wholeRun {
		return report.CompareRuns(views, base, resolve)
	}
	return report.CompareSides(rows, base, resolve)
}

func openView(w *workbench, id string) (*lab.View, error) {
	board, err := w.bench.Open(w.ctx, id)
	if err != nil {
		return nil, err
	}
	if board.Version() == 0 {
		return nil, errEmpty
	}
	return board.Snapshot(), nil
}

// sideLines name the sides, as many as fit into a height.
func (c *compareScreen) sideLines(width, height int) []string {
	var lines []string
	for i := range c.sides {
		if len(lines) == height-1 && i < len(c.sides)-1 {
			return append(lines, c.theme.dim.On(fmt.Sprintf("  … and %d more", len(c.sides)-i)))
		}
		lines = append(lines, text.Cut(c.sideLine(i), width))
	}
	return lines
}

func (c *compareScreen) sideLine(i int) string {
	b := c.sides[i].view.Begin
	mark, paint := " ", text.Paint{}
	if i == c.result.Baseline {
		mark, paint = "◆", c.theme.bold
	}
	line := fmt.Sprintf(" %s %s %s  %s", mark, report.RunMark(i), text.Clean(c.sides[i].name()), text.Clean(b.Scenario))
	if b.Quick {
		line += " (quick)"
	}
	said, after := paint.On(line), ""
	if b.Started > 0 {
		after += "  " + time.Unix(b.Started, 0).Format("01-02 15:04")
	}
	after += "  " + text.Clean(b.Machine)
	if against := c.result.Against[i]; against != nil && !against.Comparable {
		said += c.theme.warning.On("  shares no row with the base")
	}
	return said + c.theme.dim.On(after)
}

// swap makes the side under the column cursor the baseline; with two sides, the other one.
func (c *compareScreen) swap() tea.Cmd {
	at := c.sideUnder()
	if len(c.sides) == 2 {
		at = 1 - c.result.Baseline
	}
	if at < 0 || at == c.result.Baseline {
		c.say("move the column cursor with < and > to the side that is to be the baseline")
		return nil
	}
	return c.compare(slices.Clone(c.sides), at)
}

// sideUnder is the side whose column the cursor is on; -1: none.
func (c *compareScreen) sideUnder() int {
	if at := c.grid.Column - 2; at >= 0 && at < len(c.sides) {
		return at
	}
	return -1
}

// openSide opens the side's run on the Run screen.
func (c *compareScreen) openSide() tea.Cmd {
	at := c.sideUnder()
	if at < 0 {
		at = c.result.Baseline
	}
	return c.openRun(c.sides[at].run, false)
}

// compareRows compares the marked rows of the run that is open, with the first of them; one row
// alone with the equal row of the pinned baseline.
func (r *runScreen) compareRows() tea.Cmd {
	if !r.hasRow() {
		r.say("no row is shown here that could be compared")
		return nil
	}
	view := r.session.board.Snapshot()
	var sides []side
	for _, i := range r.order {
		if r.marks[i] && i < len(view.Rows) {
			sides = append(sides, side{run: r.session.id, row: i, view: view})
		}
	}
	if len(sides) == 0 && r.row < len(view.Rows) {
		sides = append(sides, side{run: r.session.id, row: r.row, view: view})
	}
	if len(sides) == 1 {
		base := &r.baseline
		rows := sweep.Of(view).Rows
		own := slices.IndexFunc(rows, func(row sweep.Row) bool { return slices.Contains(row.Same, sides[0].row) })
		at, ok := 0, false
		if base.view != nil && base.run != r.session.id {
			at, ok = base.equal(view, &rows[own])
		}
		if !ok {
			r.say("%s", r.whyNoRows())
			return r.readBaseline()
		}
		sides = append([]side{{run: base.run, row: at, view: base.view}}, sides...)
	}
	return r.compare(sides, 0)
}

// whyNoRows says how rows are compared where one is chosen and has no equal.
func (r *runScreen) whyNoRows() string {
	switch base := &r.baseline; {
	case base.run == "":
		return "mark two rows or more with space, then press c; with a pinned baseline (b on the Bench) c compares one row with its equal there"
	case base.run == r.session.id:
		return "this run is the baseline itself: mark two rows or more with space, then press c"
	case base.view == nil:
		return "the baseline is being read: press c again"
	}
	return "the baseline has no such row: mark two rows or more with space, then press c"
}
