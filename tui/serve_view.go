package tui

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"slimlab/internal/plural"
	"slimlab/lab"
	"slimlab/lab/endpoint"
	"slimlab/lab/report"
	"slimlab/tui/grid"
	"slimlab/tui/text"
)

// besideWidth is the width from which on both tables stand beside each other, bothHeight the height
// from which on they stand below each other; in less one is seen alone.
const (
	besideWidth = 130
	bothHeight  = 12
	splitHeight = 16 // from which on what an engine is may have a line of its own
)

func (s *serveScreen) View(width, height int) []string {
	switch {
	case s.engine == nil:
		lines := []string{
			"No engine is watched.",
			"",
			"a serves a model here, or attaches to a server",
			"of slimlab serve by its URL; its key is taken",
			"from SLIMLAB_API_KEY.",
		}
		if s.refused != nil { // in full, of which the footer has a line
			lines = slices.Concat(painted(s.theme.failed, text.Wrap("✗ "+text.Clean(s.refused.Error()), width-4)), []string{""}, lines)
		}
		return centred(lines, width, height)
	case !s.known && s.silent != nil:
		return centred(painted(s.theme.failed, text.Wrap("✗ "+text.Clean(s.silence()), width-4)), width, height)
	case !s.known:
		return centred([]string{"Waiting for the engine …"}, width, height)
	}
	lines := s.statusLines(width, height >= splitHeight && width < besideWidth)
	if s.silent != nil {
		lines = append(lines, text.Cut(" "+s.theme.failed.On(text.Clean(s.silence())), width))
	} else {
		lines = append(lines, s.ratesLine(width))
	}
	lines = append(lines, s.timesLine(width), s.pagesLine(width))
	below := []string{}
	if last := s.lastAnswer(width); last != "" {
		below = append(below, last)
	}
	if height >= 16 {
		below = append(below, text.Cut(" "+s.theme.dim.On(s.explain()), width))
	}
	lines = append(lines, s.tables(len(lines), width, height-len(lines)-len(below))...)
	return append(lines, below...)
}

// painted paints each of some lines.
func painted(p text.Paint, lines []string) []string {
	for i := range lines {
		lines[i] = p.On(lines[i])
	}
	return lines
}

// silence says why there is no answer.
func (s *serveScreen) silence() string {
	if errors.Is(s.silent, context.DeadlineExceeded) {
		return fmt.Sprintf("no answer within %v: the engine is in a long step, or hangs; it is asked again", answerTime)
	}
	return "no answer: " + s.silent.Error()
}

// statusLines say which engine this is and what it does: in two lines, or in one, whose last parts
// are left out where they do not fit.
func (s *serveScreen) statusLines(width int, split bool) []string {
	d := &s.state
	_, state, paint := s.stateOf()
	place := "here"
	if at := s.engine.Place(); at != "" {
		place = "at " + text.Clean(at)
	}
	waiting := fmt.Sprintf("%d waiting", d.Waiting)
	if d.Following > 0 {
		waiting += fmt.Sprintf(", %d for a prefix", d.Following)
	}
	does := []string{fmt.Sprintf("%d running", d.Running), waiting, "step " + strconv.Itoa(d.Counts.Steps)}
	if d.Running+d.Waiting > 0 { // else it would be the batch of the last step
		does = append(does, fmt.Sprintf("batch of %d: %s", d.Batch, plural.Of(d.BatchTokens, "token")))
	}
	is := []string{place, text.Clean(d.Policy)}
	head := " " + s.theme.bold.On(text.Clean(d.Model)) + "  " + paint.On(state) + "  "
	if !split {
		return []string{fitting(head, slices.Concat(does, is), width)}
	}
	return []string{fitting(head, is, width), fitting(" ", does, width)}
}

// stateOf is the engine's state as glyph and word.
func (s *serveScreen) stateOf() (name, state string, paint text.Paint) {
	name = text.Clean(s.state.Model)
	switch {
	case s.silent != nil:
		return name, "✗ no answer", s.theme.failed
	case s.state.Paused:
		return name, "■ paused", s.theme.warning
	case s.state.Running+s.state.Waiting > 0:
		return name, "● running", s.theme.running
	}
	return name, "○ idle", s.theme.dim
}

