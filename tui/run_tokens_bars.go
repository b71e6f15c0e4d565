package tui

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"slimlab/internal/plural"
	"slimlab/lab/tokenview"
	"slimlab/tui/text"
)

// at is the answer token under the cursor.
func (p *tokensPane) at(e *tokenview.Example) *tokenview.Token {
	answers := e.Answers()
	return answers[min(p.token, len(answers)-1)]
}

// candidates counts the lines of the distributions: the likeliest tokens of either, and the token
// that stands there.
func (p *tokensPane) candidates(e *tokenview.Example) int { return len(candidatesOf(p.at(e))) }

// candidatesOf lists the tokens of both distributions, those first to which either gives most. The
// token that stands there is the last one where it is none of the likeliest.
func candidatesOf(t *tokenview.Token) []tokenview.Candidate {
	list := slices.Clone(t.At.Top)
	slices.SortStableFunc(list, func(a, b tokenview.Candidate) int {
		return cmp.Compare(max(b.Teacher, b.Student), max(a.Teacher, a.Student))
	})
	if !slices.ContainsFunc(list, func(c tokenview.Candidate) bool { return c.ID == t.ID }) {
		list = append(list, tokenview.Candidate{ID: t.ID, Text: t.Text, Teacher: t.At.Teacher, Student: t.At.Student})
	}
	return list
}

// distributionLines draw both distributions at the token under the cursor, on a line each token.
func (p *tokensPane) distributionLines(e *tokenview.Example, width, height int) []string {
	t := p.at(e)
	all := candidatesOf(t)
	shown := all[:min(height, len(all))]
	own := slices.IndexFunc(all, func(c tokenview.Candidate) bool { return c.ID == t.ID })
	if own >= len(shown) && len(shown) > 1 { // the token itself is always seen
		shown = append(slices.Clone(shown[:len(shown)-1]), all[own])
	}
	head := fmt.Sprintf(" %s  token %d of %d  KL %s  rank %d by p, %d by q",
		p.theme.bold.On(quoted(t.Text)), p.token+1, len(e.Answers()), tokenview.Nats(t.At.KL), t.At.TeacherRank, t.At.StudentRank)
	if less := len(all) - len(shown); less > 0 {
		head += p.theme.dim.On("  " + plural.Of(less, "more token") + " not shown")
	}
	lines := []string{text.Fit(head, width)}
	names := 6
	for _, c := range shown {
		names = max(names, text.Width(quoted(c.Text)))
	}
	names = min(names, max(10, width/5))
	bar := max(4, min(50, (width-names-24)/2))
	for _, c := range shown {
		mark, paint := " ", text.Paint{}
		if c.ID == t.ID {
			mark, paint = "▸", p.theme.bold
		}
		line := " " + mark + paint.On(text.Fit(quoted(c.Text), names)) + "  " +
			p.theme.dim.On("p ") + p.theme.line(0).On(barOf(c.Teacher, bar)) + text.Right(tokenview.Probability(c.Teacher), 6) + "   " +
			p.theme.dim.On("q ") + p.theme.line(1).On(barOf(c.Student, bar)) + text.Right(tokenview.Probability(c.Student), 6)
		lines = append(lines, text.Fit(line, width))
	}
	return lines
}

// quoted shows a token's text with the spaces at its ends.
func quoted(t tokenview.Text) string { return "'" + text.Clean(string(t)) + "'" }

// barOf draws a share of 1 as a bar of whole cells; what is more than nothing has at least a dot.
func barOf(x float64, width int) string {
	n := min(width, int(x*float64(width)+0.5))
	if n == 0 && x > 0 {
		return text.Fit("·", width)
	}
	return strings.Repeat("█", max(0, n)) + text.Blank(width-n)
}
