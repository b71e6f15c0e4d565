package tui

import (
	"fmt"
	"math"
	"strings"

	"slimlab/internal/plural"
	"slimlab/lab/tokenview"
	"slimlab/tui/text"
)

// Divergences between which the shades of tokens lie, in nats, on a logarithmic scale.
const (
	klLow  = 0.001
	klHigh = 1.0
)

// klShade is where a divergence lies between the most, 0, and the least, 1, that the shades tell
// apart.
func klShade(kl float64) float64 {
	if !(kl > klLow) {
		return 1
	}
	return max(0, 1-math.Log(kl/klLow)/math.Log(klHigh/klLow))
}

// numbered reports whether tokens must say their divergences in numbers: there are no colours, or
// none can be relied on.
func (p *tokensPane) numbered() bool { return p.theme.ascii || p.theme.heat(0).Open == "" }

// flow is a text of tokens in lines.
type flow struct {
	lines []string
	at    int // the line of the cursor
}

// flow lays the example's text out: what is read dimmed, answer tokens in the shade of their
// divergence.
func (p *tokensPane) flow(e *tokenview.Example, width int) flow {
	var f flow
	line, used, answer := strings.Builder{}, 0, 0
	put := func(s string, paint text.Paint) {
		// a token that fits on a line stands whole
		if w := text.Width(s); used > 0 && w > width-used && w <= width {
			f.lines = append(f.lines, line.String())
			line.Reset()
			used = 0
		}
		for s != "" {
			room := width - used
			if w := text.Width(s); w <= room {
				line.WriteString(paint.On(s))
				used += w
				return
			}
			head := ""
			for _, r := range s {
				if text.Width(head+string(r)) > room {
					break
				}
				head += string(r)
			}
			if head == "" && used == 0 { // wider than a line
				return
			}
			line.WriteString(paint.On(head))
			f.lines = append(f.lines, line.String())
			line.Reset()
			s, used = s[len(head):], 0
		}
	}
	for i := range e.Tokens {
		t := &e.Tokens[i]
		word := text.Clean(string(t.Text))
		if t.At == nil {
			put(word, p.theme.dim)
			continue
		}
		if strings.TrimSpace(word) == "" {
			word += "·"
		}
		paint := p.theme.heat(klShade(t.At.KL))
		if p.numbered() {
			word += "(" + tokenview.Nats(t.At.KL) + ")"
			paint = text.Paint{}
		}
		if answer == p.token {
			word = "[" + word + "]"
			if p.theme.selected.Open != "" {
				paint = p.theme.selected
			}
			put(word, paint)
			f.at = len(f.lines)
		} else {
			put(word, paint)
		}
		answer++
	}
	if e.Cut > 0 {
		put(fmt.Sprintf(" … %s %s not compared", plural.Of(e.Cut, "more token"), plural.Verb(e.Cut)), p.theme.dim)
	}
	if line.Len() > 0 {
		f.lines = append(f.lines, line.String())
	}
	return f
}

// textLines is the part of the text around the cursor, with what the shades mean above it.
func (p *tokensPane) textLines(f flow, width, height int) []string {
	from, to := window(f.at, height, len(f.lines))
	head := " KL(teacher‖student) in nats, in brackets"
	if !p.numbered() {
		head = fmt.Sprintf(" KL(teacher‖student): %g ", klLow)
		for i := range 7 {
			head += p.theme.heat(1 - float64(i)/6).On("  ")
		}
		head += fmt.Sprintf(" %g nat and more", klHigh)
	}
	if from > 0 || to < len(f.lines) {
		head += p.theme.dim.On(fmt.Sprintf("   lines %d–%d of %d", from+1, to, len(f.lines)))
	}
	lines := []string{text.Fit(head, width)}
	for _, line := range f.lines[from:to] {
		lines = append(lines, "  "+line)
	}
	return lines
}