func (s *serveScreen) brief() brief {
	if s.engine == nil || !s.known {
		return brief{name: "Serve: no engine is watched"}
	}
	name, state, paint := s.stateOf()
	return brief{name: name, state: state, far: fmt.Sprintf("%d+%d", s.state.Running, s.state.Waiting), paint: paint}
}

// ratesLine says how fast the engine is now, and what it was spared.
func (s *serveScreen) ratesLine(width int) string {
	computed, generated := s.meter.rates()
	n := &s.state.Counts
	parts := []string{fmt.Sprintf("computes %s tokens/s, generates %s tokens/s", report.Format(lab.Count, computed), report.Format(lab.Count, generated))}
	if n.Prompt > 0 {
		parts = append(parts, fmt.Sprintf("reused %d%% of all prompt tokens", 100*n.Cached/n.Prompt))
	}
	for _, more := range []struct {
		n    int
		what string
	}{{n.Retractions, "retraction"}, {n.Evicted, "evicted page"}, {n.Aborted, "cancelled request"}, {n.Refused + n.TimedOut, "refused request"}} {
		if more.n > 0 {
			parts = append(parts, plural.Of(more.n, more.what))
		}
	}
	return fitting(" ", parts, width)
}

// timesLine says what the last requests waited for their tokens.
func (s *serveScreen) timesLine(width int) string {
	var first, later []float64
	for _, e := range s.state.Ended {
		first, later = append(first, e.TTFT), append(later, e.TPOT)
	}
	of := func(name string, values []float64) string {
		median, most, n := spread(values)
		if n == 0 {
			return name + " –"
		}
		return fmt.Sprintf("%s %s, at most %s (%d)", name, report.Format(lab.Seconds, median), report.Format(lab.Seconds, most), n)
	}
	return text.Cut(" "+of("TTFT", first)+" · "+of("TPOT", later), width)
}

// pagesLine shows whose the pages are.
func (s *serveScreen) pagesLine(width int) string {
	p := &s.state.Pages
	words := fmt.Sprintf(" pages: █ %d private  ▓ %d shared  ▒ %d cached  ░ %d free, of %s", p.Private, p.Locked, p.Tree-p.Locked, p.Free, plural.Of(p.Tokens, "token"))
	room := min(40, width-text.Width(words)-2)
	if room < 10 || p.All == 0 {
		return text.Cut(words, width)
	}
	bar, filled, drawn := "", 0, 0
	for _, part := range []struct {
		pages int
		glyph string
	}{{p.Private, "█"}, {p.Locked, "▓"}, {p.Tree - p.Locked, "▒"}, {p.All - p.Private - p.Tree, "░"}} {
		filled += part.pages
		to := filled * room / p.All
		bar += text.Repeat(part.glyph, to-drawn)
		drawn = to
	}
	return " " + bar + words
}

// tables draws requests and tree from line y on.
func (s *serveScreen) tables(y, width, height int) []string {
	s.fillRequests()
	s.fillTree()
	s.requests.HideColumn, s.tree.HideColumn = s.inTree, !s.inTree
	switch {
	case height <= 0:
		return nil
	case width >= besideWidth:
		left := width * 11 / 20
		a, b := s.table(&s.requests, 0, y, left, height), s.table(&s.tree, left+1, y, width-left-1, height)
		for i := range a {
			a[i] = text.Fit(a[i], left) + " " + b[i]
		}
		return a
	case height >= bothHeight:
		above := min(max(4, s.requests.Rows+1), height/2)
		above = max(above, height-s.tree.Rows-2)
		above = min(above, height-4)
		lines := s.table(&s.requests, 0, y, width, above)
		lines = append(lines, "")
		return append(lines, s.table(&s.tree, 0, y+above+1, width, height-above-1)...)
	}
	return s.table(s.focused(), 0, y, width, height)
}

// table draws one of the tables, which takes the keys where it is clicked.
func (s *serveScreen) table(g *grid.Grid, x, y, width, height int) []string {
	inTree := g == &s.tree
	lines := g.Render(width, height)
	if g.Rows == 0 && height > 1 {
		empty := "  no request yet: n sends one"
		if inTree {
			empty = "  no prefix is cached"
		}
		lines[1] = text.Fit(empty, width)
	}
	s.gridTakesMouse(g, y, width, height, gridActions{chosen: func() { s.inTree = inTree }})
	s.regions[len(s.regions)-1].x = x
	return lines
}

