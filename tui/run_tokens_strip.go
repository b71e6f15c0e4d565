package tui

import (
	"fmt"
	"math"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"slimlab/lab/tokenview"
	"slimlab/tui/text"
)

const (
	stripLeast  = 2  // lines of the divergences by position: a heading, and bars of one line
	stripMost   = 10 // lines
	stripColumn = 10 // cells of a position, at most
	stripLabel  = 3  // cells from which a position has room for its token
)

// stripLines draw the divergence at each answer token as a bar over its position, those around the
// cursor where not all have room; below them, where there is room, the tokens. y is the line of the
// pane on which they begin.
func (p *tokensPane) stripLines(e *tokenview.Example, y, width, height int) []string {
	answers := e.Answers()
	if height < stripLeast || len(answers) == 0 {
		return nil
	}
	const margin = 2
	room := max(1, width-2*margin)
	column := max(1, min(stripColumn, room/len(answers)))
	from, to := window(p.token, max(1, room/column), len(answers))
	most := 0.0
	for _, t := range answers {
		if kl := t.At.KL; kl > most && !math.IsInf(kl, 0) {
			most = kl
		}
	}
	head := fmt.Sprintf(" KL by position, bars up to %s nats", tokenview.Nats(most))
	if from > 0 || to < len(answers) {
		head += p.theme.dim.On(fmt.Sprintf("   tokens %d–%d of %d", from+1, to, len(answers)))
	}
	labels := height > stripLeast && column >= stripLabel
	bars := height - 1
	if height > stripLeast { // tokens, or a mark under the cursor
		bars--
	}
	lines := []string{text.Fit(head, width)}
	for line := range bars {
		var b strings.Builder
		b.WriteString(text.Blank(margin))
		for i := from; i < to; i++ {
			b.WriteString(p.stripCell(answers[i].At.KL, most, bars-1-line, bars, column, i == p.token))
		}
		lines = append(lines, b.String())
	}
	if height > stripLeast {
		var b strings.Builder
		b.WriteString(text.Blank(margin))
		for i := from; i < to; i++ {
			word, paint := "", p.theme.dim
			if labels {
				if word = text.Cut(text.Clean(string(answers[i].Text)), column-1); strings.TrimSpace(word) == "" {
					word = "·"
				}
			}
			if i == p.token {
				paint = p.theme.bold
				if !labels {
					word = "▲"
				}
			}
			b.WriteString(paint.On(text.Fit(word, column)))
		}
		lines = append(lines, b.String())
	}
	p.takesMouse(region{x: margin, y: y, width: (to - from) * column, height: len(lines), click: func(x, _ int) tea.Cmd {
		p.move(0, from+x/column-p.token)
		return nil
	}})
	return lines
}

var eighths = []rune(" ▁▂▃▄▅▆▇█")

// stripCell is the part of a bar that lies on a line of the strip, counted from the bottom. What is
// more than nothing has a mark; what is not finite has a full bar of crosses.
func (p *tokensPane) stripCell(kl, most float64, line, lines, column int, under bool) string {
	glyph := '×'
	if !math.IsNaN(kl) && !math.IsInf(kl, 0) {
		n := 0
		if most > 0 {
			n = int(math.Round(kl / most * float64(8*lines)))
		}
		if kl > 0 {
			n = max(1, n)
		}
		glyph = eighths[max(0, min(n-8*line, 8))]
	}
	bar := strings.Repeat(string(glyph), max(1, column-1))
	paint := p.theme.line(1)
	if under {
		paint = p.theme.bold
	}
	return paint.On(bar) + text.Blank(column-max(1, column-1))
}