var requestColumns = []grid.Column{{Title: "request", Right: true}, {Title: "state"}, {Title: "prompt", Right: true}, {Title: "reused", Right: true}, {Title: "output", Right: true}, {Title: "pages", Right: true}, {Title: "TTFT", Right: true}, {Title: "TPOT", Right: true}, {Title: "age", Right: true}}

// fillRequests makes the table of those in flight, then of the last that have ended.
func (s *serveScreen) fillRequests() {
	g := &s.requests
	g.Columns, g.Frozen, g.Paints = requestColumns, 2, s.theme.grid()
	g.Rows = len(s.state.Requests) + len(s.state.Ended)
	g.At = func(row, column int) grid.Cell {
		if row < len(s.state.Requests) {
			return s.requestCell(&s.state.Requests[row], column)
		}
		return s.endedCell(&s.state.Ended[row-len(s.state.Requests)], column)
	}
}

func (s *serveScreen) requestCell(r *endpoint.RequestState, column int) grid.Cell {
	switch column {
	case 0:
		return grid.Cell{Text: strconv.Itoa(r.Number)}
	case 1:
		state, paint := s.requestState(r)
		return grid.Cell{Text: state, Paint: paint}
	case 2:
		return grid.Cell{Text: strconv.Itoa(r.Prompt)}
	case 3:
		return grid.Cell{Text: reused(r.Cached, r.Prompt)}
	case 4:
		return grid.Cell{Text: strconv.Itoa(r.Generated)}
	case 5:
		return grid.Cell{Text: strconv.Itoa(r.Pages)}
	case 6:
		return grid.Cell{Text: seconds(r.TTFT)}
	case 7:
		return grid.Cell{Text: seconds(r.TPOT)}
	case 8:
		return grid.Cell{Text: report.Duration(r.Age)}
	}
	return grid.Cell{Text: report.Missing, Paint: s.theme.dim}
}

// requestState says what a request in flight does.
func (s *serveScreen) requestState(r *endpoint.RequestState) (string, text.Paint) {
	switch r.State {
	case "prefill":
		return fmt.Sprintf("● prefill %d of %d", r.Computed, r.Prefill), s.theme.running
	case "decode":
		return fmt.Sprintf("● decode %d of %d", r.Generated, r.MaxTokens), s.theme.running
	case "following":
		if r.Following != nil {
			return fmt.Sprintf("◌ follows %d", *r.Following), s.theme.warning
		}
	case "retracted":
		return "■ retracted", s.theme.warning
	}
	return "○ " + text.Clean(r.State), s.theme.dim
}

func (s *serveScreen) endedCell(e *endpoint.EndedState, column int) grid.Cell {
	switch column {
	case 0:
		return grid.Cell{Text: strconv.Itoa(e.Number), Paint: s.theme.dim}
	case 1:
		state, paint := s.endedState(e)
		return grid.Cell{Text: state, Paint: paint}
	case 2:
		return grid.Cell{Text: strconv.Itoa(e.Prompt), Paint: s.theme.dim}
	case 3:
		return grid.Cell{Text: reused(e.Cached, e.Prompt), Paint: s.theme.dim}
	case 4:
		return grid.Cell{Text: strconv.Itoa(e.Generated), Paint: s.theme.dim}
	case 6:
		return grid.Cell{Text: seconds(e.TTFT), Paint: s.theme.dim}
	case 7:
		return grid.Cell{Text: seconds(e.TPOT), Paint: s.theme.dim}
	case 8:
		return grid.Cell{Text: report.Duration(e.Ago) + " ago", Paint: s.theme.dim}
	}
	return grid.Cell{Text: report.Missing, Paint: s.theme.dim}
}

func (s *serveScreen) endedState(e *endpoint.EndedState) (string, text.Paint) {
	switch e.Finish {
	case "abort":
		return "■ cancelled", s.theme.warning
	case "error":
		return "✗ error", s.theme.failed
	}
	return "✓ " + text.Clean(e.Finish), s.theme.done
}

// reused is the share of a prompt that the cache had.
func reused(cached, prompt int) string {
	if prompt == 0 {
		return report.Missing
	}
	return fmt.Sprintf("%d%%", 100*cached/prompt)
}

// seconds is a time that may be missing.
func seconds(x float64) string {
	if x <= 0 {
		return report.Missing
	}
	return report.Format(lab.Seconds, x)
}

var treeColumns = []grid.Column{{Title: "prefix"}, {Title: "tokens", Right: true}, {Title: "pages", Right: true}, {Title: "held", Right: true}, {Title: "hits", Right: true}, {Title: "unused", Right: true}}

func (s *serveScreen) fillTree() {
	g := &s.tree
	g.Columns, g.Paints, g.Rows = treeColumns, s.theme.grid(), len(s.state.Tree)
	g.At = func(row, column int) grid.Cell {
		n := &s.state.Tree[row]
		if column == 0 {
			return grid.Cell{Text: s.prefix(n)}
		}
		paint := s.theme.dim
		if n.Locks > 0 {
			paint = s.theme.running
		}
		return grid.Cell{Text: [...]string{strconv.Itoa(n.Tokens), strconv.Itoa(n.Pages), strconv.Itoa(n.Locks), strconv.Itoa(n.Hits), strconv.FormatUint(n.Unused, 10)}[column-1], Paint: paint}
	}
}

// mostDepth bounds how far a prefix is drawn to the right.
const mostDepth = 12

// prefix is an edge of the tree below its parent, at the top with its namespace.
func (s *serveScreen) prefix(n *endpoint.NodeState) string {
	line := text.Blank(2 * min(n.Depth, mostDepth))
	if n.Depth > 0 {
		line = line[2:] + "└ "
	} else if n.Namespace != "" {
		line = "[" + text.Clean(n.Namespace) + "] "
	}
	return line + middleCut(text.Clean(n.Text), mostPrefix)
}

// mostPrefix bounds the text of an edge: those that begin alike differ at their ends.
const mostPrefix = 36

// middleCut is the beginning and the end of a line that is too long.
func middleCut(line string, width int) string {
	if text.Width(line) <= width {
		return line
	}
	return text.Cut(line, width/2) + strings.TrimPrefix(tail(line, width-width/2), text.Ellipsis)
}

// fitting joins parts, the last of which are left out, whole, where there is no room for them.
func fitting(head string, parts []string, width int) string {
	for len(parts) > 1 && text.Width(head)+text.Width(strings.Join(parts, " · ")) > width {
		parts = parts[:len(parts)-1]
	}
	return text.Cut(head+strings.Join(parts, " · "), width)
}

// explain says all that is known of the line under the cursor.
func (s *serveScreen) explain() string {
	d := &s.state
	switch row := s.focused().Row; {
	case s.inTree && row < len(d.Tree):
		n := &d.Tree[row]
		line := fmt.Sprintf("%s in %s, held by %s, hit by %d; the tree was used %d times since", plural.Of(n.Tokens, "token"), plural.Of(n.Pages, "page"), plural.Of(n.Locks, "request"), n.Hits, n.Unused)
		return line + leftOut(d.NodesLeftOut)
	case s.inTree:
		return ""
	case row < len(d.Requests):
		r := &d.Requests[row]
		line := fmt.Sprintf("request %d: %d of %s computed, %s of which %d are the tree's, passed %d×, retracted %d×", r.Number, r.Computed, plural.Of(r.Prompt+r.Generated, "token"), plural.Of(r.Pages, "page"), r.SharedPages, r.Passes, r.Retractions)
		if r.NoReuse {
			line += ", without reuse"
		}
		return line + inNamespace(r.Namespace) + leftOut(d.RequestsLeftOut)
	case row-len(d.Requests) < len(d.Ended):
		e := &d.Ended[row-len(d.Requests)]
		return fmt.Sprintf("request %d: %d of %s were cached, %s generated", e.Number, e.Cached, plural.Of(e.Prompt, "token"), plural.Of(e.Generated, "token")) + inNamespace(e.Namespace)
	}
	return ""
}

func inNamespace(name string) string {
	if name == "" {
		return ""
	}
	return ", in " + text.Clean(name)
}

func leftOut(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" · %d more are not shown", n)
}
